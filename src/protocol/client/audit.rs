//! The audit log of our own hub; other servers have none.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ClientError, HubClient, Listed, calls::pair};
use crate::protocol::{
    audit::{Exchange, Exchanged},
    problem::Problem,
};

/// An entry of the hub's audit log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AuditEntry {
    pub id: i64,
    /// UTC.
    pub at: String,
    pub actor: String,
    pub action: String,
    pub subject: String,
    pub outcome: String,
    pub details: String,
    #[serde(default)]
    pub organization_id: Option<i64>,
}

/// Which entries are asked for. What is empty does not matter.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Part of the actor's name.
    pub actor: String,
    /// The beginning of the action.
    pub action: String,
    pub subject: String,
    pub outcome: String,
    /// From this day on, and until the end of this one (UTC).
    pub from: String,
    pub until: String,
    /// From 1.
    pub page: usize,
    pub per_page: usize,
}

/// Whether the log is whole.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AuditChain {
    pub holds: bool,
    /// Where it breaks.
    #[serde(default)]
    pub broken: String,
}

impl HubClient {
    /// Tells the end of the own log, as a node, and learns the hub's.
    pub async fn exchange_heads(&self, exchange: &Exchange) -> Result<Exchanged, ClientError> {
        self.post("audit/head", exchange).await
    }

    /// Notes that a page was refused to the user, by which the hub was not asked. A server of vantage6 has no such log.
    pub async fn note_refused(&self, page: &str) -> Result<(), ClientError> {
        match self.transport().server().await?.has_reviews {
            true => self.post::<Value>("audit/refused", &json!({"page": page})).await.map(drop),
            false => Ok(()),
        }
    }

    /// A page of the audit log, the newest entries first.
    pub async fn audit(&self, query: &AuditQuery) -> Result<Listed<AuditEntry>, ClientError> {
        let texts = [
            ("actor", &query.actor),
            ("action", &query.action),
            ("subject", &query.subject),
            ("outcome", &query.outcome),
            ("from", &query.from),
            ("until", &query.until),
        ];
        let mut pairs: Vec<(String, String)> =
            texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| pair(name, text)).collect();
        pairs.extend([pair("page", query.page.max(1)), pair("per_page", query.per_page.clamp(1, 1000))]);
        self.page::<AuditEntry, AuditEntry>("audit", pairs).await
    }

    /// What is wrong with the hub itself.
    pub async fn problems(&self) -> Result<Vec<Problem>, ClientError> {
        self.get("problem", &[]).await
    }

    /// Whether nothing of the log was changed or taken away.
    pub async fn audit_chain(&self) -> Result<AuditChain, ClientError> {
        self.get("audit/chain", &[]).await
    }
}
