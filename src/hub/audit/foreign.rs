use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::SqliteConnection;

use crate::{
    audit::{self, Entry},
    hub::{HubError, error::has_disk_failed},
};

/// Whether somebody else has written to the hub's file while it was open, to whatever table: SQLite tells each connection of
/// what others commit (<https://www.sqlite.org/pragma.html#pragma_data_version>), and all that the hub writes goes through
/// one. Until the program ends.
#[derive(Default)]
pub struct ForeignWrites(AtomicBool);

impl ForeignWrites {
    /// What others commit from now on is seen.
    pub async fn begin(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        passed(connection).await.map(|_| ())
    }

    /// Looks at the connection over which everything is written; notes the first time. One that was opened anew counts from
    /// elsewhere: if the disk has not failed, somebody has made the one before fail.
    pub async fn look(&self, connection: &mut SqliteConnection) -> Result<bool, HubError> {
        let (before, version) = passed(&mut *connection).await?;
        if before == Some(version) || before.is_none() && has_disk_failed() {
            return Ok(self.0.load(Ordering::Relaxed));
        }
        if !self.0.load(Ordering::Relaxed) {
            let details = match before {
                Some(_) => "somebody has written to the hub's file directly while the hub was running",
                None => {
                    "the hub's connection to its file was ended, as a trigger of somebody else can: they may have written to it"
                }
            };
            tracing::error!(details, "the audit log may not be what it was");
            let entry = Entry::done("system", "audit.mismatch", "audit log").outcome("failed").details(details);
            audit::append(connection, &entry).await?;
        }
        Ok(true)
    }

    /// The entry that says so is stored.
    pub fn told(&self, were_seen: bool) {
        self.0.fetch_or(were_seen, Ordering::Relaxed);
    }
}

/// What was committed by others when it was looked last, and what is now.
async fn passed(connection: &mut SqliteConnection) -> Result<(Option<i64>, i64), sqlx::Error> {
    let version: i64 = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut *connection).await?;
    // In the memory of the connection.
    sqlx::query("CREATE TEMP TABLE IF NOT EXISTS watched (version INTEGER NOT NULL)").execute(&mut *connection).await?;
    let before: Option<i64> =
        sqlx::query_scalar("SELECT version FROM temp.watched").fetch_optional(&mut *connection).await?;
    if before != Some(version) {
        sqlx::query("DELETE FROM temp.watched").execute(&mut *connection).await?;
        sqlx::query("INSERT INTO temp.watched (version) VALUES (?)").bind(version).execute(&mut *connection).await?;
    }
    Ok((before, version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{Connection, sqlite::SqliteConnectOptions};

    #[tokio::test]
    async fn what_others_write_before_the_first_look_is_seen() {
        for statement in [
            "UPDATE setting SET value = x'00'",
            "CREATE TRIGGER zz AFTER UPDATE ON user BEGIN UPDATE user SET disabled = 0; END",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("hub.sqlite");
            let store = crate::hub::store::Store::open(&file).await.unwrap();
            store.write_something().await.unwrap();
            let options = SqliteConnectOptions::new().filename(&file);
            let mut other = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
            sqlx::query(statement).execute(&mut other).await.unwrap();
            let mut connection = store.bookkeeping().acquire().await.unwrap();
            assert!(ForeignWrites::default().look(&mut connection).await.unwrap(), "{statement}");
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
        let writes = ForeignWrites::default();
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
    async fn a_connection_that_somebody_made_fail_hides_neither_rows_nor_triggers() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hub.sqlite");
        let store = crate::hub::store::Store::open(&file).await.unwrap();
        let writes = ForeignWrites::default();
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
