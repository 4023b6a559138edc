//! What stands in the session store under a session's id. The tokens of the hub are here and nowhere else: nothing of
//! it is sent to the browser.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tower_sessions::Session;

use super::Draft;
use crate::protocol::client::TokenPair;

const SIGN_IN: &str = "sign_in";
const DRAFTS: &str = "drafts";
/// The most task drafts that are kept; the oldest go.
const DRAFT_LIMIT: usize = 12;

/// Why a session could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the session store failed")]
pub struct SessionError(#[from] tower_sessions::session::Error);

/// The tokens of a signed-in user as they are stored.
#[derive(Serialize, Deserialize)]
pub(super) struct SignInRecord {
    access: String,
    refresh: String,
    /// Seconds since 1970; the session ends a fixed time after it.
    pub since: i64,
    /// When it was stored last, in seconds since 1970.
    #[serde(default)]
    pub noted: i64,
}

impl SignInRecord {
    pub fn tokens(&self) -> TokenPair {
        TokenPair::new(self.access.clone(), self.refresh.clone())
    }
}

pub(super) async fn load_sign_in(session: &Session) -> Result<Option<SignInRecord>, SessionError> {
    Ok(session.get(SIGN_IN).await?)
}

pub(super) async fn save_sign_in(
    session: &Session,
    tokens: &TokenPair,
    since: Option<i64>,
) -> Result<(), SessionError> {
    let now = Timestamp::now().as_second();
    let text = |secret: &SecretString| secret.expose_secret().to_owned();
    let record = SignInRecord {
        access: text(&tokens.access),
        refresh: text(&tokens.refresh),
        since: since.unwrap_or(now),
        noted: now,
    };
    Ok(session.insert(SIGN_IN, record).await?)
}

/// A task draft of this session.
pub async fn load_draft(session: &Session, id: &str) -> Result<Option<Draft>, SessionError> {
    let drafts: Vec<Draft> = session.get(DRAFTS).await?.unwrap_or_default();
    Ok(drafts.into_iter().find(|draft| draft.id == id))
}

/// Stores a draft, as the newest.
pub async fn save_draft(session: &Session, draft: &Draft) -> Result<(), SessionError> {
    let mut drafts: Vec<Draft> = session.get(DRAFTS).await?.unwrap_or_default();
    drafts.retain(|other| other.id != draft.id);
    drafts.push(draft.clone());
    let excess = drafts.len().saturating_sub(DRAFT_LIMIT);
    drafts.drain(..excess);
    Ok(session.insert(DRAFTS, drafts).await?)
}

/// Forgets a draft.
pub async fn delete_draft(session: &Session, id: &str) -> Result<(), SessionError> {
    let mut drafts: Vec<Draft> = session.get(DRAFTS).await?.unwrap_or_default();
    drafts.retain(|other| other.id != id);
    Ok(session.insert(DRAFTS, drafts).await?)
}
