use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::protocol::bounded::at_most;

/// More items than servers put on a page.
const LARGEST_PAGE: usize = 10_000;

/// One page of a list. The header `total-count` tells how many items there are in all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    #[serde(deserialize_with = "at_most::<_, _, LARGEST_PAGE>", bound(deserialize = "T: Deserialize<'de>"))]
    pub data: Vec<T>,
    #[serde(default)]
    pub links: PageLinks,
}

/// The neighbours of a page: addresses relative to the server's root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageLinks {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    #[serde(rename = "self", default, skip_serializing_if = "Option::is_none")]
    pub this: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
}

/// The body of an error answer: a message, and the fields that it concerns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    #[serde(default)]
    pub msg: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<String, Vec<String>>,
}
