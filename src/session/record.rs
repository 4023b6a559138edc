//! What stands in the session store under a session's id. The tokens of the hub are here and nowhere else: nothing of
//! it is sent to the browser.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower_sessions::{Session, session::Record};

use super::Draft;
use crate::protocol::client::TokenPair;

const SIGN_IN: &str = "sign_in";
const DRAFTS: &str = "drafts";
const LEFT_DRAFTS: &str = "left_drafts";
/// A session ends this long after the sign-in, however busy it is: the lifetime of the hub's refresh tokens.
const ABSOLUTE_LIFETIME_SECONDS: i64 = 48 * 3600;
/// The most task drafts that are kept, and their bytes in all: each request reads the session. The oldest go.
const DRAFT_LIMIT: usize = 12;
const DRAFTS_BYTES: usize = 512 * 1024;

/// Why a session could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("the session store failed")]
    Store(#[from] tower_sessions::session::Error),
    #[error("what the session is to keep could not be encrypted")]
    Encryption,
}

impl From<tower_sessions::session_store::Error> for SessionError {
    fn from(error: tower_sessions::session_store::Error) -> Self {
        SessionError::Store(error.into())
    }
}

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
    /// The browser that signed in, as it calls itself: "Firefox on Linux".
    #[serde(default)]
    pub browser: String,
}

/// Whether the time of a session is up that began then, in seconds since 1970.
pub(super) fn has_lasted_too_long(since: i64) -> bool {
    Timestamp::now().as_second() - since > ABSOLUTE_LIFETIME_SECONDS
}

impl SignInRecord {
    /// Whether its time is up.
    pub fn is_over(&self) -> bool {
        has_lasted_too_long(self.since)
    }

    pub fn tokens(&self) -> TokenPair {
        TokenPair::new(self.access.clone(), self.refresh.clone())
    }
}

pub(super) async fn load_sign_in(session: &Session) -> Result<Option<SignInRecord>, SessionError> {
    Ok(session.get(SIGN_IN).await?)
}

/// The sign-in in a stored session, if somebody is signed in.
pub(super) fn sign_in_of(record: &Record) -> Option<SignInRecord> {
    serde_json::from_value(record.data.get(SIGN_IN)?.clone()).ok()
}

/// Puts renewed tokens into a stored session in which somebody is signed in.
pub(super) fn put_tokens(record: &mut Record, tokens: &TokenPair) {
    if let Some(Value::Object(sign_in)) = record.data.get_mut(SIGN_IN) {
        for (name, secret) in [("access", &tokens.access), ("refresh", &tokens.refresh)] {
            sign_in.insert(name.to_owned(), json!(secret.expose_secret()));
        }
    }
}

/// The user of a stored session, if somebody is signed in.
pub(super) fn user_of(record: &Record) -> Option<i64> {
    sign_in_of(record)?.tokens().subject
}

/// Stores tokens of a new sign-in, or those that go on with the one of `before`.
pub(super) async fn save_sign_in(
    session: &Session,
    tokens: &TokenPair,
    before: Option<&SignInRecord>,
    browser: &str,
) -> Result<(), SessionError> {
    let now = Timestamp::now().as_second();
    let text = |secret: &SecretString| secret.expose_secret().to_owned();
    let record = SignInRecord {
        access: text(&tokens.access),
        refresh: text(&tokens.refresh),
        since: before.map_or(now, |before| before.since),
        noted: now,
        browser: before.map_or(browser, |before| &before.browser).to_owned(),
    };
    Ok(session.insert(SIGN_IN, record).await?)
}

/// What somebody leaves behind whose session ended against their will.
#[derive(Serialize, Deserialize)]
struct LeftDrafts {
    user_id: i64,
    drafts: Vec<Draft>,
}

/// The drafts of a session that is about to end.
pub(super) async fn all_drafts(session: &Session) -> Result<Vec<Draft>, SessionError> {
    Ok(session.get(DRAFTS).await?.unwrap_or_default())
}

/// Keeps drafts for when the same user signs in again in this browser.
pub(super) async fn leave_drafts(session: &Session, user_id: i64, drafts: Vec<Draft>) -> Result<(), SessionError> {
    Ok(session.insert(LEFT_DRAFTS, LeftDrafts { user_id, drafts }).await?)
}

/// What was left in this browser by the user who signs in now; what somebody else left is gone.
pub(super) async fn take_left_drafts(session: &Session, user_id: Option<i64>) -> Result<Vec<Draft>, SessionError> {
    let left: Option<LeftDrafts> = session.remove(LEFT_DRAFTS).await?;
    Ok(left.filter(|left| Some(left.user_id) == user_id).map(|left| left.drafts).unwrap_or_default())
}

/// Begins with these drafts.
pub(super) async fn save_drafts(session: &Session, drafts: Vec<Draft>) -> Result<(), SessionError> {
    Ok(session.insert(DRAFTS, drafts).await?)
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
    let mut bytes = 0;
    let kept = drafts.iter().rev().take(DRAFT_LIMIT).take_while(|draft| {
        bytes += size_of(draft);
        // The newest is there, however large.
        bytes <= DRAFTS_BYTES || draft.id == drafts[drafts.len() - 1].id
    });
    let excess = drafts.len() - kept.count();
    drafts.drain(..excess);
    Ok(session.insert(DRAFTS, drafts).await?)
}

/// The bytes of a draft as it is stored.
fn size_of(draft: &Draft) -> usize {
    serde_json::to_vec(draft).map_or(usize::MAX / DRAFT_LIMIT, |bytes| bytes.len())
}

/// Forgets a draft.
pub async fn delete_draft(session: &Session, id: &str) -> Result<(), SessionError> {
    let mut drafts: Vec<Draft> = session.get(DRAFTS).await?.unwrap_or_default();
    drafts.retain(|other| other.id != id);
    Ok(session.insert(DRAFTS, drafts).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tower_sessions::MemoryStore;

    #[tokio::test]
    async fn of_many_or_large_drafts_the_newest_are_kept() {
        let session = Session::new(None, Arc::new(MemoryStore::default()), None);
        let large = |bytes: usize| Draft { description: "x".repeat(bytes), ..Draft::new() };
        for (bytes, count, kept) in [(10, 20, 12), (200_000, 3, 2), (10, 1, 3), (2_000_000, 1, 1), (10, 1, 1)] {
            let mut last = Draft::new();
            for _ in 0..count {
                last = large(bytes);
                save_draft(&session, &last).await.unwrap();
            }
            assert_eq!(all_drafts(&session).await.unwrap().len(), kept, "{count} of {bytes}");
            assert_eq!(load_draft(&session, &last.id).await.unwrap(), Some(last));
        }
    }

    #[tokio::test]
    async fn drafts_that_were_left_are_for_the_same_user_only() {
        for (user_id, found) in [(Some(7), 1), (Some(8), 0), (None, 0)] {
            let session = Session::new(None, Arc::new(MemoryStore::default()), None);
            leave_drafts(&session, 7, vec![Draft::new()]).await.unwrap();
            assert_eq!(take_left_drafts(&session, user_id).await.unwrap().len(), found);
            assert!(take_left_drafts(&session, Some(7)).await.unwrap().is_empty(), "they are gone either way");
        }
    }
}
