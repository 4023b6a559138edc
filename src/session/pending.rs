use std::{sync::Arc, time::Duration};

use moka::sync::Cache;
use secrecy::SecretString;
use tower_sessions::Session;
use uuid::Uuid;

use super::SessionError;
use crate::protocol::client::SecondFactor;

const KEY: &str = "pending_sign_in";
/// How long somebody may take to give a code.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// A sign-in whose password was right and whose second factor is still to be given.
pub struct PendingSignIn {
    pub username: String,
    /// The server wants it again, together with the code.
    pub password: SecretString,
    /// The path that is wanted afterwards.
    pub next: String,
    /// What has to be set up first.
    pub set_up: Option<SecondFactor>,
}

/// The pending sign-ins of this process. They are in memory only: passwords are not stored.
pub struct PendingSignIns {
    kept: Cache<Uuid, Arc<PendingSignIn>>,
}

impl Default for PendingSignIns {
    fn default() -> Self {
        PendingSignIns { kept: Cache::builder().max_capacity(10_000).time_to_live(LIFETIME).build() }
    }
}

impl PendingSignIns {
    /// Keeps one for this browser.
    pub async fn keep(&self, session: &Session, pending: PendingSignIn) -> Result<(), SessionError> {
        let id = Uuid::new_v4();
        self.kept.insert(id, Arc::new(pending));
        Ok(session.insert(KEY, id).await?)
    }

    /// That of this browser.
    pub async fn of(&self, session: &Session) -> Result<Option<Arc<PendingSignIn>>, SessionError> {
        let id: Option<Uuid> = session.get(KEY).await?;
        Ok(id.and_then(|id| self.kept.get(&id)))
    }

    /// Forgets that of this browser.
    pub async fn forget(&self, session: &Session) -> Result<(), SessionError> {
        if let Some(id) = session.remove::<Uuid>(KEY).await? {
            self.kept.invalidate(&id);
        }
        Ok(())
    }
}
