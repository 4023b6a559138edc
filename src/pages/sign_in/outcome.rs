use axum::http::{HeaderMap, StatusCode, header};

use crate::{
    pages::error::PageError,
    protocol::client::{ClientError, refusal},
    session::name_of_browser,
};

pub const TOO_MANY: (StatusCode, &str) = (StatusCode::TOO_MANY_REQUESTS, crate::serve::TOO_MANY);

/// The same as a status and a text of its own.
pub fn too_many() -> (StatusCode, String) {
    (TOO_MANY.0, TOO_MANY.1.to_owned())
}

/// What the page says when the hub did not do what was asked: its status and its words.
pub fn of_failure(error: ClientError, action: &str) -> Result<(StatusCode, String), PageError> {
    if error.is_temporary() {
        return Ok(while_hub_is_away(&error, action));
    }
    match refusal(&error) {
        Some(message) => Ok((StatusCode::UNPROCESSABLE_ENTITY, message)),
        None => Err(error.into()),
    }
}

/// What the page says when the hub may do it later.
pub fn while_hub_is_away(error: &ClientError, action: &str) -> (StatusCode, String) {
    if let ClientError::Rejected { status: 429, message, .. } = error {
        return (StatusCode::TOO_MANY_REQUESTS, message.clone());
    }
    tracing::warn!(%error, "the hub does not do what it is asked");
    let reason = match error {
        ClientError::Rejected { status: 507, message, .. } => message.trim_end_matches('.').to_owned(),
        _ => "The hub cannot be reached at the moment".to_owned(),
    };
    (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}, so {action}. Try again in a while."))
}

/// The browser of a request in words, for the list of one's sessions.
pub fn browser_of(headers: &HeaderMap) -> String {
    name_of_browser(headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default())
}

/// What is told to somebody who asks for a mail again.
pub fn too_early(minutes: i64) -> String {
    let minutes = if minutes == 1 { "a minute".to_owned() } else { format!("{minutes} minutes") };
    format!(
        "You asked for this mail a short while ago: the next can be sent in {minutes}. If it has come, enter its code here; it is \
         good for an hour."
    )
}
