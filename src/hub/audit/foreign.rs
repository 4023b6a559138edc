use std::sync::{Mutex, PoisonError};

use sqlx::SqliteConnection;

use crate::{
    audit::{self, Entry},
    hub::HubError,
};

/// Whether somebody else has written to the hub's file while it was open. Between two signed ends entries could be taken
/// away, and others written in their place; but SQLite tells each connection of what others commit
/// (<https://www.sqlite.org/pragma.html#pragma_data_version>), and all that the hub writes goes through one.
#[derive(Default)]
pub struct ForeignWrites(Mutex<Known>);

#[derive(Default)]
struct Known {
    version: Option<i64>,
    /// Until the program ends.
    were_seen: bool,
}

impl ForeignWrites {
    /// Looks at the connection over which everything is written; notes the first time.
    pub async fn look(&self, connection: &mut SqliteConnection) -> Result<bool, HubError> {
        let version: i64 = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut *connection).await?;
        // A connection that was opened anew counts from elsewhere.
        let is_known: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM temp.sqlite_master WHERE name = 'watched'")
            .fetch_one(&mut *connection)
            .await?;
        if is_known == 0 {
            sqlx::query("CREATE TEMP TABLE watched (id INTEGER)").execute(&mut *connection).await?;
        }
        let (is_first, is_new, were_seen) = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let has_changed = is_known > 0 && known.version.is_some_and(|before| before != version);
            let is_new = is_known == 0 && known.version.is_some();
            known.version = Some(version);
            let is_first = has_changed && !known.were_seen;
            known.were_seen |= has_changed;
            (is_first, is_new, known.were_seen)
        };
        let details = match (is_first, is_new) {
            (true, _) => Some("somebody has written to the hub's file directly while the hub was running"),
            // After a full disk. Else it stays open.
            (false, true) => {
                Some("the hub's file was opened anew: whether somebody else wrote to it then is not known")
            }
            (false, false) => None,
        };
        if let Some(details) = details {
            tracing::error!(details, "the audit log may not be what it was");
            let entry = Entry::done("system", "audit.mismatch", "audit log").outcome("failed").details(details);
            audit::append(connection, &entry).await?;
        }
        Ok(were_seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{Connection, sqlite::SqliteConnectOptions};

    #[tokio::test]
    async fn what_others_write_is_seen_and_what_the_hub_writes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::hub::store::Store::open(&folder.path().join("hub.sqlite")).await.unwrap();
        let writes = ForeignWrites::default();
        let look = async || {
            let mut transaction = store.bookkeeping().begin().await.unwrap();
            let seen = writes.look(&mut transaction).await.unwrap();
            transaction.commit().await.unwrap();
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
        // The connection stays, however long; and where it does not, that is noted.
        let options = store.bookkeeping().options();
        assert_eq!((options.get_max_lifetime(), options.get_idle_timeout()), (None, None));
        store.bookkeeping().acquire().await.unwrap().close().await.unwrap();
        assert!(look().await);
        assert_eq!(entries(&mut other).await, 5);
    }
}
