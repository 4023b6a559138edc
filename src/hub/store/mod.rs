//! The hub's SQLite file: one connection that writes, several that read, WAL, foreign keys on.

mod authority;
mod change;
pub use authority::container_epoch;
pub use change::Change;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use moka::sync::Cache;
use sqlx::{
    SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::{OnceCell, watch};

use super::{
    HubError,
    audit::ForeignWrites,
    permission::{Authority, DEFAULT_ROLES, RULES},
    second_factor,
    secret::{SecretKey, is_plain},
};
use crate::{
    audit::{self, Continuity},
    sqlite::{has_ended, one_writer},
};

/// How long it is believed what somebody may do, should a change ever not be noticed.
const AUTHORITY_LIFETIME: std::time::Duration = std::time::Duration::from_secs(5);

/// The database with what is cached of it. This process is the only one that writes to the file, so a cache that
/// is emptied at each write is never stale.
pub struct Store {
    reader: SqlitePool,
    lists: SqlitePool,
    writer: SqlitePool,
    authorities: Cache<AuthorityKey, Arc<Authority>>,
    /// Counts changes: what was read before one is not kept after it.
    generation: watch::Sender<u64>,
    /// What the hub knows of its audit log.
    log: Arc<Continuity>,
    foreign_writes: Arc<ForeignWrites>,
    /// Whether there was nothing in the file when it was opened.
    is_new: bool,
    /// What was not as the hub makes it when the file was opened.
    found: Option<String>,
}

/// The triggers and views that the hub makes.
pub async fn own_schema() -> Result<&'static audit::Made, HubError> {
    static OWN: OnceCell<audit::Made> = OnceCell::const_new();
    OWN.get_or_try_init(make_schema).await
}

async fn make_schema() -> Result<audit::Made, HubError> {
    let memory = one_writer().connect("sqlite::memory:").await?;
    sqlx::migrate!("src/hub/store/migrations").run(&memory).await?;
    let mut memory = memory.acquire().await?;
    audit::prepare(&mut memory).await?;
    Ok(audit::made(&mut memory).await?)
}

/// The pool over which everything is written, watched for what others write.
fn watched_writer(log: &Arc<Continuity>, foreign: &Arc<ForeignWrites>) -> SqlitePoolOptions {
    let (log_opened, foreign_opened) = (log.clone(), foreign.clone());
    let pool = one_writer().after_connect(move |connection, _| {
        let (log, foreign) = (log_opened.clone(), foreign_opened.clone());
        Box::pin(async move {
            foreign.opened(connection).await?;
            log.watch(connection).await
        })
    });
    let (log_taken, foreign_taken) = (log.clone(), foreign.clone());
    let pool = pool.before_acquire(move |connection, _| {
        let (log, foreign) = (log_taken.clone(), foreign_taken.clone());
        Box::pin(async move {
            log.taken();
            foreign.taken(connection).await?;
            Ok(true)
        })
    });
    let foreign = foreign.clone();
    pool.after_release(move |connection, _| {
        let foreign = foreign.clone();
        Box::pin(async move {
            let has_ended = has_ended(connection).await?;
            if has_ended {
                foreign.given_back(connection).await?;
            }
            Ok(has_ended)
        })
    })
}

/// For how long somebody may read over a connection for lists.
const LIST_TIME: Duration = Duration::from_secs(2);
/// How often SQLite looks whether that is over, in steps of its own.
const STEPS: i32 = 1_000;

/// From now on what is read over this connection ends after a while.
async fn end_soon(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let end = Instant::now() + LIST_TIME;
    connection.lock_handle().await?.set_progress_handler(STEPS, move || Instant::now() < end);
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum AuthorityKey {
    User(i64),
    Node(i64),
}

impl Store {
    /// Opens the file, makes it if it is missing, and brings it to the present schema.
    pub async fn open(path: &Path) -> Result<Self, HubError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A transaction that was answered is on the disk, also after a power failure.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("cache_size", "-8000")
            .busy_timeout(std::time::Duration::from_secs(10));
        let (log, foreign_writes) = (Continuity::new(), ForeignWrites::new());
        let writer = watched_writer(&log, &foreign_writes).connect_with(options.clone()).await?;
        // Before the schema is compared, so that nothing comes in between.
        foreign_writes.begin(&options).await?;
        let is_new = audit::is_new(&mut *writer.acquire().await?).await?;
        sqlx::migrate!("src/hub/store/migrations").run(&writer).await?;
        let mut connection = writer.acquire().await?;
        let found = audit::prepare_as(&mut connection, own_schema().await?, &log, is_new).await?;
        drop(connection);
        // Each of them keeps pages of its own; what is large fills them.
        let options = options.read_only(true).pragma("cache_size", "-2500");
        let reader =
            SqlitePoolOptions::new().min_connections(1).max_connections(4).connect_with(options.clone()).await?;
        let lists = SqlitePoolOptions::new()
            .min_connections(1)
            .max_connections(3)
            .after_connect(|connection, _| Box::pin(end_soon(connection)))
            .before_acquire(|connection, _| Box::pin(async move { end_soon(connection).await.map(|()| true) }))
            .connect_with(options)
            .await?;
        let store = Store {
            reader,
            lists,
            writer,
            authorities: Cache::builder().max_capacity(10_000).time_to_live(AUTHORITY_LIFETIME).build(),
            generation: watch::Sender::new(0),
            log,
            foreign_writes,
            is_new,
            found,
        };
        store.write_rules_and_roles().await?;
        // Whoever was connected when the last process ended is not connected to this one.
        let mut transaction = store.writer.begin().await?;
        sqlx::query("UPDATE node SET online = 0").execute(&mut *transaction).await?;
        sqlx::query("DELETE FROM node_config").execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(store)
    }

    /// What was not as the hub makes it when the file was opened, and has to stand in the log.
    pub fn found(&self) -> Option<&str> {
        self.found.as_deref()
    }

    /// Whether there was nothing in the file when it was opened: neither people nor a log.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether others write to the file.
    pub fn foreign_writes(&self) -> &ForeignWrites {
        &self.foreign_writes
    }

    /// What the hub knows of its audit log.
    pub fn log(&self) -> &Continuity {
        &self.log
    }

    /// For queries that read.
    pub fn reader(&self) -> &SqlitePool {
        &self.reader
    }

    /// For lists, which callers filter and sort as they like: they take no connection from anything else, and end after a
    /// while.
    pub fn lists(&self) -> &SqlitePool {
        &self.lists
    }

    /// For what is written without being a change that somebody makes: attempts, tokens, states of nodes and runs,
    /// notices. What somebody changes goes through [`Store::change`]. One at a time; keep transactions short.
    pub fn bookkeeping(&self) -> &SqlitePool {
        &self.writer
    }

    /// Shows whether something can be stored at all.
    pub async fn write_something(&self) -> Result<(), HubError> {
        sqlx::query(
            "INSERT INTO setting (name, value) VALUES ('last_write', randomblob(8))
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// To be called after each change of users, roles, nodes, organizations and collaborations.
    pub fn forget_authorities(&self) {
        // Counted first, so that what is being read now is not kept; told last, so that who hears of it reads anew.
        self.generation.send_if_modified(|generation| {
            *generation += 1;
            false
        });
        self.authorities.invalidate_all();
        self.generation.send_modify(|_| {});
    }

    /// Changes with each change of users, roles, nodes, organizations and collaborations.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Families of refresh tokens that have ended before their time.
    pub async fn ended_families(&self) -> Result<Vec<uuid::Uuid>, HubError> {
        let families: Vec<String> = sqlx::query_scalar("SELECT family FROM ended_family WHERE until > unixepoch()")
            .fetch_all(&self.reader)
            .await?;
        Ok(families.iter().filter_map(|family| family.parse().ok()).collect())
    }

    /// The signing secret, made at the first start and stored encrypted.
    pub async fn signing_secret(&self, key: &SecretKey) -> Result<Vec<u8>, HubError> {
        const PURPOSE: &str = "signing";
        let stored: Option<Vec<u8>> = sqlx::query_scalar("SELECT value FROM setting WHERE name = 'signing_secret'")
            .fetch_optional(&self.writer)
            .await?;
        let text = stored.as_ref().and_then(|stored| std::str::from_utf8(stored).ok()).filter(|text| !is_plain(text));
        if let Some(text) = text {
            return key.open(PURPOSE, text);
        }
        // One that is not encrypted is of an old version, or of somebody who writes to the file: it is good no more.
        let secret = rand::random::<[u8; 32]>().to_vec();
        sqlx::query(
            "INSERT INTO setting (name, value) VALUES ('signing_secret', ?)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(key.seal(PURPOSE, &secret)?.into_bytes())
        .execute(&self.writer)
        .await?;
        Ok(secret)
    }

    /// Ends all tokens that were ever signed.
    pub async fn forget_signing_secret(&self) -> Result<(), HubError> {
        sqlx::query("DELETE FROM setting WHERE name = 'signing_secret'").execute(&self.writer).await?;
        Ok(())
    }

    /// Encrypts the second factors that a version without encryption stored.
    pub async fn encrypt_second_factors(&self, key: &SecretKey) -> Result<(), HubError> {
        let mut transaction = self.writer.begin().await?;
        for column in ["otp_secret", "otp_next_secret"] {
            let query = format!("SELECT id, {column} FROM user WHERE {column} IS NOT NULL");
            let all: Vec<(i64, String)> = sqlx::query_as(&query).fetch_all(&mut *transaction).await?;
            for (id, plain) in all.into_iter().filter(|(_, stored)| is_plain(stored)) {
                sqlx::query(&format!("UPDATE user SET {column} = ? WHERE id = ?"))
                    .bind(key.seal(second_factor::PURPOSE, plain.as_bytes())?)
                    .bind(id)
                    .execute(&mut *transaction)
                    .await?;
            }
        }
        Ok(transaction.commit().await?)
    }

    /// Rules and default roles are what this program says; roles made by people are left alone.
    async fn write_rules_and_roles(&self) -> Result<(), HubError> {
        let mut transaction = self.writer.begin().await?;
        for (index, (resource, scope, operation)) in RULES.iter().enumerate() {
            let id = index as i64 + 1;
            let (scope, operation) = (wire_name(scope)?, wire_name(operation)?);
            let description =
                format!("{} {} within scope {}", operation.to_lowercase(), resource.as_str(), scope.to_lowercase());
            sqlx::query(
                "INSERT INTO rule (id, resource, scope, operation, description) VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (id) DO UPDATE SET resource = excluded.resource, scope = excluded.scope,
                 operation = excluded.operation, description = excluded.description",
            )
            .bind(id)
            .bind(resource.as_str())
            .bind(scope)
            .bind(operation)
            .bind(description)
            .execute(&mut *transaction)
            .await?;
        }
        for role in &DEFAULT_ROLES {
            let known: Option<i64> = sqlx::query_scalar("SELECT id FROM role WHERE name = ? AND is_default_role = 1")
                .bind(role.name)
                .fetch_optional(&mut *transaction)
                .await?;
            let id = match known {
                Some(id) => id,
                None => sqlx::query("INSERT INTO role (name, description, is_default_role) VALUES (?, ?, 1)")
                    .bind(role.name)
                    .bind(role.description)
                    .execute(&mut *transaction)
                    .await?
                    .last_insert_rowid(),
            };
            sqlx::query("DELETE FROM role_rule WHERE role_id = ?").bind(id).execute(&mut *transaction).await?;
            for (resource, scope, operation) in (role.rules)() {
                sqlx::query(
                    "INSERT OR IGNORE INTO role_rule (role_id, rule_id)
                     SELECT ?, id FROM rule WHERE resource = ? AND scope = ? AND operation = ?",
                )
                .bind(id)
                .bind(resource.as_str())
                .bind(wire_name(&scope)?)
                .bind(wire_name(&operation)?)
                .execute(&mut *transaction)
                .await?;
            }
        }
        Ok(transaction.commit().await?)
    }
}

/// The name of a scope or an operation on the wire.
fn wire_name(value: &impl serde::Serialize) -> Result<String, HubError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        _ => Err(HubError::Internal("a scope or operation without a name".to_owned())),
    }
}

/// Another epoch of tokens, as SQL: no other one that there ever was, also where the database is from a backup.
pub const NEW_EPOCH: &str = "abs(random() >> 11)";

/// All tokens of a user end; the epoch in which new ones are issued. Authorities have to be forgotten afterwards.
pub async fn end_all_tokens(connection: &mut SqliteConnection, user_id: i64) -> Result<i64, HubError> {
    let query = format!("UPDATE user SET token_epoch = {NEW_EPOCH} WHERE id = ? RETURNING token_epoch");
    Ok(sqlx::query_scalar(&query).bind(user_id).fetch_one(connection).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_list_that_takes_too_long_ends_and_the_next_one_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("hub.sqlite")).await.unwrap();
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n";
        let begin = Instant::now();
        // More than there are connections.
        let lists = (0..5).map(|_| sqlx::query_scalar::<_, i64>(endless).fetch_one(store.lists()));
        let ended = futures::future::join_all(lists).await;
        for ended in ended {
            assert_eq!(HubError::from(ended.unwrap_err()).status_code(), 503);
        }
        assert!(begin.elapsed() < 4 * LIST_TIME, "{:?}", begin.elapsed());
        assert_eq!(sqlx::query_scalar::<_, i64>("SELECT 7").fetch_one(store.lists()).await.unwrap(), 7);
    }
}
