use serde::{Deserialize, Serialize};

/// A reference to one resource: `{"id", "link", "methods"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub id: i64,
    pub link: String,
    #[serde(default)]
    pub methods: Vec<String>,
}

impl Link {
    /// The link to `<api path>/<resource>/<id>`.
    pub fn new(api_path: &str, resource: &str, id: i64, methods: &[&str]) -> Self {
        let methods = methods.iter().map(|method| (*method).to_owned()).collect();
        Link { id, link: format!("{api_path}/{resource}/{id}"), methods }
    }
}

/// A collection: the address of its list, or the items themselves where `include=` asked for them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Included<T> {
    Address(String),
    Items(Vec<T>),
}

impl<T> Included<T> {
    /// Whether there is not even an address.
    pub fn is_absent(&self) -> bool {
        matches!(self, Included::Address(address) if address.is_empty())
    }

    /// The items, if they were included.
    pub fn into_items(self) -> Option<Vec<T>> {
        match self {
            Included::Address(_) => None,
            Included::Items(items) => Some(items),
        }
    }
}

impl<T> Default for Included<T> {
    fn default() -> Self {
        Included::Address(String::new())
    }
}
