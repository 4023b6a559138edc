use std::borrow::Cow;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Head;
use crate::protocol::spreadsheet::neutralise;

/// Something that happened, before it is recorded. No text of it may hold a secret or a value of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who: `user 5 (admin1)`, `node 2`, `system`, or a name that was given at the node.
    pub actor: String,
    /// What, in words joined by dots: `sign_in`, `task.create`, `review.approve`.
    pub action: Cow<'static, str>,
    /// To what: `run 12`, `user 5`.
    pub subject: String,
    /// How it ended: `done`, `refused`, `failed`.
    pub outcome: &'static str,
    /// More, in a few words.
    pub details: String,
    /// The organization whose admins may read it; `None`: only those who may read everything.
    pub organization_id: Option<i64>,
}

/// The longest text of an entry, in bytes.
const TEXT_LIMIT: usize = 1_000;

impl Entry {
    /// An entry that ended well.
    pub fn done(actor: impl Into<String>, action: impl Into<Cow<'static, str>>, subject: impl Into<String>) -> Self {
        let (actor, action, subject) = (actor.into(), action.into(), subject.into());
        Entry { actor, action, subject, outcome: "done", details: String::new(), organization_id: None }
    }

    /// A program begins, and the one before was ended by force when its log was signed up to here; it had looked after it at
    /// this time, or within a minute after it.
    pub fn unclosed(signed: &Head, looked_at: &str) -> Self {
        let details = format!(
            "the program was ended by force: entries after {} could be missing or forged, of the time after {} UTC",
            signed.id,
            looked_at.split('.').next().unwrap_or(looked_at)
        );
        Entry::done("system", "audit.unclosed", "audit log").outcome("failed").details(details)
    }

    pub fn outcome(self, outcome: &'static str) -> Self {
        Entry { outcome, ..self }
    }

    pub fn details(self, details: impl Into<String>) -> Self {
        Entry { details: details.into(), ..self }
    }

    /// For the admins of this organization too.
    pub fn of(self, organization_id: impl Into<Option<i64>>) -> Self {
        Entry { organization_id: organization_id.into(), ..self }
    }
}

/// A text without line breaks and other control characters, so that nobody can write what looks like another entry.
pub(super) fn plain(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(TEXT_LIMIT)];
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// An entry as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Recorded {
    /// From 1, without gaps.
    pub id: i64,
    /// UTC, as everywhere on the wire.
    pub at: String,
    pub actor: String,
    pub action: String,
    pub subject: String,
    pub outcome: String,
    pub details: String,
    pub organization_id: Option<i64>,
    /// SHA-256 in hexadecimal over the hash of the entry before (nothing for the first) and the JSON list of all
    /// fields above, in their order.
    pub hash: String,
}

impl Recorded {
    /// The same for a spreadsheet: what it would take for a formula begins with a quotation mark.
    pub fn neutralised(self) -> Self {
        Recorded {
            actor: neutralise(&self.actor),
            subject: neutralise(&self.subject),
            details: neutralise(&self.details),
            ..self
        }
    }

    /// The hash that this entry has after one with this hash.
    pub fn hash_after(&self, previous: &str) -> String {
        let fields = serde_json::json!([
            self.id,
            self.at,
            self.actor,
            self.action,
            self.subject,
            self.outcome,
            self.details,
            self.organization_id
        ]);
        let digest = Sha256::new().chain_update(previous).chain_update(fields.to_string()).finalize();
        format!("{digest:x}")
    }
}
