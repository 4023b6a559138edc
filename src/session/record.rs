//! What stands in the session store under a session's id. The tokens of the hub are here and nowhere else: nothing of
//! it is sent to the browser.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower_sessions::{Session, session::Record};

use crate::protocol::client::TokenPair;

const SIGN_IN: &str = "sign_in";
/// A session ends this long after the sign-in, however busy it is: the lifetime of the hub's refresh tokens.
const ABSOLUTE_LIFETIME_SECONDS: i64 = 48 * 3600;

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
