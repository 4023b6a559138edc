use std::collections::BTreeMap;

/// Why a call to a server failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// No connection, or it broke off.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// Connected, but no complete answer in time.
    #[error("the server did not answer in time")]
    Timeout,
    /// There was no room to put a large answer away; there may be soon.
    #[error("there is no room for the server's answer: {0}")]
    NoRoom(String),
    /// The tokens are no longer accepted; signing in again helps.
    #[error("the sign-in has expired")]
    SignedOut,
    /// The server refuses what was asked, to whom is signed in (4.x says 401, later versions 403).
    #[error("{0}")]
    NotAllowed(String),
    /// There is no such thing, or not for whom is signed in.
    #[error("{0}")]
    NotFound(String),
    /// The server does not accept the request: a message, and messages by field.
    #[error("{message}")]
    Rejected { status: u16, message: String, errors: BTreeMap<String, Vec<String>> },
    /// The server failed by itself.
    #[error("the server failed with status {status}")]
    ServerFailed { status: u16 },
    /// The answer is larger than what is read, in bytes, or has more values.
    #[error("the server's answer is too large to be read ({limit} bytes, or many values)")]
    TooLarge { limit: usize },
    /// The answer is not what the protocol says.
    #[error("the server's answer cannot be read: {0}")]
    Unreadable(String),
}

impl ClientError {
    /// Whether the same call may work later without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            ClientError::Unreachable(_)
                | ClientError::Timeout
                | ClientError::NoRoom(_)
                | ClientError::ServerFailed { .. }
                // Request timeout, too many requests, no room on the disk
                | ClientError::Rejected { status: 408 | 429 | 507, .. }
        )
    }
}

impl From<reqwest::Error> for ClientError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            ClientError::Timeout
        } else if error.is_decode() || error.is_builder() {
            ClientError::Unreadable(error.without_url().to_string())
        } else {
            ClientError::Unreachable(error.without_url().to_string())
        }
    }
}
