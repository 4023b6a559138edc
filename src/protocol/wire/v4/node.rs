use serde::{Deserialize, Serialize};

use super::Link;

/// A data station of one organization in one collaboration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    pub id: i64,
    #[serde(rename = "type", default = "node_type")]
    pub kind: String,
    #[serde(default)]
    pub ip: Option<String>,
    #[serde(default)]
    pub last_seen: Option<String>,
    /// `online` or `offline`; null before the first connection.
    #[serde(default)]
    pub status: Option<String>,
    pub name: String,
    #[serde(default)]
    pub organization: Option<Link>,
    #[serde(default)]
    pub collaboration: Option<Link>,
    /// What the node tells of itself while it is connected.
    #[serde(default)]
    pub config: Vec<ConfigItem>,
    /// Only in the answer that creates the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
}

fn node_type() -> String {
    "node".to_owned()
}

/// In this header a node of ours tells our hub which station it is, when it signs in: the one with its state file. One that
/// comes again after it was started anew takes its own place.
pub const STATION: &str = "x-atoll-station";

/// Under this key our hub tells when a second program came with the key of a node that is connected.
pub const SECOND_PROGRAM: &str = "atoll_second_program";

/// Under this key our hub tells how many facts of a node did not fit.
pub const LEFT_OUT: &str = "atoll_left_out";

/// One fact of a node's shared configuration. Lists are several items with the same key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigItem {
    pub key: String,
    pub value: String,
}
