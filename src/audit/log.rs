use std::path::Path;

use futures::{Stream, TryStreamExt};
use sqlx::{
    QueryBuilder, Sqlite, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use super::{Entry, Head, Recorded, continuity, entry::plain};
use crate::protocol::timestamp;

pub(super) const COLUMNS: &str = "id, at, actor, action, subject, outcome, details, organization_id, hash";

/// Makes the table if it is missing. Triggers refuse changes: whoever wants to make one has to go around this program,
/// and the hashes show it.
pub async fn prepare(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for statement in [
        "CREATE TABLE IF NOT EXISTS audit (
             id INTEGER PRIMARY KEY AUTOINCREMENT,
             at TEXT NOT NULL,
             actor TEXT NOT NULL,
             action TEXT NOT NULL,
             subject TEXT NOT NULL,
             outcome TEXT NOT NULL,
             details TEXT NOT NULL,
             organization_id INTEGER,
             hash TEXT NOT NULL
         ) STRICT",
        super::witness::TABLE,
        super::sink::TABLE,
        "CREATE INDEX IF NOT EXISTS audit_of_organization ON audit (organization_id)",
        "CREATE INDEX IF NOT EXISTS audit_of_subject ON audit (subject, action)",
        // What the start page asks for each time.
        "DROP INDEX IF EXISTS audit_of_trouble",
        "CREATE INDEX IF NOT EXISTS audit_of_problems ON audit (action, at)
         WHERE action IN ('notice.fail', 'audit.mismatch', 'audit.unclosed')",
        "CREATE TRIGGER IF NOT EXISTS audit_keeps_entries BEFORE DELETE ON audit
         BEGIN SELECT RAISE(ABORT, 'audit entries are not deleted'); END",
        "CREATE TRIGGER IF NOT EXISTS audit_keeps_words BEFORE UPDATE ON audit
         BEGIN SELECT RAISE(ABORT, 'audit entries are not changed'); END",
    ] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}

const FULL: &str = "the audit log has no more numbers: somebody has written to its table";

/// The end of the chain.
pub async fn head(connection: &mut SqliteConnection) -> Result<Head, sqlx::Error> {
    let last: Option<(i64, String)> =
        sqlx::query_as("SELECT id, hash FROM audit NOT INDEXED WHERE id > 0 ORDER BY id DESC LIMIT 1")
            .fetch_optional(connection)
            .await?;
    let (id, hash) = last.unwrap_or_default();
    Ok(Head { id, hash })
}

/// Whether there are rows that the program has not numbered: it counts from 1 on.
pub(super) async fn has_others(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM audit NOT INDEXED WHERE id < 1 OR id = 9223372036854775807)")
        .fetch_one(connection)
        .await
}

/// Adds an entry, as [`append`] does, unless the last one of this action about this subject says the same.
pub async fn append_change(connection: &mut SqliteConnection, entry: &Entry) -> Result<(), sqlx::Error> {
    let last: Option<String> = sqlx::query_scalar(
        "SELECT details FROM audit WHERE action = ? AND subject = ? AND id > 0 ORDER BY id DESC LIMIT 1",
    )
    .bind(entry.action.as_ref())
    .bind(plain(&entry.subject))
    .fetch_optional(&mut *connection)
    .await?;
    if last.as_deref() == Some(plain(&entry.details).as_str()) { Ok(()) } else { append(connection, entry).await }
}

/// Adds an entry. In the transaction of what it tells of, so that neither is there without the other; the transaction
/// has to have written before, or begun as one that writes, since two must not read the same end.
pub async fn append(connection: &mut SqliteConnection, entry: &Entry) -> Result<(), sqlx::Error> {
    let head = head(&mut *connection).await?;
    let mut recorded = Recorded {
        id: head.id.checked_add(1).ok_or_else(|| sqlx::Error::Protocol(FULL.to_owned()))?,
        at: timestamp::now(),
        actor: plain(&entry.actor),
        action: entry.action.to_string(),
        subject: plain(&entry.subject),
        outcome: entry.outcome.to_owned(),
        details: plain(&entry.details),
        organization_id: entry.organization_id,
        hash: String::new(),
    };
    recorded.hash = recorded.hash_after(&head.hash);
    let present = Head { id: recorded.id, hash: recorded.hash.clone() };
    sqlx::query(&format!("INSERT INTO audit ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"))
        .bind(recorded.id)
        .bind(recorded.at)
        .bind(recorded.actor)
        .bind(recorded.action)
        .bind(recorded.subject)
        .bind(recorded.outcome)
        .bind(recorded.details)
        .bind(recorded.organization_id)
        .bind(recorded.hash)
        .execute(&mut *connection)
        .await?;
    // A trigger that somebody has made could let nothing be written, or something else.
    if self::head(&mut *connection).await? != present {
        return Err(sqlx::Error::Protocol(
            "the audit log does not take an entry: somebody has changed its table".to_owned(),
        ));
    }
    continuity::remember(connection, &present).await
}

/// Which entries to read. What is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub organization_id: Option<i64>,
    /// Part of the actor's name.
    pub actor: Option<String>,
    /// The beginning of the action: `review` finds `review.approve`.
    pub action: Option<String>,
    /// The whole subject.
    pub subject: Option<String>,
    pub outcome: Option<String>,
    /// From this time on (UTC).
    pub from: Option<String>,
    /// Before this time (UTC).
    pub until: Option<String>,
}

impl Filter {
    fn push(&self, query: &mut QueryBuilder<'_, Sqlite>) {
        query.push(" WHERE id > 0");
        if let Some(id) = self.organization_id {
            query.push(" AND organization_id = ").push_bind(id);
        }
        let texts = [
            (" AND instr(lower(actor), lower(", &self.actor, ")) > 0"),
            (" AND instr(action, ", &self.action, ") = 1"),
            (" AND subject = ", &self.subject, ""),
            (" AND outcome = ", &self.outcome, ""),
            (" AND at >= ", &self.from, ""),
            (" AND at < ", &self.until, ""),
        ];
        for (before, text, after) in texts {
            if let Some(text) = text {
                query.push(before).push_bind(text.clone()).push(after);
            }
        }
    }
}

/// One page of entries, the newest first, and how many there are in all.
pub async fn page(
    pool: &SqlitePool,
    filter: &Filter,
    offset: u32,
    limit: u32,
) -> Result<(Vec<Recorded>, i64), sqlx::Error> {
    let mut count = QueryBuilder::new("SELECT COUNT(*) FROM audit");
    filter.push(&mut count);
    let total: i64 = count.build_query_scalar().fetch_one(pool).await?;
    // An index finds them, and the table tells what they say.
    let mut rows =
        QueryBuilder::new(format!("SELECT {COLUMNS} FROM audit NOT INDEXED WHERE id IN (SELECT id FROM audit"));
    filter.push(&mut rows);
    rows.push(" ORDER BY id DESC LIMIT ").push_bind(limit).push(" OFFSET ").push_bind(offset);
    rows.push(") ORDER BY id DESC");
    Ok((rows.build_query_as().fetch_all(pool).await?, total))
}

/// Opens a log for reading, in a file that may be in use.
pub async fn open(file: &Path) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    SqlitePoolOptions::new().max_connections(1).connect_with(options).await
}

/// All entries from the first to the last, as a stream.
pub fn read_all(pool: &SqlitePool) -> impl Stream<Item = Result<Recorded, sqlx::Error>> {
    let query = "SELECT id, at, actor, action, subject, outcome, details, organization_id, hash
         FROM audit NOT INDEXED WHERE id > 0 ORDER BY id";
    sqlx::query_as::<_, Recorded>(query).fetch(pool).into_stream()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{
        Broken, HeadKey, LastHead, Signed, keep_head, kept_head, kept_heads, last_known, sign_head, signed_heads,
        verify,
    };

    async fn three_entries() -> SqlitePool {
        let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
        let mut connection = pool.acquire().await.unwrap();
        prepare(&mut connection).await.unwrap();
        for action in ["sign_in", "task.create", "review.approve"] {
            let entry = Entry::done("user 2 (admin\n1)", action, "run 7").of(3).details("line\r\nbreak");
            append(&mut connection, &entry).await.unwrap();
        }
        drop(connection);
        pool
    }

    /// Somebody goes around the triggers.
    async fn tamper(statement: &str) -> Result<Head, Broken> {
        let pool = three_entries().await;
        for trigger in ["audit_keeps_entries", "audit_keeps_words"] {
            sqlx::query(&format!("DROP TRIGGER {trigger}")).execute(&pool).await.unwrap();
        }
        sqlx::query(statement).execute(&pool).await.unwrap();
        verify(&pool, &[]).await.unwrap()
    }

    #[tokio::test]
    async fn a_chain_that_nobody_touched_holds() {
        let head = verify(&three_entries().await, &[]).await.unwrap().unwrap();
        assert_eq!((head.id, head.hash.len()), (3, 64));
    }

    #[tokio::test]
    async fn whatever_is_changed_or_taken_away_shows() {
        assert_eq!(tamper("UPDATE audit SET actor = 'root' WHERE id = 2").await, Err(Broken::Changed(2)));
        assert_eq!(tamper("UPDATE audit SET organization_id = NULL WHERE id = 1").await, Err(Broken::Changed(1)));
        assert_eq!(tamper("DELETE FROM audit WHERE id = 2").await, Err(Broken::Missing(2)));
        assert_eq!(tamper("DELETE FROM audit WHERE id = 3").await, Err(Broken::Missing(3)));
        assert_eq!(tamper("DELETE FROM audit").await, Err(Broken::Missing(1)));
    }

    #[tokio::test]
    async fn a_log_that_was_written_anew_does_not_hold_the_end_of_before() {
        let pool = three_entries().await;
        let head = verify(&pool, &[]).await.unwrap().unwrap();
        let known: Head = head.to_string().parse().unwrap();
        assert_eq!(verify(&pool, &[known]).await.unwrap(), Ok(head.clone()));
        let other = Head { hash: "0".repeat(64), ..head.clone() };
        assert_eq!(verify(&pool, &[other]).await.unwrap(), Err(Broken::OtherHistory(3)));
        let later = Head { id: 4, hash: head.hash.clone() };
        assert_eq!(verify(&pool, &[head.clone(), later]).await.unwrap(), Err(Broken::Missing(4)));
    }

    #[tokio::test]
    async fn entries_are_neither_changed_nor_deleted_and_stay_on_one_line() {
        let pool = three_entries().await;
        assert!(sqlx::query("UPDATE audit SET actor = 'x'").execute(&pool).await.is_err());
        assert!(sqlx::query("DELETE FROM audit").execute(&pool).await.is_err());
        let (entries, total) = page(&pool, &Filter::default(), 0, 2).await.unwrap();
        assert_eq!((entries.len(), total), (2, 3));
        assert_eq!((entries[0].actor.as_str(), entries[0].details.as_str()), ("user 2 (admin 1)", "line  break"));
    }

    #[tokio::test]
    async fn filters_find_by_action_actor_and_organization() {
        let pool = three_entries().await;
        let count = async |filter: Filter| page(&pool, &filter, 0, 10).await.unwrap().1;
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(count(Filter { action: text("review"), ..Default::default() }).await, 1);
        assert_eq!(count(Filter { actor: text("ADMIN"), ..Default::default() }).await, 3);
        assert_eq!(count(Filter { actor: text("%"), ..Default::default() }).await, 0);
        assert_eq!(count(Filter { organization_id: Some(4), ..Default::default() }).await, 0);
        assert_eq!(count(Filter { from: text("2000"), until: text("2001"), ..Default::default() }).await, 0);
    }

    /// Writes the log anew from an entry on, as somebody could who has the file and knows how it is hashed.
    async fn forge(pool: &SqlitePool, from: i64) {
        for statement in ["DROP TRIGGER audit_keeps_entries", "DELETE FROM audit WHERE id >= ?"] {
            sqlx::query(statement).bind(from).execute(pool).await.unwrap();
        }
        let mut connection = pool.acquire().await.unwrap();
        for _ in from..=3 {
            append(&mut connection, &Entry::done("somebody else", "sign_in", "run 7")).await.unwrap();
        }
        prepare(&mut connection).await.unwrap();
    }

    #[tokio::test]
    async fn a_forged_log_does_not_hold_the_ends_that_a_key_outside_signed() {
        let (pool, key) = (three_entries().await, HeadKey::derive(b"outside of the file"));
        let sign = async || sign_head(&mut pool.acquire().await.unwrap(), &key, &mut None).await.unwrap();
        assert_eq!((sign().await, sign().await), (Signed::Anew, Signed::Holds));
        let signed = signed_heads(&pool, &key).await.unwrap();
        assert_eq!((signed.heads.len(), signed.heads[0].id, signed.forged), (1, 3, 0));
        assert!(verify(&pool, &signed.heads).await.unwrap().is_ok());
        forge(&pool, 2).await;
        assert!(verify(&pool, &[]).await.unwrap().is_ok(), "by its hashes alone nothing is found");
        let signed = signed_heads(&pool, &key).await.unwrap();
        assert_eq!(verify(&pool, &signed.heads).await.unwrap(), Err(Broken::OtherHistory(3)));
        // Nor does the program sign what somebody forged, or forget the end of before.
        assert_eq!(sign().await, Signed::Broken);
        assert_eq!(signed_heads(&pool, &key).await.unwrap(), signed);
        // Without the key nobody signs the other end.
        let forged = head(&mut pool.acquire().await.unwrap()).await.unwrap();
        sqlx::query("UPDATE audit_head SET hash = ?").bind(&forged.hash).execute(&pool).await.unwrap();
        let signed = signed_heads(&pool, &key).await.unwrap();
        assert_eq!((signed.heads.len(), signed.forged), (0, 1));
        // Nor is it a new log when they are gone.
        let all: Vec<(String, String)> =
            sqlx::query_as("SELECT key, signature FROM audit_head").fetch_all(&pool).await.unwrap();
        sqlx::query("DELETE FROM audit_head").execute(&pool).await.unwrap();
        assert!(signed_heads(&pool, &key).await.unwrap().are_missing(3));
        assert_eq!(sign().await, Signed::Anew);
        sqlx::query("UPDATE audit_head SET key = ?, signature = ?")
            .bind(&all[0].0)
            .bind(&all[0].1)
            .execute(&pool)
            .await
            .unwrap();
        let other = signed_heads(&pool, &HeadKey::derive(b"another")).await.unwrap();
        assert_eq!((other.heads.len(), other.of_other_keys), (0, 1));
    }

    #[tokio::test]
    async fn who_writes_the_log_and_its_ends_anew_while_the_program_runs_is_found() {
        let key = HeadKey::derive(b"outside of the file");
        for end in [None, Some((0, "")), Some((3, "x"))] {
            let (pool, mut known) = (three_entries().await, None);
            let mut connection = pool.acquire().await.unwrap();
            sign_head(&mut connection, &key, &mut known).await.unwrap();
            let name: String =
                sqlx::query_scalar("SELECT key FROM audit_head").fetch_one(&mut *connection).await.unwrap();
            drop(connection);
            forge(&pool, 2).await;
            sqlx::query("DELETE FROM audit_head").execute(&pool).await.unwrap();
            if let Some((id, hash)) = end {
                // A row that says that the key signed it.
                sqlx::query("INSERT INTO audit_head VALUES ('', ?, ?, '2026-01-01', ?, '00')")
                    .bind(id)
                    .bind(hash)
                    .bind(name)
                    .execute(&pool)
                    .await
                    .unwrap();
            }
            let mut connection = pool.acquire().await.unwrap();
            assert_eq!(sign_head(&mut connection, &key, &mut known).await.unwrap(), Signed::Broken, "{end:?}");
            // After a restart without the file beside it nothing is known of it but that no end is left, which an entry tells.
            assert_eq!(sign_head(&mut connection, &key, &mut None).await.unwrap(), Signed::Anew, "{end:?}");
            let told: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM audit WHERE action = 'audit.mismatch'")
                .fetch_one(&mut *connection)
                .await
                .unwrap();
            assert_eq!(told, i64::from(end.is_some()), "{end:?}");
        }
    }

    #[tokio::test]
    async fn the_table_may_be_ahead_of_the_file_beside_it_as_long_as_the_program_has_not_ended() {
        let (pool, key) = (three_entries().await, HeadKey::derive(b"outside of the file"));
        sign_head(&mut pool.acquire().await.unwrap(), &key, &mut None).await.unwrap();
        let present = head(&mut pool.acquire().await.unwrap()).await.unwrap();
        let first: String = sqlx::query_scalar("SELECT hash FROM audit WHERE id = 1").fetch_one(&pool).await.unwrap();
        for (is_closed, id) in [(false, 3), (true, 1)] {
            let of_file = LastHead { head: Head { id: 1, hash: first.clone() }, is_closed };
            assert_eq!(last_known(&pool, &key, of_file).await.unwrap().head.id, id);
        }
        // What others have signed counts as little as what is not in the log.
        let of_file = LastHead { head: Head { id: 1, hash: first.clone() }, is_closed: false };
        let other = HeadKey::derive(b"another");
        assert_eq!(last_known(&pool, &other, of_file.clone()).await.unwrap(), of_file);
        forge(&pool, 2).await;
        assert_ne!(head(&mut pool.acquire().await.unwrap()).await.unwrap(), present);
        assert_eq!(last_known(&pool, &key, of_file.clone()).await.unwrap(), of_file);
    }

    #[tokio::test]
    async fn of_each_day_and_origin_the_first_and_the_last_end_are_kept() {
        let pool = three_entries().await;
        let mut connection = pool.acquire().await.unwrap();
        let end = |id: i64| Head { id, hash: format!("{id:064}") };
        for id in [1, 2] {
            keep_head(&mut connection, "node 3", &end(id), true).await.unwrap();
        }
        sqlx::query("UPDATE audit_head SET at = '2026-01-01T00:00:00'").execute(&mut *connection).await.unwrap();
        for id in [5, 6, 7] {
            keep_head(&mut connection, "node 3", &end(id), true).await.unwrap();
            keep_head(&mut connection, "node 4", &end(id + 10), true).await.unwrap();
        }
        assert_eq!(kept_head(&mut connection, "node 3").await.unwrap(), Some(end(7)));
        assert_eq!(kept_head(&mut connection, "hub").await.unwrap(), None);
        drop(connection);
        let kept = kept_heads(&pool).await.unwrap();
        let kept: Vec<(&str, i64)> = kept.iter().map(|kept| (kept.origin.as_str(), kept.head.id)).collect();
        assert_eq!(kept, [("node 3", 1), ("node 3", 2), ("node 3", 5), ("node 3", 7), ("node 4", 15), ("node 4", 17)]);
        // One that does not go on with the one of before leaves it where it is, also when it goes on itself.
        let mut connection = pool.acquire().await.unwrap();
        keep_head(&mut connection, "node 3", &end(6), false).await.unwrap();
        keep_head(&mut connection, "node 3", &end(8), true).await.unwrap();
        drop(connection);
        let kept = kept_heads(&pool).await.unwrap();
        let kept: Vec<i64> = kept.iter().filter(|kept| kept.origin == "node 3").map(|kept| kept.head.id).collect();
        assert_eq!(kept, [1, 2, 5, 7, 8]);
        // Of those that do not go on there are some a day.
        let mut connection = pool.acquire().await.unwrap();
        for id in (1..100).rev() {
            keep_head(&mut connection, "node 5", &end(id), false).await.unwrap();
        }
        assert_eq!(kept_head(&mut connection, "node 5").await.unwrap(), Some(end(1)));
        drop(connection);
        let kept = kept_heads(&pool).await.unwrap();
        let kept: Vec<i64> = kept.iter().filter(|kept| kept.origin == "node 5").map(|kept| kept.head.id).collect();
        assert!(kept.len() == 20 && kept.contains(&99), "{kept:?}");
    }
}
