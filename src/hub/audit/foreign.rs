use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    audit::{self, Entry},
    hub::HubError,
};

/// Whether somebody else has written to the hub's file while it was open, to whatever table: SQLite tells each connection of
/// what others commit (<https://www.sqlite.org/pragma.html#pragma_data_version>). All that the hub writes goes through one
/// connection, which is asked whenever it is taken. Another one only watches: it knows what was committed when the first one
/// was given back, so that nobody hides what they write by making that one fail. Until the program ends.
#[derive(Default)]
pub struct ForeignWrites {
    state: Mutex<State>,
    watcher: tokio::sync::Mutex<Option<SqliteConnection>>,
    is_told: AtomicBool,
}

#[derive(Default)]
struct State {
    /// What the connection that writes has seen of others.
    of_writer: Option<i64>,
    /// What the one that watches had seen when the other was given back last.
    of_watcher: Option<i64>,
    /// What somebody has done, in words.
    found: Option<&'static str>,
}

const WRITTEN: &str = "somebody has written to the hub's file directly while the hub was running";
const ENDED: &str = "the hub's connection to its file was ended, as a trigger of somebody else can, and something was written meanwhile";

impl ForeignWrites {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What others commit from now on is seen, whatever becomes of the connection that writes.
    pub async fn begin(&self, options: &SqliteConnectOptions) -> Result<(), sqlx::Error> {
        let watcher = options.clone().read_only(true).connect().await?;
        *self.watcher.lock().await = Some(watcher);
        let of_watcher = self.watch().await;
        self.state().of_watcher = of_watcher;
        Ok(())
    }

    /// The connection that writes was opened, perhaps in the place of another one.
    pub async fn opened(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let of_writer = committed_by_others(connection).await?;
        let of_watcher = self.watch().await;
        let mut state = self.state();
        // The first time nobody watches yet.
        if state.of_writer.is_some() && (of_watcher.is_none() || state.of_watcher != of_watcher) {
            state.found.get_or_insert(ENDED);
        }
        (state.of_writer, state.of_watcher) = (Some(of_writer), of_watcher);
        Ok(())
    }

    /// The connection that writes is taken.
    pub async fn taken(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let of_writer = Some(committed_by_others(connection).await?);
        let mut state = self.state();
        if std::mem::replace(&mut state.of_writer, of_writer) != of_writer {
            state.found.get_or_insert(WRITTEN);
        }
        Ok(())
    }

    /// It is given back: what the hub has committed is there. What others have committed before the watcher looks is seen by
    /// the one that is given back, which does not see its own.
    pub async fn given_back(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let of_watcher = self.watch().await;
        self.taken(connection).await?;
        self.state().of_watcher = of_watcher;
        Ok(())
    }

    /// Whether others have written; notes the first time.
    pub async fn look(&self, connection: &mut SqliteConnection) -> Result<bool, HubError> {
        self.taken(connection).await?;
        let found = self.state().found;
        if let Some(details) = found
            && !self.is_told.load(Ordering::Relaxed)
        {
            tracing::error!(details, "the audit log may not be what it was");
            let entry = Entry::done("system", "audit.mismatch", "audit log").outcome("failed").details(details);
            audit::append(connection, &entry).await?;
        }
        Ok(found.is_some())
    }

    /// The entry that says so is stored.
    pub fn told(&self, were_seen: bool) {
        self.is_told.fetch_or(were_seen, Ordering::Relaxed);
    }

    /// What the connection that watches sees; `None` if there is none, or it was ended, too.
    async fn watch(&self) -> Option<i64> {
        committed_by_others(self.watcher.lock().await.as_mut()?).await.ok()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Changes with each commit of another connection.
async fn committed_by_others(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("PRAGMA data_version").fetch_one(connection).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::store::Store;
    use sqlx::{Connection, sqlite::SqliteConnectOptions};

    /// A store in which something stands, and somebody else who has its file open.
    async fn opened() -> (tempfile::TempDir, Store, SqliteConnection) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hub.sqlite");
        let store = Store::open(&file).await.unwrap();
        store.write_something().await.unwrap();
        let other = SqliteConnectOptions::new().filename(&file).connect().await.unwrap();
        (folder, store, other)
    }

    #[tokio::test]
    async fn what_others_write_before_the_first_look_is_seen() {
        for statement in [
            "UPDATE setting SET value = x'00'",
            "CREATE TRIGGER zz AFTER UPDATE ON user BEGIN UPDATE user SET disabled = 0; END",
        ] {
            let (_folder, store, mut other) = opened().await;
            sqlx::query(statement).execute(&mut other).await.unwrap();
            let mut connection = store.bookkeeping().acquire().await.unwrap();
            assert!(store.foreign_writes().look(&mut connection).await.unwrap(), "{statement}");
            store.log().begin(&mut connection).await.unwrap();
            let own = crate::hub::own_schema().await.unwrap();
            let key = crate::audit::HeadKey::derive(b"key");
            let (told, _) = store.log().look(&mut connection, &key, None, own).await.unwrap();
            assert_eq!(told.is_some_and(|told| told.contains("trigger zz")), statement.starts_with("CREATE"));
        }
    }

    #[tokio::test]
    async fn what_others_write_is_seen_and_what_the_hub_writes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::hub::store::Store::open(&folder.path().join("hub.sqlite")).await.unwrap();
        let writes = store.foreign_writes();
        let look = async || {
            let mut transaction = store.bookkeeping().begin().await.unwrap();
            let seen = writes.look(&mut transaction).await.unwrap();
            transaction.commit().await.unwrap();
            writes.told(seen);
            seen
        };
        for _ in 0..3 {
            assert!(!look().await);
            let change = store.change().await.unwrap();
            change.commit(&Entry::done("user 1", "user.edit", "user 1")).await.unwrap();
        }
        let options = SqliteConnectOptions::new().filename(folder.path().join("hub.sqlite"));
        let mut other = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        let entries = async |other: &mut sqlx::SqliteConnection| -> i64 {
            sqlx::query_scalar("SELECT COUNT(*) FROM audit").fetch_one(other).await.unwrap()
        };
        assert_eq!(entries(&mut other).await, 3);
        assert!(!look().await, "others may read");
        // As somebody who takes entries away and lets others come in their place.
        sqlx::query("CREATE TABLE trace (id INTEGER)").execute(&mut other).await.unwrap();
        assert!(look().await && look().await);
        assert_eq!(entries(&mut other).await, 4, "it is noted once");
        // The connection stays, however long; one that was opened anew is nobody else's.
        let options = store.bookkeeping().options();
        assert_eq!((options.get_max_lifetime(), options.get_idle_timeout()), (None, None));
        store.bookkeeping().acquire().await.unwrap().close().await.unwrap();
        assert!(look().await);
        assert_eq!(entries(&mut other).await, 4);
    }

    #[tokio::test]
    async fn a_connection_that_fails_tells_of_nobody_and_hides_nobody() {
        // As a full disk, or an id that is the last there is, makes one fail.
        for is_foreign in [false, true] {
            let (_folder, store, mut other) = opened().await;
            // Whatever others write between the hub's own transactions of one use …
            let mut connection = store.bookkeeping().acquire().await.unwrap();
            if is_foreign {
                sqlx::query("UPDATE setting SET value = x'00'").execute(&mut other).await.unwrap();
            }
            // … that ends in a failure.
            let mut transaction = connection.begin().await.unwrap();
            sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
            assert!(transaction.commit().await.is_err());
            connection.close().await.unwrap();
            let mut connection = store.bookkeeping().acquire().await.unwrap();
            assert_eq!(store.foreign_writes().look(&mut connection).await.unwrap(), is_foreign);
        }
        // Also what they wrote while it was in use, and it failed when it was to be used again.
        let (_folder, store, mut other) = opened().await;
        let mut connection = store.bookkeeping().acquire().await.unwrap();
        sqlx::query("UPDATE setting SET value = x'00'").execute(&mut other).await.unwrap();
        sqlx::query("UPDATE setting SET value = x'01'").execute(&mut *connection).await.unwrap();
        drop(connection);
        store.bookkeeping().acquire().await.unwrap().close().await.unwrap();
        assert!(store.foreign_writes().look(&mut store.bookkeeping().acquire().await.unwrap()).await.unwrap());
        // What was seen once stays seen, also if nothing could be told then.
        let (_folder, store, mut other) = opened().await;
        sqlx::query("UPDATE setting SET value = x'00'").execute(&mut other).await.unwrap();
        for _ in 0..3 {
            store.bookkeeping().acquire().await.unwrap().close().await.unwrap();
        }
        assert!(store.foreign_writes().look(&mut store.bookkeeping().acquire().await.unwrap()).await.unwrap());
    }

    #[tokio::test]
    async fn a_connection_that_somebody_made_fail_hides_neither_rows_nor_triggers() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hub.sqlite");
        let store = crate::hub::store::Store::open(&file).await.unwrap();
        let writes = store.foreign_writes();
        let own = crate::hub::own_schema().await.unwrap();
        let key = crate::audit::HeadKey::derive(b"key");
        let look = async || {
            let mut transaction = store.bookkeeping().begin().await.unwrap();
            let (told, seen) = store.log().look(&mut transaction, &key, None, own).await.unwrap();
            let is_foreign = writes.look(&mut transaction).await.unwrap();
            transaction.commit().await.unwrap();
            store.log().seen(seen);
            (told.unwrap_or_default(), is_foreign)
        };
        store.log().begin(&mut store.bookkeeping().acquire().await.unwrap()).await.unwrap();
        assert_eq!(look().await, (String::new(), false));
        let options = SqliteConnectOptions::new().filename(&file);
        let mut other = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        let version: i64 = sqlx::query_scalar("PRAGMA schema_version").fetch_one(&mut other).await.unwrap();
        for statement in [
            "UPDATE setting SET value = x'00'",
            "CREATE TRIGGER keep AFTER DELETE ON user_role BEGIN INSERT OR IGNORE INTO user_role VALUES (OLD.user_id, OLD.role_id); END",
            &format!("PRAGMA schema_version = {version}"),
        ] {
            sqlx::query(statement).execute(&mut other).await.unwrap();
        }
        store.bookkeeping().acquire().await.unwrap().close().await.unwrap();
        let (told, is_foreign) = look().await;
        assert!(told.contains("trigger keep") && is_foreign, "{told} {is_foreign}");
    }
}
