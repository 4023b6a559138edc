use serde::{Deserialize, Serialize};
use tower_sessions::Session;

use super::SessionError;

const FLASH: &str = "flash";

/// A message that is shown once, on the next page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flash {
    pub kind: FlashKind,
    pub text: String,
}

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FlashKind {
    Success,
    Error,
}

/// Leaves a message for the next page.
pub async fn put_flash(session: &Session, kind: FlashKind, text: impl Into<String>) -> Result<(), SessionError> {
    Ok(session.insert(FLASH, Flash { kind, text: text.into() }).await?)
}

/// Takes the message, if there is one.
pub async fn take_flash(session: &Session) -> Result<Option<Flash>, SessionError> {
    // Without this look every page would write the session.
    match session.get::<Flash>(FLASH).await? {
        Some(_) => Ok(session.remove(FLASH).await?),
        None => Ok(None),
    }
}
