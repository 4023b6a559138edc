//! What hub and node tell each other of their audit logs; vantage6 has none.

use serde::{Deserialize, Serialize};

/// What a node tells. Ends of logs are written as `12:1f3a…`: the number of the last entry and its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// The end of its log.
    pub head: String,
    /// The last end of the hub's log that it knows.
    #[serde(default)]
    pub known: Option<String>,
    /// An end of its own log that the hub knew and that is not in it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
}

/// What the hub answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchanged {
    /// The end of the hub's log.
    pub head: String,
    /// The last end of the node's log that the hub knows.
    pub known: Option<String>,
    /// Whether the hub's log still has the end that the node knows.
    pub holds: bool,
}
