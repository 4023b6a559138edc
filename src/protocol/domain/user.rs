use super::{id_of, text_of};
use crate::protocol::wire::v4;

/// A person who signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: i64,
    pub username: String,
    pub first_name: String,
    pub last_name: String,
    pub organization_id: Option<i64>,
}

impl User {
    /// First and last name, or the username if there are none.
    pub fn display_name(&self) -> String {
        let name = format!("{} {}", self.first_name, self.last_name);
        match name.trim() {
            "" => self.username.clone(),
            name => name.to_owned(),
        }
    }
}

impl From<v4::User> for User {
    fn from(wire: v4::User) -> Self {
        User {
            id: wire.id,
            username: wire.username,
            first_name: text_of(wire.firstname),
            last_name: text_of(wire.lastname),
            organization_id: id_of(wire.organization),
        }
    }
}

/// How far a rule reaches, from narrow to wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Scope {
    Own,
    Organization,
    Collaboration,
    Global,
}

/// What a rule permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    View,
    Edit,
    Create,
    Delete,
    Send,
    Receive,
}

/// The permission for one operation on one kind of resource within a scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Rule {
    pub resource: String,
    pub scope: Scope,
    pub operation: Operation,
}

impl TryFrom<v4::Rule> for Rule {
    type Error = serde_json::Error;

    /// Fails for a scope or operation that this version does not know; such a rule permits nothing here.
    fn try_from(wire: v4::Rule) -> Result<Self, Self::Error> {
        let read = |text: String| serde_json::Value::String(text.to_uppercase());
        Ok(Rule {
            resource: wire.name,
            scope: serde_json::from_value(read(wire.scope))?,
            operation: serde_json::from_value(read(wire.operation))?,
        })
    }
}
