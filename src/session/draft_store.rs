//! Drafts of tasks in the session store, each by itself: a draft outlives the session in which it was begun, and belongs to
//! its user. It is encrypted by its id, a random number that only its address has, as sessions are by theirs.

use serde::{Deserialize, Serialize};
use tower_sessions::{
    SessionStore,
    cookie::time::{Duration, OffsetDateTime},
    session::{Id, Record},
    session_store,
};

use super::{
    Draft, Unsent,
    sealed::{self, stored_id},
    store::{Sessions, bounded, id_of_note},
};

/// A draft is there for so long after it was changed last.
const LIFETIME: Duration = Duration::days(30);
/// For so long it is known what somebody sent who had to sign in first.
const UNSENT_LIFETIME: Duration = Duration::days(1);
/// The most drafts of a user, and their bytes in all; the oldest go.
const MOST: usize = 50;
const BYTES: i64 = 2 * 1024 * 1024;
/// What an encrypted record holds.
const DRAFT: &str = "draft";
const UNSENT: &str = "unsent of draft";
const LIST: &str = "drafts of browser";

/// Which drafts a user has, under which they are stored, and since when they are as they are, in microseconds since 1970.
pub(super) const DRAFTS_IN_SQLITE: &str = "CREATE TABLE IF NOT EXISTS task_draft (
    session_id TEXT PRIMARY KEY REFERENCES tower_sessions (id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL,
    digest TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    saved INTEGER NOT NULL
)";
pub(super) const DRAFTS_IN_POSTGRES: &str = "CREATE TABLE IF NOT EXISTS tower_sessions.task_draft (
    session_id TEXT PRIMARY KEY REFERENCES tower_sessions.session (id) ON DELETE CASCADE,
    user_id BIGINT NOT NULL,
    digest TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    saved BIGINT NOT NULL
)";

/// The secret by which a draft of a user is found and read.
fn id_of(user_id: i64, draft_id: &str) -> Id {
    id_of_note(DRAFT, &format!("{user_id} {draft_id}"))
}

fn id_of_unsent(user_id: i64, draft_id: &str) -> Id {
    id_of_note(UNSENT, &format!("{user_id} {draft_id}"))
}

/// The secret by which the list of a user's drafts that they began in one browser is found and read; `key` is the browser's.
fn id_of_list(user_id: i64, key: &str) -> Id {
    id_of_note(LIST, &format!("{user_id} {key}"))
}

/// Under what a draft is known, whosever it is.
fn digest_of(draft_id: &str) -> String {
    stored_id(&id_of_note(DRAFT, draft_id)).to_string()
}

impl Sessions {
    /// The draft of a user with this id.
    pub async fn load_draft(&self, user_id: i64, draft_id: &str) -> session_store::Result<Option<Draft>> {
        self.load_sealed(id_of(user_id, draft_id), DRAFT).await
    }

    /// Stores a draft, as the newest.
    pub async fn save_draft(&self, user_id: i64, draft: &Draft) -> session_store::Result<()> {
        let id = id_of(user_id, &draft.id);
        let bytes = self.save_sealed(id, DRAFT, draft, LIFETIME).await?;
        self.note_draft(user_id, digest_of(&draft.id), &stored_id(&id), bytes).await?;
        self.delete_old_drafts(user_id).await
    }

    /// Deletes a draft of a user.
    pub async fn delete_draft(&self, user_id: i64, draft_id: &str) -> session_store::Result<()> {
        self.delete(&id_of(user_id, draft_id)).await
    }

    /// Puts a draft on top of the list of the browser that has this key. The list counts as one of the user's drafts.
    pub async fn put_on_list(&self, user_id: i64, key: &str, draft_id: &str) -> session_store::Result<()> {
        let id = id_of_list(user_id, key);
        // Two tabs change it, too.
        let _lock = self.lock(format!("list {}", stored_id(&id))).await;
        let mut list: Vec<(String, i64)> = self.load_sealed(id, LIST).await?.unwrap_or_default();
        list.retain(|(other, _)| other != draft_id);
        list.insert(0, (draft_id.to_owned(), jiff::Timestamp::now().as_second()));
        list.truncate(MOST);
        let bytes = self.save_sealed(id, LIST, &list, LIFETIME).await?;
        self.note_draft(user_id, String::new(), &stored_id(&id), bytes).await?;
        self.delete_old_drafts(user_id).await
    }

    /// The drafts on this list that are still there and of which no task came, with the second since 1970 in which each was
    /// put there; the newest first.
    pub async fn listed_drafts(&self, user_id: i64, key: &str) -> session_store::Result<Vec<(Draft, i64)>> {
        let list: Option<Vec<(String, i64)>> = self.load_sealed(id_of_list(user_id, key), LIST).await?;
        let mut drafts = Vec::new();
        for (draft_id, listed) in list.unwrap_or_default() {
            let draft = self.load_draft(user_id, &draft_id).await?.filter(|draft| draft.task_id.is_none());
            drafts.extend(draft.map(|draft| (draft, listed)));
        }
        Ok(drafts)
    }

    /// What is too much of a user goes, the oldest first.
    async fn delete_old_drafts(&self, user_id: i64) -> session_store::Result<()> {
        let mut total = 0;
        let drafts = self.drafts_of(user_id).await?;
        let excess = drafts.into_iter().enumerate().filter(|(place, (_, bytes))| {
            total += bytes;
            // The newest is there, however large.
            *place > 0 && (*place >= MOST || total > BYTES)
        });
        for (_, (old, _)) in excess {
            if let Ok(old) = old.parse() {
                self.delete_stored(&old).await?;
            }
        }
        Ok(())
    }

    /// Keeps what somebody sent for a draft before they have signed in. It belongs to the draft's user, and counts as one of
    /// their drafts.
    pub async fn keep_unsent(&self, draft_id: &str, unsent: &Unsent) -> session_store::Result<()> {
        let Some(user_id) = self.user_of_draft(draft_id).await? else { return Ok(()) };
        let id = id_of_unsent(user_id, draft_id);
        let bytes = self.save_sealed(id, UNSENT, unsent, UNSENT_LIFETIME).await?;
        self.note_draft(user_id, String::new(), &stored_id(&id), bytes).await?;
        self.delete_old_drafts(user_id).await
    }

    /// What was kept like that for this user, once.
    pub async fn take_unsent(&self, user_id: i64, draft_id: &str) -> session_store::Result<Option<Unsent>> {
        let id = id_of_unsent(user_id, draft_id);
        let unsent = self.load_sealed(id, UNSENT).await?;
        if unsent.is_some() {
            self.delete(&id).await?;
        }
        Ok(unsent)
    }

    async fn load_sealed<T: for<'de> Deserialize<'de>>(&self, id: Id, name: &str) -> session_store::Result<Option<T>> {
        let record = self.load(&id).await?;
        let value = record.and_then(|mut record| record.data.remove(name));
        Ok(value.and_then(|value| serde_json::from_value(value).ok()))
    }

    /// Answers with how many bytes it has.
    async fn save_sealed(
        &self,
        id: Id,
        name: &str,
        value: &impl Serialize,
        lifetime: Duration,
    ) -> session_store::Result<i64> {
        let value = serde_json::to_value(value).map_err(|error| session_store::Error::Encode(error.to_string()))?;
        let expiry_date = OffsetDateTime::now_utc() + lifetime;
        let stored = sealed::seal(&Record { id, data: [(name.to_owned(), value)].into(), expiry_date })?;
        let bytes = stored.data.values().map(|sealed| sealed.as_str().map_or(0, str::len)).sum::<usize>();
        match self {
            Sessions::Sqlite(store, _) => store.save(&stored).await,
            Sessions::Postgres { store, .. } => store.save(&stored).await,
        }?;
        Ok(i64::try_from(bytes).unwrap_or(i64::MAX))
    }

    async fn note_draft(&self, user_id: i64, digest: String, stored: &Id, bytes: i64) -> session_store::Result<()> {
        let (id, saved) = (stored.to_string(), jiff::Timestamp::now().as_microsecond());
        macro_rules! note {
            ($pool:expr, $table:literal, $sessions:literal) => {{
                let statement = concat!(
                    "INSERT INTO ",
                    $table,
                    " SELECT id, $2, $3, $4, $5 FROM ",
                    $sessions,
                    " WHERE id = $1 ON CONFLICT (session_id) DO UPDATE SET bytes = excluded.bytes, saved = excluded.saved"
                );
                let note = sqlx::query(statement).bind(id).bind(user_id).bind(digest).bind(bytes).bind(saved);
                bounded(note.execute($pool)).await.map(drop)
            }};
        }
        match self {
            Sessions::Sqlite(_, pool) => note!(pool, "task_draft", "tower_sessions"),
            Sessions::Postgres { pool, .. } => note!(pool, "tower_sessions.task_draft", "tower_sessions.session"),
        }
    }

    /// Under what the drafts of a user are stored, with their bytes, the newest on top.
    async fn drafts_of(&self, user_id: i64) -> session_store::Result<Vec<(String, i64)>> {
        match self {
            Sessions::Sqlite(_, pool) => {
                let query = "SELECT session_id, bytes FROM task_draft WHERE user_id = ? ORDER BY saved DESC";
                bounded(sqlx::query_as(query).bind(user_id).fetch_all(pool)).await
            }
            Sessions::Postgres { pool, .. } => {
                let query =
                    "SELECT session_id, bytes FROM tower_sessions.task_draft WHERE user_id = $1 ORDER BY saved DESC";
                bounded(sqlx::query_as(query).bind(user_id).fetch_all(pool)).await
            }
        }
    }

    /// Whose draft has this id, which only their browser knows.
    pub async fn user_of_draft(&self, draft_id: &str) -> session_store::Result<Option<i64>> {
        let digest = digest_of(draft_id);
        match self {
            Sessions::Sqlite(_, pool) => {
                let query = "SELECT user_id FROM task_draft WHERE digest = ?";
                bounded(sqlx::query_scalar(query).bind(digest).fetch_optional(pool)).await
            }
            Sessions::Postgres { pool, .. } => {
                let query = "SELECT user_id FROM tower_sessions.task_draft WHERE digest = $1";
                bounded(sqlx::query_scalar(query).bind(digest).fetch_optional(pool)).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::SessionsAt;

    #[tokio::test]
    async fn a_draft_is_its_user_s_and_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sessions.sqlite");
        let sessions = Sessions::open(&SessionsAt::File(file.clone())).await.unwrap();
        let large = |bytes: usize| Draft { description: "secret ".repeat(bytes / 7), ..Draft::new() };
        let first = large(700);
        sessions.save_draft(7, &first).await.unwrap();
        assert_eq!(sessions.load_draft(7, &first.id).await.unwrap(), Some(first.clone()));
        assert_eq!(sessions.load_draft(8, &first.id).await.unwrap(), None);
        // Whoever has the file reads nothing of it.
        let stored =
            std::fs::read(&file).unwrap().into_iter().chain(std::fs::read(file.with_extension("sqlite-wal")).unwrap());
        let stored = String::from_utf8_lossy(&stored.collect::<Vec<_>>()).into_owned();
        assert!(!stored.contains("secret secret") && !stored.contains(&first.id));
        for (bytes, count, kept) in [(10, 60, 50), (600_000, 4, 2), (3_000_000, 1, 1), (10, 1, 1)] {
            let mut last = Draft::new();
            for _ in 0..count {
                last = large(bytes);
                sessions.save_draft(7, &last).await.unwrap();
            }
            assert_eq!(sessions.drafts_of(7).await.unwrap().len(), kept, "{count} of {bytes}");
            assert_eq!(sessions.load_draft(7, &last.id).await.unwrap(), Some(last));
        }
        assert_eq!(sessions.load_draft(7, &first.id).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_browser_lists_the_drafts_of_its_user_that_are_still_there() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(&SessionsAt::File(folder.path().join("sessions.sqlite"))).await.unwrap();
        let listed = async |user_id, key| {
            let drafts = sessions.listed_drafts(user_id, key).await.unwrap().into_iter();
            drafts.map(|(draft, _)| draft.id).collect::<Vec<_>>()
        };
        let drafts = [Draft::new(), Draft::new(), Draft { task_id: Some(1), ..Draft::new() }, Draft::new()];
        for draft in drafts.iter().chain([&drafts[0]]) {
            sessions.save_draft(7, draft).await.unwrap();
            sessions.put_on_list(7, "key", &draft.id).await.unwrap();
        }
        assert_eq!(listed(7, "key").await, [&drafts[0], &drafts[3], &drafts[1]].map(|draft| draft.id.clone()));
        assert!(listed(8, "key").await.is_empty() && listed(7, "other").await.is_empty());
        sessions.delete_draft(8, &drafts[3].id).await.unwrap();
        sessions.delete_draft(7, &drafts[0].id).await.unwrap();
        assert_eq!(listed(7, "key").await, [&drafts[3], &drafts[1]].map(|draft| draft.id.clone()));
        for _ in 0..60 {
            let draft = Draft::new();
            sessions.save_draft(7, &draft).await.unwrap();
            sessions.put_on_list(7, "key", &draft.id).await.unwrap();
        }
        assert_eq!(listed(7, "key").await.len(), MOST - 1, "the list is there itself");
    }

    #[tokio::test]
    async fn what_was_sent_without_being_signed_in_is_taken_over_once() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(&SessionsAt::File(folder.path().join("sessions.sqlite"))).await.unwrap();
        let draft = Draft::new();
        let unsent = Unsent { step: "name".to_owned(), fields: vec![("name".to_owned(), "typed".to_owned())] };
        sessions.keep_unsent(&draft.id, &unsent).await.unwrap();
        assert_eq!(sessions.user_of_draft(&draft.id).await.unwrap(), None);
        sessions.save_draft(7, &draft).await.unwrap();
        assert_eq!(sessions.user_of_draft(&draft.id).await.unwrap(), Some(7));
        assert_eq!(sessions.take_unsent(7, &draft.id).await.unwrap(), None, "nobody had such a draft");
        sessions.keep_unsent(&draft.id, &unsent).await.unwrap();
        assert_eq!(sessions.take_unsent(8, &draft.id).await.unwrap(), None, "it is another one's");
        assert_eq!(sessions.take_unsent(7, &draft.id).await.unwrap(), Some(unsent.clone()));
        assert_eq!(sessions.take_unsent(7, &draft.id).await.unwrap(), None);
        // However many there are.
        for _ in 0..60 {
            let draft = Draft::new();
            sessions.save_draft(7, &draft).await.unwrap();
            sessions.keep_unsent(&draft.id, &unsent).await.unwrap();
        }
        assert_eq!(sessions.drafts_of(7).await.unwrap().len(), MOST);
    }
}
