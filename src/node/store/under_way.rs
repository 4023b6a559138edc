//! Which runs were computed when the node died: one that ends it each time would end it at each start.

use super::{NodeStore, StoreError};

impl NodeStore {
    /// Notes that a run is computed from now on; how often the node has died since it was begun.
    pub async fn begin_to_compute(&self, run_id: i64) -> Result<u32, StoreError> {
        let query = "INSERT INTO under_way (run_id) VALUES (?) ON CONFLICT (run_id) DO UPDATE SET is_computed = 1
            RETURNING deaths";
        Ok(sqlx::query_scalar(query).bind(run_id).fetch_one(&self.pool).await?)
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
        assert_eq!(store.begin_to_compute(7).await.unwrap(), 0);
        store.count_deaths().await.unwrap();
        // It waits for its turn while the node dies once more.
        store.count_deaths().await.unwrap();
        assert_eq!(store.begin_to_compute(7).await.unwrap(), 1);
        store.leave_in_peace().await.unwrap();
        store.count_deaths().await.unwrap();
        assert_eq!(store.begin_to_compute(7).await.unwrap(), 1);
        store.count_deaths().await.unwrap();
        assert_eq!(store.begin_to_compute(7).await.unwrap(), 2);
        store.end_to_compute(7).await.unwrap();
        assert_eq!(store.begin_to_compute(7).await.unwrap(), 0);
    }
}
