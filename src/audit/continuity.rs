//! What a program itself knows of what it wrote to its log: in its memory, where nobody who has the file can change it. Between
//! two signed ends entries could be taken away, and others written in their place.

use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use sqlx::{
    SqliteConnection,
    sqlite::{SqliteOperation, SqlitePoolOptions},
};

use super::{
    Behind, Head, HeadKey, Made, differences, in_words,
    log::{has_others, head},
    made, witness,
};

/// What a look has seen.
#[derive(Debug)]
pub struct Seen {
    present: Head,
    schema: i64,
    /// Whether there are rows before the first entry.
    has_others: bool,
    /// Entries behind the last signed end.
    entries: Vec<Head>,
}

/// What the program knows of one log. It outlives connections: somebody who can write the file can end one.
#[derive(Debug)]
pub struct Continuity {
    id: u64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The hashes of entries that were written since the last signed end, with their numbers, also of those that were rolled
    /// back.
    written: HashMap<String, i64>,
    /// The last hash that was written with a number.
    hashes: HashMap<i64, String>,
    /// The numbers of entries in the present transaction.
    pending: Vec<i64>,
    /// The last one that was committed, and the one before, should the commit have failed.
    last: i64,
    last_before: i64,
    /// Whether it is not known yet that the commit did not fail.
    is_unconfirmed: bool,
    /// An entry was written with a number that there was already: those of before were taken away.
    went_back: bool,
    /// What stands for the schema of the file.
    schema: Option<i64>,
    /// How many connections have written, one after the other.
    connections: u64,
    /// It is told that there are rows before the first entry.
    has_told_others: bool,
}

static ALL: LazyLock<Mutex<HashMap<u64, Weak<Continuity>>>> = LazyLock::new(Mutex::default);
static NEXT: AtomicU64 = AtomicU64::new(1);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// By this table in the memory of a connection it is found which log it belongs to.
const MARK: &str = "audit_program_";

impl Continuity {
    /// Of a log that this program is about to open.
    pub fn new() -> Arc<Continuity> {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let new = Arc::new(Continuity { id, known: Mutex::default() });
        let mut all = lock(&ALL);
        all.retain(|_, one| one.strong_count() > 0);
        all.insert(id, Arc::downgrade(&new));
        new
    }

    /// Options of the pool that writes to the log, with its connections watched.
    pub fn watched(self: &Arc<Self>, pool: SqlitePoolOptions) -> SqlitePoolOptions {
        let (of_new, of_known) = (self.clone(), self.clone());
        let pool = pool.after_connect(move |connection, _| {
            let log = of_new.clone();
            Box::pin(async move { log.watch(connection).await })
        });
        pool.before_acquire(move |_, _| {
            of_known.taken();
            Box::pin(async { Ok(true) })
        })
    }

    /// Nothing is under way over a connection that is taken: what was committed is there.
    pub fn taken(&self) {
        lock(&self.known).is_unconfirmed = false;
    }

    /// Watches what a connection commits.
    pub async fn watch(self: &Arc<Self>, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        sqlx::query(&format!("CREATE TEMP TABLE {MARK}{} (mark INTEGER)", self.id)).execute(&mut *connection).await?;
        {
            let mut known = lock(&self.known);
            // A transaction of a connection before that did not end was rolled back.
            known.pending.clear();
            // One that is opened anew reads a schema that another one may not have seen change.
            known.schema = None;
            known.connections += 1;
        }
        let mut handle = connection.lock_handle().await?;
        let of_updates = self.clone();
        handle.set_update_hook(move |change| {
            lock(&of_updates.known).is_unconfirmed = false;
            if change.operation == SqliteOperation::Insert && change.table == "audit" && change.database == "main" {
                lock(&of_updates.known).pending.push(change.rowid);
            }
        });
        let of_commits = self.clone();
        handle.set_commit_hook(move || {
            let mut known = lock(&of_commits.known);
            if known.pending.is_empty() {
                return true;
            }
            (known.last_before, known.is_unconfirmed) = (known.last, true);
            for number in std::mem::take(&mut known.pending) {
                known.went_back |= number <= known.last;
                known.last = number;
            }
            true
        });
        let of_rollbacks = self.clone();
        handle.set_rollback_hook(move || {
            let mut known = lock(&of_rollbacks.known);
            known.pending.clear();
            // Behind a commit that has failed, as on a full disk.
            if std::mem::take(&mut known.is_unconfirmed) {
                known.last = known.last_before;
            }
        });
        Ok(())
    }

    /// The log goes on from its present end.
    pub async fn begin(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let present = head(&mut *connection).await?;
        // The start itself tells of them.
        let has_others = has_others(connection).await?;
        let mut known = lock(&self.known);
        known.has_told_others = has_others;
        (known.last, known.last_before, known.went_back) = (present.id, present.id, false);
        Ok(())
    }

    /// How many connections have written, one after the other.
    pub fn connections(&self) -> u64 {
        lock(&self.known).connections
    }

    /// Takes the present schema for the program's own.
    pub async fn expect_schema(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let schema = schema_of(connection).await?;
        lock(&self.known).schema = Some(schema);
        Ok(())
    }

    /// Whether there is something to look at: the log does not end where this program left it.
    pub async fn is_doubtful(&self, connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
        let present = head(&mut *connection).await?;
        let schema = schema_of(&mut *connection).await?;
        let has_others = has_others(connection).await?;
        let mut known = lock(&self.known);
        known.is_unconfirmed = false;
        Ok((has_others && !known.has_told_others)
            || known.went_back
            || known.last != present.id
            || known.schema != Some(schema))
    }

    /// Whether the log went on from the end that was `signed` last, but for what a command has written and signed; else what is wrong. It is to be told, and the end signed, in the same transaction; what was seen is given to
    /// [`Continuity::seen`] when that is stored.
    pub async fn look(
        &self,
        connection: &mut SqliteConnection,
        key: &HeadKey,
        signed: Option<&Head>,
        own: &Made,
    ) -> Result<(Option<String>, Seen), sqlx::Error> {
        let present = head(&mut *connection).await?;
        let schema = schema_of(&mut *connection).await?;
        let is_other_schema = lock(&self.known).schema != Some(schema);
        let foreign = match is_other_schema {
            true => in_words(&differences(&made(&mut *connection).await?, own)),
            false => None,
        };
        let has_others = has_others(&mut *connection).await?;
        let behind = witness::behind(&mut *connection, key, signed.map(|end| end.id).unwrap_or_default()).await?;
        let last = {
            let mut known = lock(&self.known);
            known.is_unconfirmed = false;
            let hash = known.hashes.get(&known.last).cloned();
            hash.map(|hash| Head { id: known.last, hash })
        };
        let holds = match &last {
            Some(last) => witness::holds(&mut *connection, last).await?,
            None => true,
        };
        let known = lock(&self.known);
        let is_shorter = known.went_back || known.last > present.id || !holds;
        let is_of_others = |behind: &&Behind| !behind.is_of_command && !known.written.contains_key(&behind.entry.hash);
        let of_others = behind.iter().find(is_of_others).map(|behind| behind.entry.id);
        let trouble = match (is_shorter, of_others) {
            (true, _) => Some(format!(
                "entries were taken away while the program was running, which had written entry {}",
                known.last
            )),
            (false, Some(id)) => {
                Some(format!("somebody has written entry {id} to the log while the program was running"))
            }
            (false, None) if has_others && !known.has_told_others => {
                Some("there are rows in the log that the program has not written".to_owned())
            }
            (false, None) => foreign,
        };
        // It is told once.
        Ok((
            trouble,
            Seen { present, schema, has_others, entries: behind.into_iter().map(|behind| behind.entry).collect() },
        ))
    }

    /// What was seen is told: the log goes on from there.
    pub fn seen(&self, seen: Seen) {
        let mut known = lock(&self.known);
        // Unless the program has written behind it.
        if known.last < seen.present.id {
            (known.last, known.last_before) = (seen.present.id, seen.present.id);
            known.hashes.insert(seen.present.id, seen.present.hash);
        }
        (known.went_back, known.schema, known.has_told_others) = (false, Some(seen.schema), seen.has_others);
        known.written.extend(seen.entries.into_iter().map(|entry| (entry.hash, entry.id)));
    }

    /// The entries that this program has written since the last signed end and that stand in the log.
    pub async fn own(&self, connection: &mut SqliteConnection) -> Result<Vec<Head>, sqlx::Error> {
        let written: Vec<Head> =
            lock(&self.known).hashes.iter().map(|(id, hash)| Head { id: *id, hash: hash.clone() }).collect();
        let mut own = Vec::new();
        for entry in written {
            if witness::holds(&mut *connection, &entry).await? {
                own.push(entry);
            }
        }
        Ok(own)
    }

    /// This end was signed: what was written before needs not be known any more. What another connection has written since
    /// does.
    pub fn signed(&self, end: &Head) {
        let mut known = lock(&self.known);
        known.written.retain(|_, number| *number > end.id);
        known.hashes.retain(|number, _| *number >= end.id);
    }
}

/// Changes with each change of the schema (<https://www.sqlite.org/pragma.html#pragma_schema_version>).
async fn schema_of(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("PRAGMA main.schema_version").fetch_one(connection).await
}

/// Remembers an entry that is written over a connection of this program.
pub(super) async fn remember(connection: &mut SqliteConnection, entry: &Head) -> Result<(), sqlx::Error> {
    let query = format!("SELECT substr(name, {}) FROM temp.sqlite_schema WHERE name LIKE '{MARK}%'", MARK.len() + 1);
    let id: Option<String> = sqlx::query_scalar(&query).fetch_optional(connection).await?;
    let of_log = id.and_then(|id| lock(&ALL).get(&id.parse().ok()?).and_then(Weak::upgrade));
    if let Some(of_log) = of_log {
        let mut known = lock(&of_log.known);
        known.is_unconfirmed = false;
        known.written.insert(entry.hash.clone(), entry.id);
        known.hashes.insert(entry.id, entry.hash.clone());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Entry, append, prepare};
    use sqlx::{SqlitePool, sqlite::SqliteConnectOptions};

    async fn opened(file: &std::path::Path, log: &Arc<Continuity>) -> SqlitePool {
        let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
        let pool = log.watched(SqlitePoolOptions::new().max_connections(1)).connect_with(options).await.unwrap();
        prepare(&mut pool.acquire().await.unwrap()).await.unwrap();
        log.expect_schema(&mut pool.acquire().await.unwrap()).await.unwrap();
        log.begin(&mut pool.acquire().await.unwrap()).await.unwrap();
        pool
    }

    async fn note(connection: &mut SqliteConnection) {
        append(connection, &Entry::done("user 1", "sign_in", "user 1")).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_written_between_a_look_and_its_signature_is_known() {
        let (key, folder) = (HeadKey::derive(b"key"), tempfile::tempdir().unwrap());
        let log = Continuity::new();
        let pool = opened(&folder.path().join("log.sqlite"), &log).await;
        let own = made(&mut pool.acquire().await.unwrap()).await.unwrap();
        note(&mut pool.acquire().await.unwrap()).await;
        let end = head(&mut pool.acquire().await.unwrap()).await.unwrap();
        note(&mut pool.acquire().await.unwrap()).await;
        log.signed(&end);
        let (told, _) = log.look(&mut pool.acquire().await.unwrap(), &key, Some(&end), &own).await.unwrap();
        assert_eq!(told, None);
    }

    #[tokio::test]
    async fn what_others_take_away_or_add_is_known_also_over_another_connection() {
        let (key, own) = (HeadKey::derive(b"key"), Made::new());
        let take_away = "DELETE FROM audit WHERE id = (SELECT max(id) FROM audit)";
        let back = "UPDATE sqlite_sequence SET seq = seq - 1 WHERE name = 'audit'";
        for (is_anew, is_added, goes_on) in [
            (false, false, false),
            (true, false, false),
            (false, false, true),
            (false, true, false),
            (true, true, true),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("log.sqlite");
            let log = Continuity::new();
            let pool = opened(&file, &log).await;
            let own = match own.is_empty() {
                true => made(&mut pool.acquire().await.unwrap()).await.unwrap(),
                false => own.clone(),
            };
            let look = async || {
                let mut connection = pool.acquire().await.unwrap();
                let (told, seen) = log.look(&mut connection, &key, None, &own).await.unwrap();
                log.seen(seen);
                told
            };
            for _ in 0..3 {
                note(&mut pool.acquire().await.unwrap()).await;
            }
            // What was rolled back was never there.
            let mut transaction = pool.begin().await.unwrap();
            note(&mut transaction).await;
            transaction.rollback().await.unwrap();
            assert!(!log.is_doubtful(&mut pool.acquire().await.unwrap()).await.unwrap());
            assert_eq!(look().await, None);
            if is_anew {
                pool.acquire().await.unwrap().close().await.unwrap();
                assert_eq!(look().await, None);
            }
            let options = SqliteConnectOptions::new().filename(&file);
            let mut other = <SqliteConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
            if is_added {
                note(&mut other).await;
            } else {
                for statement in ["DROP TRIGGER audit_keeps_entries", take_away, back] {
                    sqlx::query(statement).execute(&mut other).await.unwrap();
                }
            }
            if goes_on {
                note(&mut pool.acquire().await.unwrap()).await;
            }
            assert!(goes_on || log.is_doubtful(&mut pool.acquire().await.unwrap()).await.unwrap());
            let told = look().await.unwrap();
            assert!(told.contains(if is_added { "has written entry 4" } else { "taken away" }), "{told}");
        }
    }
}
