//! Where sessions are stored: a SQLite file, or PostgreSQL that several replicas share.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;
use moka::future::Cache;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::{
    ConnectOptions, Connection, FromRow, PgPool, SqlitePool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower_sessions::{
    ExpiredDeletion, SessionStore,
    cookie::time::{self, OffsetDateTime},
    session::{Id, Record},
    session_store,
};
use tower_sessions_sqlx_store::{PostgresStore, SqliteStore};

use super::{
    Registry,
    draft_store::{DRAFTS_IN_POSTGRES, DRAFTS_IN_SQLITE},
    record::{put_tokens, sign_in_of, user_of},
    sealed::{self, stored_id},
};
use crate::protocol::client::{KeptTokens, TokenPair};

/// Ended sessions are deleted at this interval.
const SWEEP: Duration = Duration::from_secs(10 * 60);
/// How long a request waits for a connection to the database.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long somebody waits for a lock whose holder asks the hub.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);
/// How long a lock is remembered that nobody asks for: longer than anybody holds one.
const LOCK_LIFETIME: Duration = Duration::from_secs(600);
/// Pauses before the tables of PostgreSQL are asked for again: replicas that start together get into each other's way.
const MIGRATION_PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(3)];
/// The channel of PostgreSQL on which replicas tell each other which sessions have ended.
const ENDED: &str = "atoll_session_ended";

/// Whose sessions there are, in which browsers and since when, in seconds since 1970: for the page that lists them to the
/// user. The sessions themselves are encrypted (see `sealed.rs`).
const SIGN_INS_IN_SQLITE: &str = "CREATE TABLE IF NOT EXISTS session_sign_in (
    session_id TEXT PRIMARY KEY REFERENCES tower_sessions (id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL,
    browser TEXT NOT NULL,
    since INTEGER NOT NULL,
    last_used INTEGER NOT NULL
)";
const SIGN_INS_IN_POSTGRES: &str = "CREATE TABLE IF NOT EXISTS tower_sessions.session_sign_in (
    session_id TEXT PRIMARY KEY REFERENCES tower_sessions.session (id) ON DELETE CASCADE,
    user_id BIGINT NOT NULL,
    browser TEXT NOT NULL,
    since BIGINT NOT NULL,
    last_used BIGINT NOT NULL
)";
/// A session of a user, as its page tells of it.
#[derive(FromRow)]
pub struct SessionOfUser {
    /// Under which it is stored.
    session_id: String,
    pub browser: String,
    pub since: i64,
    pub last_used: i64,
}

impl SessionOfUser {
    /// The id under which it is stored.
    pub fn id(&self) -> Option<Id> {
        self.session_id.parse().ok()
    }
}

/// Where a portal keeps its sessions.
#[derive(Debug, Clone)]
pub enum SessionsAt {
    /// A SQLite file, for a single portal.
    File(PathBuf),
    /// A database of PostgreSQL by its address (`postgres://user:password@host/database`), for several.
    Postgres(SecretString),
}

/// A store in which a session that has ended stays ended: a request that was under way stores its session at its end,
/// and would bring it back. So only [`SessionStore::create`] makes one, always under a new id, and
/// [`SessionStore::save`] changes what is there.
#[derive(Debug, Clone)]
pub enum Sessions {
    Sqlite(SqliteStore, SqlitePool),
    Postgres {
        store: PostgresStore,
        pool: PgPool,
        /// Connections that hold locks. Who has one needs another connection for what it is about, and never waits for it
        /// behind those who wait for locks.
        locks: PgPool,
    },
}

/// The locks of this process, where no other one has the sessions.
static LOCKS: LazyLock<Cache<String, Arc<Mutex<()>>>> =
    LazyLock::new(|| Cache::builder().max_capacity(100_000).time_to_idle(LOCK_LIFETIME).build());

/// Kinds of records that are no sessions: who was signed in in a browser, by its cookie, …
const BROWSER: &str = "browser";
/// … and which task came of a draft, by the draft's id, …
const TASK_OF_DRAFT: &str = "task of draft";
/// Stands in the place of the task.
const UNCERTAIN: &str = "uncertain";
/// … for longer than a session lasts.
const TASK_LIFETIME: time::Duration = time::Duration::days(3);

/// Under what such a record is stored: not by its key, which is a secret of a browser.
pub(super) fn id_of_note(kind: &str, key: &str) -> Id {
    let digest: [u8; 32] = Sha256::new().chain_update(kind).chain_update(" ").chain_update(key).finalize().into();
    Id(digest.first_chunk().map_or(0, |half| i128::from_be_bytes(*half)))
}

fn encoded(record: &Record) -> session_store::Result<Vec<u8>> {
    rmp_serde::to_vec(record).map_err(|error| session_store::Error::Encode(error.to_string()))
}

fn failed(error: sqlx::Error) -> session_store::Error {
    session_store::Error::Backend(error.to_string())
}

/// What a statement gives; one that takes longer than [`PATIENCE`] has failed.
pub(super) async fn bounded<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> session_store::Result<T> {
    timeout(PATIENCE, statement).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(failed)
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        // A session that goes on after its end, with a farewell, brings its old id along.
        record.id = Id::default();
        let mut stored = sealed::seal(record)?;
        let id = stored.id;
        match self {
            Sessions::Sqlite(store, _) => store.create(&mut stored).await,
            Sessions::Postgres { store, .. } => store.create(&mut stored).await,
        }?;
        if stored.id != id {
            // The library has found it taken, which no two of 2^128 are.
            return Err(session_store::Error::Backend("the id of a new session is taken".to_owned()));
        }
        self.note_sign_in(record).await
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        // Tokens that were renewed while the request was under way stay.
        let mut record = record.clone();
        if let Some(own) = sign_in_of(&record)
            && let Some(stored) = self.load(&record.id).await?.as_ref().and_then(sign_in_of)
            && stored.tokens().expires > own.tokens().expires
        {
            put_tokens(&mut record, &stored.tokens());
        }
        let stored = sealed::seal(&record)?;
        let (data, end, id) = (encoded(&stored)?, stored.expiry_date, stored.id.to_string());
        match self {
            Sessions::Sqlite(_, pool) => {
                let update = sqlx::query("UPDATE tower_sessions SET data = ?, expiry_date = ? WHERE id = ?");
                bounded(update.bind(data).bind(end).bind(id).execute(pool)).await.map(drop)
            }
            Sessions::Postgres { pool, .. } => {
                let update = sqlx::query("UPDATE tower_sessions.session SET data = $1, expiry_date = $2 WHERE id = $3");
                bounded(update.bind(data).bind(end).bind(id).execute(pool)).await.map(drop)
            }
        }?;
        self.note_sign_in(&record).await
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        Ok(self.load_stored(&stored_id(id)).await?.and_then(|stored| sealed::open(id, &stored)))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        self.delete_stored(&stored_id(id)).await
    }
}

/// The tokens of one session, which several portals use.
pub struct TokensOfSession {
    pub sessions: Sessions,
    pub id: Id,
}

#[async_trait]
impl KeptTokens for TokensOfSession {
    async fn lock(&self) -> Option<Box<dyn Send + Sync>> {
        self.sessions.lock(format!("tokens of {}", stored_id(&self.id))).await
    }

    async fn load(&self) -> Option<TokenPair> {
        let record = self.sessions.load(&self.id).await.ok()??;
        Some(sign_in_of(&record)?.tokens())
    }

    async fn store(&self, tokens: &TokenPair) {
        let stored = async {
            let Some(mut record) = self.sessions.load(&self.id).await? else { return Ok(()) };
            put_tokens(&mut record, tokens);
            self.sessions.save(&record).await
        };
        if let Err(error) = stored.await {
            tracing::error!(%error, "renewed tokens were not stored; whoever was signed in may have to sign in again");
        }
    }
}

impl Sessions {
    /// A record by the id under which it is stored.
    async fn load_stored(&self, id: &Id) -> session_store::Result<Option<Record>> {
        match self {
            Sessions::Sqlite(store, _) => store.load(id).await,
            Sessions::Postgres { store, .. } => {
                timeout(PATIENCE, store.load(id)).await.unwrap_or_else(|_| Err(failed(sqlx::Error::PoolTimedOut)))
            }
        }
    }

    /// Deletes a record by the id under which it is stored.
    pub async fn delete_stored(&self, id: &Id) -> session_store::Result<()> {
        match self {
            Sessions::Sqlite(store, _) => store.delete(id).await,
            Sessions::Postgres { pool, .. } => {
                // In one statement: what is gone is told.
                let delete = sqlx::query(
                    "WITH gone AS (DELETE FROM tower_sessions.session WHERE id = $1) SELECT pg_notify($2, $1)",
                );
                bounded(delete.bind(id.to_string()).bind(ENDED).execute(pool)).await.map(drop)
            }
        }
    }

    /// Notes whose session it is, once somebody has signed in; nothing if it has ended meanwhile.
    async fn note_sign_in(&self, record: &Record) -> session_store::Result<()> {
        let (Some(user_id), Some(sign_in)) = (user_of(record), sign_in_of(record)) else { return Ok(()) };
        let id = stored_id(&record.id).to_string();
        macro_rules! note {
            ($pool:expr, $statement:expr) => {{
                let note = sqlx::query($statement).bind(id).bind(user_id).bind(sign_in.browser);
                bounded(note.bind(sign_in.since).bind(sign_in.noted).execute($pool)).await.map(drop)
            }};
        }
        match self {
            Sessions::Sqlite(_, pool) => note!(
                pool,
                "INSERT INTO session_sign_in SELECT id, ?2, ?3, ?4, ?5 FROM tower_sessions WHERE id = ?1
                 ON CONFLICT (session_id) DO UPDATE SET last_used = excluded.last_used"
            ),
            Sessions::Postgres { pool, .. } => note!(
                pool,
                "INSERT INTO tower_sessions.session_sign_in SELECT id, $2, $3, $4, $5 FROM tower_sessions.session
                 WHERE id = $1 ON CONFLICT (session_id) DO UPDATE SET last_used = excluded.last_used"
            ),
        }
    }

    /// The open sessions of a user, at most a hundred, those first that were used last.
    pub async fn of_user(&self, user_id: i64) -> session_store::Result<Vec<SessionOfUser>> {
        let now = OffsetDateTime::now_utc();
        match self {
            Sessions::Sqlite(_, pool) => {
                let query = sqlx::query_as(
                    "SELECT session_id, browser, since, last_used FROM tower_sessions
                     JOIN session_sign_in ON session_id = id WHERE user_id = ? AND expiry_date > ?
                     ORDER BY last_used DESC LIMIT 100",
                );
                bounded(query.bind(user_id).bind(now).fetch_all(pool)).await
            }
            Sessions::Postgres { pool, .. } => {
                let query = sqlx::query_as(
                    "SELECT session_id, browser, since, last_used FROM tower_sessions.session
                     JOIN tower_sessions.session_sign_in ON session_id = id
                     WHERE user_id = $1 AND expiry_date > $2
                     ORDER BY last_used DESC LIMIT 100",
                );
                bounded(query.bind(user_id).bind(now).fetch_all(pool)).await
            }
        }
    }

    /// Remembers that this user was signed in in the browser that has this cookie, in place of the one before.
    pub async fn remember_browser(
        &self,
        cookie: &str,
        before: &str,
        username: &str,
        lifetime: time::Duration,
    ) -> session_store::Result<()> {
        self.delete_stored(&id_of_note(BROWSER, before)).await?;
        self.note(BROWSER, cookie, username.into(), lifetime).await
    }

    /// Whether this user was signed in in the browser that has this cookie.
    pub async fn knows_browser(&self, cookie: &str, username: &str) -> session_store::Result<bool> {
        Ok(self.noted(BROWSER, cookie).await?.is_some_and(|known| known == username))
    }

    /// Notes which task came of a draft, beside the session: of that a request under way can bring back an older state.
    pub async fn note_task(&self, draft_id: &str, task_id: i64) -> session_store::Result<()> {
        // As text: the library's encoding has no numbers of JSON.
        self.note(TASK_OF_DRAFT, draft_id, task_id.to_string().into(), TASK_LIFETIME).await
    }

    /// Remembers that nobody knows whether a task came of a draft: the hub did not answer.
    pub async fn note_uncertain(&self, draft_id: &str) -> session_store::Result<()> {
        self.note(TASK_OF_DRAFT, draft_id, UNCERTAIN.into(), TASK_LIFETIME).await
    }

    /// Whether that was noted last.
    pub async fn is_uncertain(&self, draft_id: &str) -> session_store::Result<bool> {
        Ok(self.noted(TASK_OF_DRAFT, draft_id).await?.is_some_and(|noted| noted == UNCERTAIN))
    }

    /// The task that came of a draft.
    pub async fn task_of_draft(&self, draft_id: &str) -> session_store::Result<Option<i64>> {
        Ok(self.noted(TASK_OF_DRAFT, draft_id).await?.and_then(|task_id| task_id.as_str()?.parse().ok()))
    }

    async fn note(&self, kind: &str, key: &str, value: Value, lifetime: time::Duration) -> session_store::Result<()> {
        let data = HashMap::from([(kind.to_owned(), value)]);
        let record = Record { id: id_of_note(kind, key), data, expiry_date: OffsetDateTime::now_utc() + lifetime };
        match self {
            Sessions::Sqlite(store, _) => store.save(&record).await,
            Sessions::Postgres { store, .. } => store.save(&record).await,
        }
    }

    async fn noted(&self, kind: &str, key: &str) -> session_store::Result<Option<Value>> {
        let record = self.load_stored(&id_of_note(kind, key)).await?;
        Ok(record.and_then(|record| record.data.get(kind).cloned()))
    }

    /// Until what is returned is dropped, nobody else has this lock, here or at another replica. `None`: others had it for
    /// too long, or the database is away.
    pub async fn lock(&self, name: String) -> Option<Box<dyn Send + Sync>> {
        match self {
            Sessions::Sqlite(..) => {
                let lock = LOCKS.get_with(name, async { Arc::new(Mutex::new(())) }).await;
                let lock = timeout(LOCK_PATIENCE, lock.lock_owned()).await.ok()?;
                Some(Box::new(lock))
            }
            Sessions::Postgres { locks, .. } => {
                let lock = async {
                    let mut transaction = locks.begin().await?;
                    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
                        .bind(name)
                        .execute(&mut *transaction)
                        .await?;
                    Ok::<_, sqlx::Error>(transaction)
                };
                match timeout(LOCK_PATIENCE, lock).await {
                    Ok(Ok(transaction)) => Some(Box::new(std::sync::Mutex::new(transaction))),
                    _ => None,
                }
            }
        }
    }

    /// Whether the store answers.
    pub async fn is_up(&self) -> bool {
        self.load(&Id::default()).await.is_ok()
    }

    /// Opens the store and makes its tables where they are missing.
    pub async fn open(place: &SessionsAt) -> Result<Sessions, sqlx::Error> {
        match place {
            SessionsAt::File(path) => {
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Normal)
                    .busy_timeout(Duration::from_secs(10));
                let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
                let store = SqliteStore::new(pool.clone());
                store.migrate().await?;
                // Sessions of a version that did not encrypt them: people sign in again.
                let is_old = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'session_user')";
                if sqlx::query_scalar(is_old).fetch_one(&pool).await? {
                    sqlx::raw_sql("DROP TABLE session_user; DELETE FROM tower_sessions; VACUUM").execute(&pool).await?;
                }
                for table in [SIGN_INS_IN_SQLITE, DRAFTS_IN_SQLITE] {
                    sqlx::query(table).execute(&pool).await?;
                }
                Ok(Sessions::Sqlite(store, pool))
            }
            SessionsAt::Postgres(url) => {
                let options: PgConnectOptions = url.expose_secret().parse()?;
                let options = options.application_name("atoll");
                // First without a pool, which would only say that it took too long.
                timeout(PATIENCE, options.connect()).await.map_err(|_| sqlx::Error::PoolTimedOut)??.close().await?;
                let connections = || PgPoolOptions::new().max_connections(8);
                let locks = connections().acquire_timeout(LOCK_PATIENCE).connect_lazy_with(options.clone());
                let pool = connections().acquire_timeout(PATIENCE).connect_with(options).await?;
                let store = PostgresStore::new(pool.clone());
                migrate(&store, &pool).await?;
                Ok(Sessions::Postgres { store, pool, locks })
            }
        }
    }

    /// Deletes what has ended, until `stop`. With several replicas, also ends here what has ended at another one.
    pub fn keep_tidy(&self, registry: Arc<Registry>, stop: CancellationToken) {
        if let Sessions::Postgres { pool, .. } = self {
            tokio::spawn(hear_of_ends(pool.clone(), registry, stop.clone()));
        }
        let sessions = self.clone();
        tokio::spawn(async move {
            loop {
                let deleted = match &sessions {
                    Sessions::Sqlite(store, _) => store.delete_expired().await,
                    Sessions::Postgres { store, .. } => store.delete_expired().await,
                };
                if let Err(error) = deleted {
                    tracing::error!(%error, "ended sessions could not be deleted");
                }
                tokio::select! {
                    () = sleep(SWEEP) => {}
                    () = stop.cancelled() => return,
                }
            }
        });
    }
}

async fn make_own_tables(pool: &PgPool) -> Result<(), sqlx::Error> {
    // Sessions of a version that did not encrypt them: people sign in again.
    let is_old: bool =
        sqlx::query_scalar("SELECT to_regclass('tower_sessions.session_user') IS NOT NULL").fetch_one(pool).await?;
    if is_old {
        let forget = "DROP TABLE IF EXISTS tower_sessions.session_user; DELETE FROM tower_sessions.session";
        sqlx::raw_sql(forget).execute(pool).await?;
    }
    for table in [SIGN_INS_IN_POSTGRES, DRAFTS_IN_POSTGRES] {
        sqlx::query(table).execute(pool).await?;
    }
    Ok(())
}

/// Makes the tables. Of replicas that start together one makes them, and the others find them a little later.
async fn migrate(store: &PostgresStore, pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut pauses = MIGRATION_PAUSES.iter();
    loop {
        // It can be over without tables, when another replica was making them.
        let made = match store.migrate().await {
            Ok(()) => make_own_tables(pool).await,
            Err(error) => Err(error),
        };
        match (made, pauses.next()) {
            (Err(sqlx::Error::Database(_)), Some(pause)) => sleep(*pause).await,
            (made, _) => return made,
        }
    }
}

/// Ends the sessions that other replicas have ended: streams that are open here end with them.
async fn hear_of_ends(pool: PgPool, registry: Arc<Registry>, stop: CancellationToken) {
    let hear = async || -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(ENDED).await?;
        loop {
            match listener.try_recv().await? {
                Some(ended) => registry.forget(ended.payload()).await,
                // The connection was lost and is there again; nobody knows what was told meanwhile.
                None => registry.forget_all().await,
            }
        }
    };
    loop {
        tokio::select! {
            ended = hear() => {
                if let Err(error) = ended {
                    tracing::warn!(%error, "it is not heard which sessions end at other replicas; trying again");
                }
            }
            () = stop.cancelled() => return,
        }
        tokio::select! {
            () = sleep(PATIENCE) => {}
            () = stop.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sessions() -> (Sessions, Record, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(&SessionsAt::File(folder.path().join("sessions.sqlite"))).await.unwrap();
        let expiry_date = (OffsetDateTime::now_utc() + Duration::from_secs(60)).replace_nanosecond(0).unwrap();
        let mut record = Record { id: Id::default(), data: Default::default(), expiry_date };
        sessions.create(&mut record).await.unwrap();
        (sessions, record, folder)
    }

    #[tokio::test]
    async fn a_browser_is_known_for_the_user_who_was_signed_in_in_it() {
        let (sessions, _, _folder) = sessions().await;
        let knows = async |cookie, username| sessions.knows_browser(cookie, username).await.unwrap();
        assert!(!knows("first", "rosa").await);
        let lifetime = time::Duration::days(1);
        sessions.remember_browser("first", "", "rosa", lifetime).await.unwrap();
        assert_eq!((knows("first", "rosa").await, knows("first", "ada").await), (true, false));
        sessions.remember_browser("second", "first", "rosa", lifetime).await.unwrap();
        assert_eq!((knows("first", "rosa").await, knows("second", "rosa").await), (false, true));
        sessions.remember_browser("second", "", "rosa", -lifetime).await.unwrap();
        assert!(!knows("second", "rosa").await);
    }

    #[tokio::test]
    async fn a_session_that_ended_is_not_brought_back_by_a_request_under_way() {
        let (sessions, record, _folder) = sessions().await;
        let under_way = sessions.load(&record.id).await.unwrap().unwrap();
        sessions.delete(&record.id).await.unwrap();
        sessions.save(&under_way).await.unwrap();
        assert_eq!(sessions.load(&record.id).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_begins_after_an_end_has_an_id_of_its_own_and_can_be_saved() {
        let (sessions, mut record, _folder) = sessions().await;
        let ended = record.id;
        sessions.delete(&ended).await.unwrap();
        sessions.create(&mut record).await.unwrap();
        assert_ne!(record.id, ended);
        record.data.insert("more".to_owned(), serde_json::json!(1));
        sessions.save(&record).await.unwrap();
        assert_eq!(sessions.load(&record.id).await.unwrap(), Some(record));
    }

    #[tokio::test]
    async fn whoever_reads_the_file_can_neither_act_as_somebody_nor_read_what_they_do() {
        let (sessions, mut record, folder) = sessions().await;
        record.data.insert("draft".to_owned(), serde_json::json!("a secret word"));
        sessions.save(&record).await.unwrap();
        assert_eq!(sessions.load(&record.id).await.unwrap().as_ref(), Some(&record));
        let mut all = Vec::new();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            all.extend(std::fs::read(file.unwrap().path()).unwrap());
        }
        let contains = |text: &str| all.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(contains(&stored_id(&record.id).to_string()) && contains("sealed"));
        assert!(!contains("a secret word") && !contains(&record.id.to_string()));
        // What stands there as an id opens nothing.
        assert_eq!(sessions.load(&stored_id(&record.id)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn sessions_of_a_version_that_did_not_encrypt_them_are_gone() {
        let (sessions, record, folder) = sessions().await;
        let Sessions::Sqlite(_, pool) = &sessions else { panic!("a file") };
        sqlx::query("CREATE TABLE session_user (session_id TEXT)").execute(pool).await.unwrap();
        let again = Sessions::open(&SessionsAt::File(folder.path().join("sessions.sqlite"))).await.unwrap();
        assert_eq!(again.load(&record.id).await.unwrap(), None);
        let mut record = record;
        again.create(&mut record).await.unwrap();
        assert!(again.load(&record.id).await.unwrap().is_some());
    }
}
