//! Whether the nodes of a task would take it, as far as they tell.

use super::data::{ChosenFunction, WizardData};
use crate::{
    protocol::{
        domain::{Node, User},
        image,
    },
    session::Draft,
};

/// What is known of one organization's node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    pub organization: String,
    /// "aggregates", "gives data", or both.
    pub role: &'static str,
    pub online: bool,
    pub accepts: Acceptance,
}

/// Whether a node would accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    Yes,
    No(String),
    Unknown(&'static str),
}

/// Looks at every organization that takes part in the draft's task.
pub fn look(draft: &Draft, data: &WizardData, user: &User) -> Vec<Preflight> {
    let Some(function) = data.function(draft) else { return Vec::new() };
    let giving = data.data_organizations(draft);
    let running: Vec<i64> =
        if function.central { draft.aggregate_at.into_iter().collect() } else { draft.organizations.clone() };
    data.organizations(draft)
        .into_iter()
        .filter(|(organization, _)| giving.contains(&organization.id) || running.contains(&organization.id))
        .map(|(organization, node)| Preflight {
            organization: organization.name.clone(),
            role: match (giving.contains(&organization.id), function.central && running.contains(&organization.id)) {
                (true, true) => "aggregates and gives data",
                (false, true) => "aggregates",
                _ => "gives data",
            },
            online: node.is_some_and(|node| node.online),
            accepts: node.map_or(Acceptance::No("it has no node".to_owned()), |node| acceptance(node, &function, user)),
        })
        .collect()
}

fn acceptance(node: &Node, function: &ChosenFunction, user: &User) -> Acceptance {
    if !node.online {
        return Acceptance::Unknown("known when its node is online");
    }
    if !node.shares_config {
        return Acceptance::Unknown("its node does not tell");
    }
    match node.allowed_algorithms.as_ref().map(|entries| image::allowed(entries, &function.image)) {
        None | Some(Some(true)) => {}
        Some(Some(false)) => return Acceptance::No("its node does not allow this image".to_owned()),
        Some(None) => {
            return Acceptance::Unknown("its node allows another version by name; it compares them when it runs");
        }
    }
    let (users, organizations) = (&node.allowed_users, &node.allowed_organizations);
    let yes = match function.is_other {
        true => Acceptance::Unknown("its policy allows it; whether it can get the image shows when it runs"),
        false => Acceptance::Yes,
    };
    if users.is_none() && organizations.is_none() {
        return yes;
    }
    let user_allowed =
        users.as_ref().is_some_and(|list| list.contains(&user.id.to_string()) || list.contains(&user.username));
    let organization_id = user.organization_id.map(|id| id.to_string());
    let organization_allowed =
        organizations.as_ref().is_some_and(|list| list.iter().any(|entry| Some(entry) == organization_id.as_ref()));
    let by_name = organizations.iter().flatten().any(|entry| entry.parse::<i64>().is_err());
    match (user_allowed || organization_allowed, by_name) {
        (true, _) => yes,
        (false, true) => Acceptance::Unknown("its node allows organizations by name"),
        (false, false) => Acceptance::No("its node does not allow you or your organization".to_owned()),
    }
}
