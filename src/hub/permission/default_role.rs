use super::rule::{Permission, RULES, Resource};
use crate::protocol::domain::{
    Operation::{self, *},
    Scope::{self, *},
};

/// A role that every hub starts with, as vantage6 4.15 defines it.
pub struct DefaultRole {
    pub name: &'static str,
    pub description: &'static str,
    pub rules: fn() -> Vec<Permission>,
}

/// The default roles, in the order of their ids there (from 1), and one of our own.
pub const DEFAULT_ROLES: [DefaultRole; 8] = [
    DefaultRole { name: "Root", description: "Super role", rules: || RULES.to_vec() },
    DefaultRole { name: "container", description: "container role", rules: rules_of_container },
    DefaultRole { name: "node", description: "node role", rules: rules_of_node },
    DefaultRole {
        name: "Viewer",
        description: "Can manage their own account and view resources related to their organization",
        rules: viewer,
    },
    DefaultRole {
        name: "Researcher",
        description: "Can perform tasks, manage their own account, and view resources related to their organization",
        rules: researcher,
    },
    DefaultRole {
        name: "Organization Admin",
        description: "Can manage an organization including its users, roles, and nodes.",
        rules: organization_admin,
    },
    DefaultRole {
        name: "Collaboration Admin",
        description: "Can manage a collaboration including its organization and users. Also has permissions of an \
                      organization admin and researcher.",
        rules: collaboration_admin,
    },
    DefaultRole {
        name: "Auditor",
        description: "Can read the audit log and all reviews, and changes nothing but their own account",
        rules: auditor,
    },
];

fn within(scope: Scope, pairs: &[(Resource, Operation)]) -> impl Iterator<Item = Permission> {
    pairs.iter().map(move |(resource, operation)| (*resource, scope, *operation))
}

/// What an algorithm may do while it runs.
pub fn rules_of_container() -> Vec<Permission> {
    let own = [Resource::Node, Resource::Collaboration, Resource::Organization, Resource::Port, Resource::Study];
    let shared = [Resource::Organization, Resource::Task, Resource::Run];
    let own = own.map(|resource| (resource, Organization, View));
    own.into_iter().chain(shared.map(|resource| (resource, Collaboration, View))).collect()
}

/// What a node may do.
pub fn rules_of_node() -> Vec<Permission> {
    let edits = within(Organization, &[(Resource::Node, Edit), (Resource::Organization, Edit)]);
    rules_of_container().into_iter().chain(edits).collect()
}

fn viewer() -> Vec<Permission> {
    within(Own, &[(Resource::User, Edit), (Resource::User, Delete)])
        .chain(within(
            Organization,
            &[
                (Resource::User, View),
                (Resource::Organization, View),
                (Resource::Collaboration, View),
                (Resource::Role, View),
                (Resource::Node, View),
                (Resource::Port, View),
                (Resource::Event, Receive),
                (Resource::Study, View),
            ],
        ))
        .chain(within(
            Collaboration,
            &[
                (Resource::Organization, View),
                (Resource::Node, View),
                (Resource::Task, View),
                (Resource::Run, View),
                (Resource::Event, Receive),
            ],
        ))
        .collect()
}

const RESEARCH: [Permission; 2] = [(Resource::Task, Collaboration, Create), (Resource::Task, Organization, Delete)];

fn researcher() -> Vec<Permission> {
    viewer().into_iter().chain(RESEARCH).collect()
}

fn organization_admin() -> Vec<Permission> {
    let administration = within(
        Organization,
        &[
            (Resource::User, Create),
            (Resource::User, Edit),
            (Resource::User, Delete),
            (Resource::Organization, Edit),
            (Resource::Role, Create),
            (Resource::Role, Edit),
            (Resource::Role, Delete),
            (Resource::Node, Create),
            (Resource::Node, Edit),
            (Resource::Event, Send),
            (Resource::Review, View),
            (Resource::Review, Edit),
            (Resource::Audit, View),
        ],
    );
    viewer().into_iter().chain(administration).collect()
}

fn auditor() -> Vec<Permission> {
    let everywhere = [
        (Resource::Review, View),
        (Resource::Audit, View),
        // So that what they read has names.
        (Resource::Organization, View),
        (Resource::Collaboration, View),
        (Resource::User, View),
        (Resource::Role, View),
        (Resource::Node, View),
    ];
    viewer().into_iter().chain(within(Global, &everywhere)).collect()
}

fn collaboration_admin() -> Vec<Permission> {
    let administration = within(
        Collaboration,
        &[
            (Resource::User, View),
            (Resource::User, Create),
            (Resource::User, Edit),
            (Resource::Organization, Edit),
            (Resource::Collaboration, Edit),
            (Resource::Role, View),
            (Resource::Node, Create),
            (Resource::Node, Delete),
            (Resource::Event, Send),
            (Resource::Study, View),
            (Resource::Study, Create),
            (Resource::Study, Edit),
            (Resource::Study, Delete),
        ],
    );
    // Who decides about an organization's data is its own admin's matter.
    let decides = (Resource::Review, Organization, Edit);
    organization_admin()
        .into_iter()
        .filter(move |rule| *rule != decides)
        .chain(RESEARCH)
        .chain([(Resource::Organization, Global, View)])
        .chain(administration)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn default_roles_have_as_many_rules_as_the_original_and_only_rules_that_exist() {
        // Without those of our own.
        let counts = [86, 8, 10, 15, 17, 25, 41, 20];
        for (role, count) in DEFAULT_ROLES.iter().zip(counts) {
            let rules: HashSet<Permission> = (role.rules)().into_iter().collect();
            let own = |rule: &&Permission| matches!(rule.0, Resource::Review | Resource::Audit);
            assert_eq!(rules.len() - rules.iter().filter(own).count(), count, "{}", role.name);
            assert!(rules.iter().all(|rule| RULES.contains(rule)), "{}", role.name);
        }
    }
}
