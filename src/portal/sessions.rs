//! Where sessions are stored.

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use moka::sync::Cache;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio_util::sync::CancellationToken;
use tower_sessions::{
    ExpiredDeletion, SessionStore,
    session::{Id, Record},
    session_store,
};
use tower_sessions_sqlx_store::SqliteStore;

/// Ended sessions are deleted at this interval.
const SWEEP: Duration = Duration::from_secs(10 * 60);
/// Longer than any request takes.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);

/// A store in which what was deleted stays deleted: a request that was under way when its session ended stores the
/// session at its end, and would bring it back.
#[derive(Debug, Clone)]
pub struct Sessions<Store> {
    store: Store,
    deleted: Cache<Id, ()>,
}

impl<Store: SessionStore> Sessions<Store> {
    fn new(store: Store) -> Self {
        Sessions { store, deleted: Cache::builder().max_capacity(100_000).time_to_live(REMEMBERED).build() }
    }
}

#[async_trait]
impl<Store: SessionStore> SessionStore for Sessions<Store> {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        // A session that goes on after its end, with a farewell, brings its old id along.
        if self.deleted.contains_key(&record.id) {
            record.id = Id::default();
        }
        self.store.create(record).await
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        if self.deleted.contains_key(&record.id) {
            return Ok(());
        }
        self.store.save(record).await?;
        // It may have been deleted between.
        if self.deleted.contains_key(&record.id) {
            self.store.delete(&record.id).await?;
        }
        Ok(())
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        self.store.load(id).await
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        self.deleted.insert(*id, ());
        self.store.delete(id).await
    }
}

/// Opens the SQLite file of the sessions and deletes what has ended, until `stop`.
pub async fn open(path: &Path, stop: &CancellationToken) -> Result<Sessions<SqliteStore>, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(10));
    let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
    let store = SqliteStore::new(pool);
    store.migrate().await?;
    let (sweeper, stop) = (store.clone(), stop.clone());
    tokio::spawn(async move {
        tokio::select! {
            result = sweeper.continuously_delete_expired(SWEEP) => {
                if let Err(error) = result {
                    tracing::error!(%error, "ended sessions are no longer deleted");
                }
            }
            () = stop.cancelled() => {}
        }
    });
    Ok(Sessions::new(store))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower_sessions::{MemoryStore, cookie::time::OffsetDateTime};

    #[tokio::test]
    async fn a_session_that_ended_is_not_brought_back_by_a_request_under_way() {
        let sessions = Sessions::new(MemoryStore::default());
        let expiry_date = OffsetDateTime::now_utc() + Duration::from_secs(60);
        let mut record = Record { id: Id::default(), data: Default::default(), expiry_date };
        sessions.create(&mut record).await.unwrap();
        let under_way = sessions.load(&record.id).await.unwrap().unwrap();
        sessions.delete(&record.id).await.unwrap();
        sessions.save(&under_way).await.unwrap();
        assert_eq!(sessions.load(&record.id).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_begins_after_an_end_has_an_id_of_its_own_and_can_be_saved() {
        let sessions = Sessions::new(MemoryStore::default());
        let expiry_date = OffsetDateTime::now_utc() + Duration::from_secs(60);
        let mut record = Record { id: Id::default(), data: Default::default(), expiry_date };
        sessions.create(&mut record).await.unwrap();
        let ended = record.id;
        sessions.delete(&ended).await.unwrap();
        sessions.create(&mut record).await.unwrap();
        assert_ne!(record.id, ended);
        record.data.insert("more".to_owned(), serde_json::json!(1));
        sessions.save(&record).await.unwrap();
        assert_eq!(sessions.load(&record.id).await.unwrap(), Some(record));
    }
}
