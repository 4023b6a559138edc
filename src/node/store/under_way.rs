//! Which runs were computed when the node died: one that ends it each time would end it at each start.

use super::{NodeStore, StoreError};

/// How often the node may die while it computes a run, until it does not try again.
const MOST_DEATHS: u32 = 2;

impl NodeStore {
    /// How often the node has died while it computed this run; `None` if that was too often to try again.
    pub async fn deaths(&self, run_id: i64) -> Result<Option<u32>, StoreError> {
        let query = sqlx::query_scalar("SELECT deaths FROM under_way WHERE run_id = ?").bind(run_id);
        let deaths: u32 = query.fetch_optional(&self.pool).await?.unwrap_or_default();
        Ok((deaths < MOST_DEATHS).then_some(deaths))
    }

    /// Notes that a run is computed from now on.
    pub async fn begin_to_compute(&self, run_id: i64) -> Result<(), StoreError> {
        let query = "INSERT INTO under_way (run_id) VALUES (?) ON CONFLICT (run_id) DO UPDATE SET is_computed = 1";
        sqlx::query(query).bind(run_id).execute(&self.pool).await?;
        Ok(())
    }

    /// Notes that it waits for its turn again.
    pub async fn pause_computing(&self, run_id: i64) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE under_way SET is_computed = 0 WHERE run_id = ?").bind(run_id);
        query.execute(&self.pool).await?;
        Ok(())
    }

    /// Notes that it is not computed any more.
    pub async fn end_to_compute(&self, run_id: i64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM under_way WHERE run_id = ?").bind(run_id).execute(&self.pool).await?;
        Ok(())
    }

    /// At the start of a node: what is still noted was computed when it died.
    pub async fn count_deaths(&self) -> Result<(), StoreError> {
        let query = "UPDATE under_way SET deaths = deaths + 1, is_computed = 0 WHERE is_computed";
        sqlx::query(query).execute(&self.pool).await?;
        Ok(())
    }

    /// At the end of a node that was told to stop: nothing was to blame.
    pub async fn leave_in_peace(&self) -> Result<(), StoreError> {
        sqlx::query("UPDATE under_way SET is_computed = 0").execute(&self.pool).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_runs_that_were_computed_when_the_node_died_are_blamed() {
        let folder = tempfile::tempdir().unwrap();
        let store = NodeStore::open(&folder.path().join("node.sqlite")).await.unwrap();
        let dies_when_computing = async || {
            store.begin_to_compute(7).await.unwrap();
            store.count_deaths().await.unwrap();
        };
        dies_when_computing().await;
        // It waits for its turn while the node dies once more.
        store.count_deaths().await.unwrap();
        assert_eq!(store.deaths(7).await.unwrap(), Some(1));
        for leaves in [true, false] {
            store.begin_to_compute(7).await.unwrap();
            if leaves {
                store.leave_in_peace().await.unwrap()
            } else {
                store.pause_computing(7).await.unwrap()
            }
            store.count_deaths().await.unwrap();
        }
        assert_eq!(store.deaths(7).await.unwrap(), Some(1));
        dies_when_computing().await;
        assert_eq!((store.deaths(7).await.unwrap(), store.deaths(8).await.unwrap()), (None, Some(0)));
        store.end_to_compute(7).await.unwrap();
        assert_eq!(store.deaths(7).await.unwrap(), Some(0));
    }
}
