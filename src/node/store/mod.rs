//! The node's own SQLite file: what it has to remember when it or the server was away. It is the authority for
//! everything that is decided about this node's runs; what the hub knows is told to it from here.

mod answer;
mod decision;
mod difference;
mod page_code;
mod review;
mod started;

use std::{path::Path, sync::Arc, time::Duration};

use sqlx::{
    Connection, Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::{
    sync::{OnceCell, watch},
    time::{Instant, sleep},
};

use crate::{
    audit::{self, Continuity, Entry, HeadFile, HeadKey, LastHead, Signed},
    sqlite::one_writer,
};

pub use answer::{Kept, Question, ToTell};
pub use decision::DecideError;
pub use review::{About, NOBODY_DECIDED, StoredReview};
pub use started::{KeptOutcome, Start, Started};

/// How often it is looked whether another process, the command line, has written to the file.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// How long a command waits until the node has signed what it wrote.
const SIGN_PATIENCE: Duration = Duration::from_secs(5);

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
}

/// How a command signs.
struct Signs {
    key: HeadKey,
    file: HeadFile,
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
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let path = Path::new(&beside);
        keep_private(path)?;
        let file = std::fs::File::options().append(true).open(path)?;
        let begin = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                // The one before may be about to end.
                Err(std::fs::TryLockError::WouldBlock) if begin.elapsed() < LOCK_PATIENCE => sleep(LOOK_PAUSE).await,
                Err(std::fs::TryLockError::WouldBlock) => return Err(StoreError::InUse),
                Err(std::fs::TryLockError::Error(error)) => return Err(error.into()),
            }
        }
    }

    /// Opens the file, makes it if it is missing, readable for its owner only, and brings it to the present schema.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
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
        sqlx::migrate!("src/node/store/migrations").run(&pool).await?;
        let mut connection = pool.acquire().await?;
        audit::prepare_as(&mut connection, own_schema().await?).await?;
        drop(connection);
        Ok(NodeStore { pool, changes: watch::Sender::new(0), log, signs: None })
    }

    /// Opens the file for a command that decides.
    pub async fn open_for_command(path: &Path, key: HeadKey) -> Result<Self, StoreError> {
        let signs = Some(Arc::new(Signs { key, file: HeadFile::beside(path) }));
        Ok(NodeStore { signs, ..NodeStore::open(path).await? })
    }

    /// What the node knows of its audit log.
    pub fn log(&self) -> &Continuity {
        &self.log
    }

    /// Begins what stands in the audit log, too. A command waits until the node has signed its own entries, so that the
    /// command signs none of somebody else.
    async fn begin_noted(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        let begin = Instant::now();
        loop {
            let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            let Some(signs) = &self.signs else { return Ok(transaction) };
            if audit::is_end_signed(&mut transaction, &signs.key).await? {
                return Ok(transaction);
            }
            if begin.elapsed() >= SIGN_PATIENCE {
                let details = "a command found entries that nobody has signed, and wrote behind them";
                let entry = Entry::done("system", "audit.mismatch", "audit log").outcome("failed").details(details);
                audit::append(&mut transaction, &entry).await?;
                return Ok(transaction);
            }
            drop(transaction);
            // Between two entries of a busy node there is little time.
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends it; a command signs what it has written.
    async fn commit_noted(&self, mut transaction: Transaction<'static, Sqlite>) -> Result<(), StoreError> {
        let Some(signs) = &self.signs else { return Ok(transaction.commit().await?) };
        let before = signs.file.read(&signs.key);
        let mut end = before.as_ref().map(|last| last.head.clone());
        let signed = audit::sign_head(&mut transaction, &signs.key, &mut end).await?;
        if signed == Signed::Broken {
            let details = "a command found a log without the end that was signed last, and wrote to it";
            let entry = Entry::done("system", "audit.mismatch", "audit log").outcome("failed").details(details);
            audit::append(&mut transaction, &entry).await?;
        }
        transaction.commit().await?;
        // A node that works with the file signs it there by itself.
        if let (Signed::Holds, Some(LastHead { is_closed: true, .. }), Some(head)) = (signed, before, end) {
            signs.file.write(&signs.key, &LastHead { head, is_closed: true })?;
        }
        Ok(())
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

    /// Which station this is: that with this file.
    pub async fn station(&self) -> Result<String, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let known: Option<String> =
            sqlx::query_scalar("SELECT id FROM station").fetch_optional(&mut *transaction).await?;
        if let Some(id) = known {
            return Ok(id);
        }
        let id = uuid::Uuid::new_v4().to_string();
        sqlx::query("INSERT INTO station (id) VALUES (?)").bind(&id).execute(&mut *transaction).await?;
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

/// Makes a file that only its owner may read, or makes it so.
fn keep_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        let file = options.mode(0o600).open(path)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    #[cfg(not(unix))]
    options.open(path)?;
    Ok(())
}
