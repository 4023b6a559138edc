//! The log of a run: its end on the page, all of it as a download.

use std::io;

use axum::{
    body::Body,
    extract::Path,
    http::header,
    response::{IntoResponse, Response},
};
use tokio::task::spawn_blocking;

use super::export::Part;
use crate::pages::{error::PageError, user::User};

/// The most of a log that a page shows, in bytes. With each event of the stream it is sent again.
const SHOWN: usize = 30_000;

/// The end of a log. It never holds much more than is shown, however long the log.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogTail {
    text: String,
    shortened: bool,
}

impl LogTail {
    pub fn new(log: &str) -> Self {
        let mut tail = LogTail::default();
        tail.push(log);
        tail
    }

    /// Adds what came.
    pub fn push(&mut self, more: &str) {
        self.text.push_str(more);
        if self.text.len() > SHOWN {
            let cut = self.text.ceil_char_boundary(self.text.len() - SHOWN);
            // From a line's begin, unless that line is longer than all that is shown.
            let cut = self.text[cut..].find('\n').map_or(cut, |end| cut + end + 1);
            self.text.drain(..cut);
            self.shortened = true;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && !self.shortened
    }

    /// Whether there is more than what is shown.
    pub fn is_shortened(&self) -> bool {
        self.shortened
    }

    pub fn shown(&self) -> &str {
        &self.text
    }
}

/// `GET /runs/{id}/log`: the whole log as a text file.
pub async fn download(user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id: i64 = id.parse().map_err(|_| PageError::not_found("This run"))?;
    let run = user.signed_in.hub.run_state(id).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"run-{id}.log\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    let part = spawn_blocking(move || Part::new(run.log.into_bytes())).await.map_err(io::Error::other);
    let part = part.and_then(|part| part).map_err(|_| PageError::Internal)?;
    Ok((headers, Body::from_stream(part.read())).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_log_is_kept_from_a_lines_begin() {
        let mut tail = LogTail::new("first\n");
        assert!(!tail.is_shortened());
        for line in 0..10_000 {
            tail.push(&format!("line {line}\n"));
        }
        assert!(tail.is_shortened());
        assert!(tail.shown().len() <= SHOWN);
        assert!(tail.shown().starts_with("line "));
        assert!(tail.shown().ends_with("line 9999\n"));
    }

    #[test]
    fn one_endless_line_is_cut_between_characters() {
        let tail = LogTail::new(&"é".repeat(SHOWN));
        assert_eq!(tail.shown().len(), SHOWN);
        assert!(LogTail::new(&format!("{}\n", "x".repeat(2 * SHOWN))).is_shortened());
    }
}
