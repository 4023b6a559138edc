use jiff::Timestamp;

use super::{Operation, Rule, Scope, id_of, text_of};
use crate::protocol::{timestamp, wire::v4};

/// A user as admins see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: i64,
    pub username: String,
    pub first_name: String,
    pub last_name: String,
    pub email: String,
    pub organization_id: Option<i64>,
    pub last_seen: Option<Timestamp>,
    /// Ids of roles; empty unless they were asked for.
    pub roles: Vec<i64>,
    /// Whether they may not sign in any more.
    pub disabled: bool,
}

impl Account {
    /// Whether this is a part of their username, name or e-mail address, or their id; in small letters.
    pub fn matches(&self, search: &str) -> bool {
        let texts = [&self.username, &self.first_name, &self.last_name, &self.email];
        search.is_empty()
            || self.id.to_string() == search
            || texts.iter().any(|text| text.to_lowercase().contains(search))
    }
}

impl From<v4::User> for Account {
    fn from(wire: v4::User) -> Self {
        Account {
            id: wire.id,
            username: wire.username,
            first_name: text_of(wire.firstname),
            last_name: text_of(wire.lastname),
            email: text_of(wire.email),
            organization_id: id_of(wire.organization),
            last_seen: wire.last_seen.as_deref().and_then(timestamp::parse),
            disabled: wire.disabled,
            roles: wire.permissions.map(|permissions| permissions.roles).unwrap_or_default(),
        }
    }
}

/// A named set of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub id: i64,
    pub name: String,
    pub description: String,
    /// One of those that every server has; it cannot be changed.
    pub is_default: bool,
    pub organization_id: Option<i64>,
}

impl From<v4::Role> for Role {
    fn from(wire: v4::Role) -> Self {
        Role {
            id: wire.id,
            name: wire.name,
            description: text_of(wire.description),
            is_default: wire.is_default_role,
            organization_id: id_of(wire.organization),
        }
    }
}

/// A rule with its id at the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleItem {
    pub id: i64,
    pub resource: String,
    /// `None`: a scope or an operation that this version does not know.
    pub rule: Option<(Scope, Operation)>,
}

impl RuleItem {
    /// Whether who has it decides about reviews; our hub only.
    pub fn decides_reviews(&self) -> bool {
        self.resource == "review" && self.rule.is_some_and(|(_, operation)| operation == Operation::Edit)
    }
}

impl From<v4::Rule> for RuleItem {
    fn from(wire: v4::Rule) -> Self {
        let (id, resource) = (wire.id, wire.name.clone());
        RuleItem { id, resource, rule: Rule::try_from(wire).ok().map(|rule| (rule.scope, rule.operation)) }
    }
}
