use std::{collections::BTreeMap, io::ErrorKind};

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{protocol::wire::v4::ErrorBody, serve::NoPlace};

/// Why the hub does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The request is wrong: a message, and messages by field.
    #[error("{message}")]
    BadRequest { message: String, errors: BTreeMap<String, Vec<String>> },
    /// Who asks is not known. 4.x clients expect 401.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// Who asks may not do this. 4.x says 401, not 403.
    #[error("You lack the permission to do that!")]
    NotAllowed,
    /// This kind of client has no use for this endpoint.
    #[error("This endpoint is for {0} only")]
    WrongClient(&'static str),
    #[error("{0}")]
    NotFound(String),
    /// It was right when it was asked for, but something else came first.
    #[error("{0}")]
    Conflict(String),
    #[error("The request body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("This answer has more than {0} bytes: ask for less at once")]
    PageTooLarge(i64),
    #[error("{}", crate::serve::TOO_MANY)]
    TooMany,
    #[error("The server is busy with large requests. Try again in a moment.")]
    Busy,
    #[error("Too many people are signing in at the moment. Wait a minute, then try again.")]
    Crowded,
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    #[error("the database could not be prepared")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// How the hub is to be opened makes no sense.
    #[error("{0}")]
    Options(String),
    /// A file for what is large could not be written or read.
    #[error("a temporary file: {0}")]
    File(#[from] std::io::Error),
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<NoPlace> for HubError {
    fn from(_: NoPlace) -> HubError {
        HubError::TooMany
    }
}

impl HubError {
    /// A wrong request with a message of its own.
    pub fn bad(message: impl Into<String>) -> Self {
        HubError::BadRequest { message: message.into(), errors: BTreeMap::new() }
    }

    /// A wrong field or query parameter. The message stands twice: older clients read only the one without a field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        let errors = BTreeMap::from([(field.into(), vec![message.clone()])]);
        HubError::BadRequest { message, errors }
    }

    /// Wrong fields of a body.
    pub fn fields(errors: BTreeMap<String, Vec<String>>) -> Self {
        HubError::BadRequest { message: "Request body is incorrect".to_owned(), errors }
    }

    /// There is no such thing (or not for whom asks: the answer is the same).
    pub fn not_found(resource: &str, id: i64) -> Self {
        HubError::NotFound(format!("{resource} id={id} is not found"))
    }

    /// The status that clients see.
    pub fn status_code(&self) -> StatusCode {
        match self {
            HubError::BadRequest { .. } => StatusCode::BAD_REQUEST,
            HubError::Unauthenticated(_) | HubError::NotAllowed | HubError::WrongClient(_) => StatusCode::UNAUTHORIZED,
            HubError::Conflict(_) => StatusCode::CONFLICT,
            HubError::NotFound(_) => StatusCode::NOT_FOUND,
            HubError::TooLarge(_) | HubError::PageTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            HubError::TooMany | HubError::Crowded => StatusCode::TOO_MANY_REQUESTS,
            HubError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            HubError::Database(error) if is_interrupted(error) || is_busy(error) => StatusCode::SERVICE_UNAVAILABLE,
            HubError::Database(error) if is_disk_full(error) => StatusCode::INSUFFICIENT_STORAGE,
            HubError::File(error) if error.kind() == ErrorKind::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
            HubError::Database(_)
            | HubError::Migration(_)
            | HubError::Options(_)
            | HubError::File(_)
            | HubError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// The longest message of an answer that says what is wrong, in bytes; that of a field a fifth, …
const MESSAGE_LIMIT: usize = 1_000;
/// … and of so many fields it is said.
const FIELDS: usize = 20;

/// A text that may hold what somebody sent, cut where it is too long to be read.
pub fn short(text: &str, limit: usize) -> String {
    match text.len() <= limit {
        true => text.to_owned(),
        false => format!("{}…", &text[..text.floor_char_boundary(limit)]),
    }
}

/// Whether somebody else holds the file (SQLITE_BUSY and its kinds, <https://www.sqlite.org/rescode.html>).
pub fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

/// Whether reading took longer than it may (SQLITE_INTERRUPT).
fn is_interrupted(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some("9"))
}

/// Whether there is no more room (SQLITE_FULL).
pub fn is_disk_full(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some("13"))
}

impl IntoResponse for HubError {
    fn into_response(self) -> Response {
        let status = self.status_code();
        let body = match self {
            HubError::BadRequest { message, errors } => ErrorBody { msg: message, errors },
            HubError::Busy => ErrorBody { msg: HubError::Busy.to_string(), ..Default::default() },
            HubError::Database(error) if is_busy(&error) => {
                tracing::error!(%error, "another process holds the database");
                ErrorBody { msg: HubError::Busy.to_string(), ..Default::default() }
            }
            HubError::Database(error) if is_interrupted(&error) => ErrorBody {
                msg: "This list takes too long to read. Narrow it, or sort it otherwise.".to_owned(),
                ..Default::default()
            },
            error if status == StatusCode::INSUFFICIENT_STORAGE => {
                tracing::error!(%error, source = ?std::error::Error::source(&error), "the disk is full");
                ErrorBody {
                    msg: "The disk of the server is full: nothing can be stored.".to_owned(),
                    ..Default::default()
                }
            }
            error if status.is_server_error() => {
                tracing::error!(%error, source = ?std::error::Error::source(&error), "the hub failed");
                ErrorBody { msg: "The server failed; its log says why".to_owned(), ..Default::default() }
            }
            error => ErrorBody { msg: error.to_string(), ..Default::default() },
        };
        // Nobody gets back all that they sent, and holds it in memory by not reading it.
        let errors = body.errors.into_iter().take(FIELDS).map(|(field, messages)| {
            let messages = messages.iter().take(2).map(|message| short(message, MESSAGE_LIMIT / 5)).collect();
            (short(&field, MESSAGE_LIMIT / 10), messages)
        });
        let body = ErrorBody { msg: short(&body.msg, MESSAGE_LIMIT), errors: errors.collect() };
        let response = (status, Json(body)).into_response();
        match status {
            StatusCode::TOO_MANY_REQUESTS => ([(header::RETRY_AFTER, "60")], response).into_response(),
            _ => response,
        }
    }
}
