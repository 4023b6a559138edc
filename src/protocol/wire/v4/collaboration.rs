use serde::{Deserialize, Serialize};

use super::{Included, Link, Organization};

/// Organizations that agreed to compute together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Collaboration {
    pub id: i64,
    pub name: String,
    #[serde(default)]
    pub encrypted: bool,
    #[serde(default)]
    pub organizations: Included<Organization>,
    #[serde(default)]
    pub nodes: String,
    #[serde(default)]
    pub tasks: String,
    #[serde(default)]
    pub algorithm_stores: String,
    #[serde(default)]
    pub studies: String,
}

/// A part of a collaboration's organizations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    pub id: i64,
    pub name: String,
    pub collaboration: Option<Link>,
    #[serde(default)]
    pub organizations: Included<Organization>,
    #[serde(default)]
    pub tasks: String,
}
