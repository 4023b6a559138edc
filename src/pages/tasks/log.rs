//! The log of a run: its end on the page, all of it as a download.

use axum::{
    extract::Path,
    http::header,
    response::{IntoResponse, Response},
};

use crate::{
    pages::{error::PageError, user::User},
    serve::spooled,
};

/// The most of a log that a page shows, in bytes. With each event of the stream it is sent again.
const SHOWN: usize = 30_000;
/// The most of all logs of a page, unless each has so little.
const ALL_SHOWN: usize = 600_000;
const LEAST_SHOWN: usize = 300;

/// The end of a log. It never holds much more than is shown, however long the log.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogTail {
    text: String,
    shortened: bool,
    /// The most that is shown, in bytes.
    limit: usize,
}

impl LogTail {
    /// Of one of so many logs on a page.
    pub fn new(log: &str, logs: usize) -> Self {
        let limit = (ALL_SHOWN / logs.max(1)).clamp(LEAST_SHOWN, SHOWN);
        let mut tail = LogTail { limit, ..LogTail::default() };
        tail.push(log);
        tail
    }

    /// Adds what came.
    pub fn push(&mut self, more: &str) {
        self.text.push_str(more);
        if self.text.len() > self.limit {
            let cut = self.text.ceil_char_boundary(self.text.len() - self.limit);
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
    Ok((headers, spooled(run.log.into()).await).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_log_is_kept_from_a_lines_begin() {
        let mut tail = LogTail::new("first\n", 1);
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
        let tail = LogTail::new(&"é".repeat(SHOWN), 1);
        assert_eq!(tail.shown().len(), SHOWN);
        assert!(LogTail::new(&format!("{}\n", "x".repeat(2 * SHOWN)), 1).is_shortened());
    }
}
