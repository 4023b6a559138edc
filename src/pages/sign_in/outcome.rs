use axum::http::StatusCode;

use crate::{
    pages::error::PageError,
    protocol::client::{ClientError, refusal},
};

pub const TOO_MANY: (StatusCode, &str) =
    (StatusCode::TOO_MANY_REQUESTS, "Too many attempts from this address. Wait a minute, then try again.");

/// What the page says when the hub did not do what was asked: its status and its words.
pub fn of_failure(error: ClientError, action: &str) -> Result<(StatusCode, String), PageError> {
    if error.is_temporary() {
        tracing::warn!(%error, "the hub does not answer");
        let text = format!("The hub cannot be reached at the moment, so {action}. Try again in a while.");
        return Ok((StatusCode::SERVICE_UNAVAILABLE, text));
    }
    match refusal(&error) {
        Some(message) => Ok((StatusCode::UNPROCESSABLE_ENTITY, message)),
        None => Err(error.into()),
    }
}
