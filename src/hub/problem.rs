//! What is wrong with the hub itself: Root and auditors read of it on their pages, and `/healthz` tells of a full disk.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use super::{HubError, server::HubState};
use crate::protocol::{problem::Problem, timestamp};

/// How long it is told what is over but should be known, in hours.
const REMEMBERED_HOURS: i64 = 7 * 24;

/// What Root reads while nothing can be stored.
pub const DISK_FULL: &str = "The disk of the hub is full: nothing can be stored, and results of nodes wait. Make room.";

/// What can go wrong, and be over again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    DiskFull,
    AuditFile,
    AuditLog,
}

/// What is wrong now.
#[derive(Default)]
pub struct Problems(Mutex<BTreeMap<Kind, Problem>>);

impl Problems {
    /// It is wrong, or it is over.
    pub fn set(&self, kind: Kind, text: Option<String>) {
        let mut problems = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = problems.get(&kind).map(|problem| problem.text.as_str());
        match text {
            Some(text) if known == Some(&text) => {}
            Some(text) => {
                tracing::error!(text, "something is wrong");
                problems.insert(kind, Problem { text, since: timestamp::now() });
            }
            None if known.is_some() => {
                tracing::info!(?kind, "it is well again");
                problems.remove(&kind);
            }
            None => {}
        }
    }

    /// Whether this is wrong now.
    pub fn has(&self, kind: Kind) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&kind)
    }

    fn all(&self) -> Vec<Problem> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// All that Root should know of.
pub async fn all(hub: &HubState) -> Result<Vec<Problem>, HubError> {
    let mut problems = hub.problems.all();
    let since = timestamp::format(Timestamp::now() - SignedDuration::from_hours(REMEMBERED_HOURS));
    // Beside the greatest time SQLite gives the details of that entry (<https://www.sqlite.org/lang_select.html#bareagg>).
    let noted: Vec<(String, i64, String, String)> = sqlx::query_as(
        "SELECT action, COUNT(*), MAX(at), details FROM audit WHERE action IN ('notice.fail', 'audit.mismatch', 'audit.unclosed')
         AND at > ? AND id > 0
         GROUP BY action",
    )
    .bind(since)
    .fetch_all(hub.store.reader())
    .await?;
    for (action, number, at, details) in noted {
        let text = match action.as_str() {
            "notice.fail" if number == 1 => "A mail or a post to the webhook was given up: nobody got it.".to_owned(),
            "notice.fail" => format!("{number} mails or posts to the webhook were given up: nobody got them."),
            "audit.unclosed" => format!("The hub was ended by force or lost its power: {details}."),
            _ => format!("An audit log may have been changed, or comes from a backup: {details}."),
        };
        problems.push(Problem { text, since: at });
    }
    Ok(problems)
}
