use std::fmt;

use crate::protocol::domain::{
    Operation::{self, *},
    Scope::{self, *},
};

/// A kind of thing that rules protect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    Node,
    Collaboration,
    Organization,
    Task,
    Run,
    User,
    Role,
    Port,
    Event,
    Study,
    /// Of our hub only.
    Review,
    /// Of our hub only.
    Audit,
}

impl fmt::Display for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

impl Resource {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Resource::Node => "node",
            Resource::Collaboration => "collaboration",
            Resource::Organization => "organization",
            Resource::Task => "task",
            Resource::Run => "run",
            Resource::User => "user",
            Resource::Role => "role",
            Resource::Port => "port",
            Resource::Event => "event",
            Resource::Study => "study",
            Resource::Review => "review",
            Resource::Audit => "audit",
        }
    }
}

/// One permission: an operation on a kind of thing, within a scope.
pub type Permission = (Resource, Scope, Operation);

/// Every rule of vantage6 4.15, in the order of its ids there (from 1), and behind them those of our own. Nobody may
/// decide reviews of another organization than the own one, so there is no wider rule for it.
#[rustfmt::skip]
pub const RULES: [Permission; 91] = [
    (Resource::Node, Global, View), (Resource::Node, Collaboration, View), (Resource::Node, Organization, View),
    (Resource::Node, Global, Edit), (Resource::Node, Collaboration, Edit), (Resource::Node, Organization, Edit),
    (Resource::Node, Global, Create), (Resource::Node, Collaboration, Create), (Resource::Node, Organization, Create),
    (Resource::Node, Global, Delete), (Resource::Node, Collaboration, Delete), (Resource::Node, Organization, Delete),
    (Resource::Collaboration, Global, View), (Resource::Collaboration, Organization, View),
    (Resource::Collaboration, Global, Edit), (Resource::Collaboration, Collaboration, Edit),
    (Resource::Collaboration, Global, Create),
    (Resource::Collaboration, Global, Delete), (Resource::Collaboration, Collaboration, Delete),
    (Resource::Organization, Global, View), (Resource::Organization, Organization, View),
    (Resource::Organization, Collaboration, View),
    (Resource::Organization, Global, Edit), (Resource::Organization, Organization, Edit),
    (Resource::Organization, Collaboration, Edit),
    (Resource::Organization, Global, Create), (Resource::Organization, Global, Delete),
    (Resource::Task, Global, View), (Resource::Task, Collaboration, View), (Resource::Task, Organization, View),
    (Resource::Task, Own, View),
    (Resource::Task, Global, Create), (Resource::Task, Collaboration, Create),
    (Resource::Task, Global, Delete), (Resource::Task, Collaboration, Delete), (Resource::Task, Organization, Delete),
    (Resource::Task, Own, Delete),
    (Resource::Run, Global, View), (Resource::Run, Collaboration, View), (Resource::Run, Organization, View),
    (Resource::Run, Own, View),
    (Resource::User, Global, View), (Resource::User, Collaboration, View), (Resource::User, Organization, View),
    (Resource::User, Global, Create), (Resource::User, Collaboration, Create), (Resource::User, Organization, Create),
    (Resource::User, Global, Edit), (Resource::User, Collaboration, Edit), (Resource::User, Organization, Edit),
    (Resource::User, Own, Edit),
    (Resource::User, Global, Delete), (Resource::User, Collaboration, Delete), (Resource::User, Organization, Delete),
    (Resource::User, Own, Delete),
    (Resource::Role, Global, View), (Resource::Role, Collaboration, View), (Resource::Role, Organization, View),
    (Resource::Role, Global, Create), (Resource::Role, Collaboration, Create), (Resource::Role, Organization, Create),
    (Resource::Role, Global, Edit), (Resource::Role, Collaboration, Edit), (Resource::Role, Organization, Edit),
    (Resource::Role, Global, Delete), (Resource::Role, Collaboration, Delete), (Resource::Role, Organization, Delete),
    (Resource::Port, Global, View), (Resource::Port, Organization, View),
    (Resource::Event, Organization, Receive), (Resource::Event, Collaboration, Receive),
    (Resource::Event, Global, Receive),
    (Resource::Event, Organization, Send), (Resource::Event, Collaboration, Send), (Resource::Event, Global, Send),
    (Resource::Study, Global, View), (Resource::Study, Organization, View), (Resource::Study, Collaboration, View),
    (Resource::Study, Global, Edit), (Resource::Study, Collaboration, Edit), (Resource::Study, Organization, Edit),
    (Resource::Study, Global, Create), (Resource::Study, Collaboration, Create),
    (Resource::Study, Global, Delete), (Resource::Study, Collaboration, Delete), (Resource::Study, Organization, Delete),
    (Resource::Review, Global, View), (Resource::Review, Organization, View), (Resource::Review, Organization, Edit),
    (Resource::Audit, Global, View), (Resource::Audit, Organization, View),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_rule_stands_twice() {
        assert_eq!(RULES.iter().collect::<HashSet<_>>().len(), RULES.len());
    }
}
