use std::ops::{Deref, DerefMut};

use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::Store;
use crate::{
    audit::{self, Entry},
    hub::HubError,
};

/// What somebody changes. It is stored together with the entry of the audit log that tells of it, or not at all: there
/// is no other way to commit it. Dropped, it leaves nothing behind.
#[must_use]
pub struct Change(Transaction<'static, Sqlite>);

impl Store {
    /// Begins a change. One at a time; keep it short.
    pub async fn change(&self) -> Result<Change, HubError> {
        Ok(Change(self.writer.begin().await?))
    }
}

impl Change {
    /// Stores what was changed, with its entry.
    pub async fn commit(mut self, entry: &Entry) -> Result<(), HubError> {
        audit::append(&mut self.0, entry).await?;
        Ok(self.0.commit().await?)
    }
}

impl Deref for Change {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.0
    }
}

impl DerefMut for Change {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.0
    }
}
