use serde::{Deserialize, Serialize};

/// An organization that holds data or has users.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Organization {
    pub id: i64,
    pub name: String,
    #[serde(default)]
    pub domain: Option<String>,
    #[serde(default)]
    pub address1: Option<String>,
    #[serde(default)]
    pub address2: Option<String>,
    #[serde(default)]
    pub zipcode: Option<String>,
    #[serde(default)]
    pub country: Option<String>,
    /// Base64 of a PEM public key, empty if none.
    #[serde(default)]
    pub public_key: Option<String>,
    #[serde(default)]
    pub collaborations: String,
    #[serde(default)]
    pub nodes: String,
    #[serde(default)]
    pub users: String,
    #[serde(default)]
    pub tasks: String,
    #[serde(default)]
    pub runs: String,
    #[serde(default)]
    pub studies: String,
}
