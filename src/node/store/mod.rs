//! The node's own SQLite file: what it has to remember when it or the server was away. It is the authority for
//! everything that is decided about this node's runs; what the hub knows is told to it from here.

mod answer;
mod decision;
mod difference;
mod page_code;
mod review;
mod started;
mod under_way;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    Connection, Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::{
    sync::{OnceCell, watch},
    time::{Instant, sleep},
};

use crate::{
    audit::{self, Continuity, Entry, HeadFile, HeadKey, LastHead},
    sqlite::{keep_private, one_writer},
};

pub use answer::{Kept, Question, ToTell};
pub use decision::DecideError;
pub use review::{About, NOBODY_DECIDED, StoredReview};
pub use started::{KeptOutcome, Start, Started};

/// How often it is looked whether another process, the command line, has written to the file.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// How long a station waits for the one before it to end.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Why the node's file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the node's state file: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the node's state file cannot be prepared: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error("the node's state file cannot be written: {0}")]
    File(#[from] std::io::Error),
    #[error("another node works with this state file: stop it first")]
    InUse,
    #[error("the node that is running has another API key than its configuration: start it again first")]
    OtherKey,
    #[error("the node's state file holds what cannot be read: {0}")]
    Unreadable(String),
}

/// The open file. Clones share it.
#[derive(Clone)]
pub struct NodeStore {
    pool: SqlitePool,
    changes: watch::Sender<u64>,
    /// What the node knows of its audit log.
    log: Arc<Continuity>,
    /// With what a command signs what it has written: the node that works with the file would take that for somebody
    /// else's.
    signs: Option<Arc<Signs>>,
    /// What was not as the node makes it when the file was opened.
    found: Option<String>,
}

/// How a command signs.
struct Signs {
    key: HeadKey,
    state: PathBuf,
}

impl Signs {
    /// Puts the present end into the file beside the database, so that what the command wrote is missed when somebody takes it
    /// away. A node that works with the file does it by itself.
    async fn move_end(&self, pool: &SqlitePool) -> Result<(), StoreError> {
        let Some(_lock) = try_lock(&self.state)? else { return Ok(()) };
        let file = HeadFile::beside(&self.state);
        // What was left open, or is not the log of before, the next start tells.
        let Some(last @ LastHead { is_closed: true, .. }) = file.read(&self.key) else { return Ok(()) };
        let mut connection = pool.acquire().await?;
        let behind = audit::behind(&mut connection, &self.key, last.head.id).await?;
        if audit::holds(&mut connection, &last.head).await?
            && behind.iter().all(|behind| behind.is_of_command)
            && let Some(end) = behind.last()
        {
            file.write(&self.key, &LastHead { head: end.entry.clone(), is_closed: true })?;
        }
        Ok(())
    }
}

/// The triggers and views that a node makes.
pub async fn own_schema() -> Result<&'static audit::Made, StoreError> {
    static OWN: OnceCell<audit::Made> = OnceCell::const_new();
    OWN.get_or_try_init(make_schema).await
}

async fn make_schema() -> Result<audit::Made, StoreError> {
    let memory = one_writer().connect("sqlite::memory:").await?;
    sqlx::migrate!("src/node/store/migrations").run(&memory).await?;
    let mut memory = memory.acquire().await?;
    audit::prepare(&mut memory).await?;
    Ok(audit::made(&mut memory).await?)
}

impl NodeStore {
    /// Keeps other stations away from this file for as long as what is given lives: each would take the other's runs for
    /// its own.
    pub async fn lock(path: &Path) -> Result<std::fs::File, StoreError> {
        let begin = Instant::now();
        loop {
            match try_lock(path)? {
                Some(file) => return Ok(file),
                // The one before may be about to end.
                None if begin.elapsed() < LOCK_PATIENCE => sleep(LOOK_PAUSE).await,
                None => return Err(StoreError::InUse),
            }
        }
    }

    /// Opens the file for a command: an entry says what was not as the node makes it.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let store = NodeStore::open_for_station(path).await?;
        if let Some(found) = &store.found {
            let entry = Entry::done("system", "audit.mismatch", "audit log").outcome("failed").details(found);
            let mut transaction = store.pool.begin_with("BEGIN IMMEDIATE").await?;
            audit::append(&mut transaction, &entry).await?;
            transaction.commit().await?;
        }
        Ok(store)
    }

    /// Opens the file, makes it if it is missing, readable for its owner only, and brings it to the present schema.
    pub async fn open_for_station(path: &Path) -> Result<Self, StoreError> {
        keep_private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // Results that were withheld leave no trace.
            .pragma("secure_delete", "ON")
            .busy_timeout(Duration::from_secs(10));
        // One connection: what is read before a write in one transaction is still so when it is written.
        let log = Continuity::new();
        let pool = log.watched(one_writer()).connect_with(options).await?;
        let is_new = audit::is_new(&mut *pool.acquire().await?).await?;
        sqlx::migrate!("src/node/store/migrations").run(&pool).await?;
        let mut connection = pool.acquire().await?;
        let found = audit::prepare_as(&mut connection, own_schema().await?, &log, is_new).await?;
        drop(connection);
        Ok(NodeStore { pool, changes: watch::Sender::new(0), log, signs: None, found })
    }

    /// Opens the file for a command that decides.
    pub async fn open_for_command(path: &Path, key: HeadKey) -> Result<Self, StoreError> {
        let file = HeadFile::beside(path);
        let is_running = path.exists() && try_lock(path)?.is_none();
        if is_running && file.is_readable() == Some(true) && file.read(&key).is_none() {
            return Err(StoreError::OtherKey);
        }
        let signs = Some(Arc::new(Signs { key, state: path.to_owned() }));
        Ok(NodeStore { signs, ..NodeStore::open(path).await? })
    }

    /// What was not as the node makes it when the file was opened, and has to stand in the log.
    pub fn found(&self) -> Option<&str> {
        self.found.as_deref()
    }

    /// What the node knows of its audit log.
    pub fn log(&self) -> &Continuity {
        &self.log
    }

    /// Ends what stands in the audit log, too; a command signs what it has written.
    async fn commit_noted(&self, mut transaction: Transaction<'static, Sqlite>) -> Result<(), StoreError> {
        let Some(signs) = &self.signs else { return Ok(transaction.commit().await?) };
        let own = self.log.own(&mut transaction).await?;
        audit::sign_entries(&mut transaction, &signs.key, &own).await?;
        transaction.commit().await?;
        signs.move_end(&self.pool).await
    }

    /// For reading the audit log.
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Whether a station has worked with this file before.
    pub async fn is_used(&self) -> Result<bool, StoreError> {
        let query = "SELECT EXISTS (SELECT 1 FROM station) OR EXISTS (SELECT 1 FROM audit)";
        Ok(sqlx::query_scalar(query).fetch_one(&self.pool).await?)
    }

    /// Which station this is: that with this file. A copy of the file, somewhere else, is another one: both could compute at
    /// once.
    pub async fn station(&self, path: &Path) -> Result<String, StoreError> {
        let place = place_of(path)?;
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let known: Option<(String, String)> =
            sqlx::query_as("SELECT id, place FROM station").fetch_optional(&mut *transaction).await?;
        // A file of an earlier version does not say where it was.
        let id = known.filter(|(_, before)| before.is_empty() || *before == place).map(|(id, _)| id);
        let id = id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        sqlx::query("DELETE FROM station").execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO station (id, place) VALUES (?, ?)")
            .bind(&id)
            .bind(place)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// Changes with each write, by this process or another.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Notes under which policies the node works from now on, if they are others than before.
    pub async fn note_policies(&self, policies: &str) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        audit::append_change(&mut transaction, &Entry::done("system", "policy.change", "node").details(policies))
            .await?;
        Ok(transaction.commit().await?)
    }

    fn tell(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Looks for writes of other processes, for as long as it is polled.
    pub async fn follow_others(&self, path: &Path) -> Result<(), StoreError> {
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await?;
        let mut last: i64 = 0;
        loop {
            let version: i64 = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut connection).await?;
            if version != last {
                last = version;
                self.tell();
            }
            sleep(LOOK_PAUSE).await;
        }
    }
}

/// What a file has that a copy of it has not.
fn place_of(path: &Path) -> std::io::Result<String> {
    let path = path.canonicalize()?;
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&path.metadata()?);
    #[cfg(not(unix))]
    let number = 0;
    Ok(format!("{number} {}", path.display()))
}

/// The lock of a state file, unless a station holds it.
fn try_lock(state_file: &Path) -> std::io::Result<Option<std::fs::File>> {
    let mut beside = state_file.as_os_str().to_owned();
    beside.push(".lock");
    let path = Path::new(&beside);
    keep_private(path)?;
    let file = std::fs::File::options().append(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}
