//! Whether the nodes of a task would take it, as far as they tell: by the same functions with which they decide.

use super::data::{ChosenFunction, WizardData};
use crate::{
    protocol::{
        domain::{ArgumentType, Node, User},
        policy::{Answer, Policies, ReleaseMode, Request, Requester, ReviewMode, Store},
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
    /// What happens there besides: reviews, limits.
    pub notes: Vec<String>,
}

/// Whether a node would accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    Yes,
    No(String),
    Unknown(String),
}

/// What all nodes of a task are asked for.
struct Asking<'a> {
    function: &'a ChosenFunction,
    user: Requester,
    /// Who asks those that give data to a central function beside the user: the organization that aggregates.
    aggregator: Requester,
    store: Store,
    databases: &'a [String],
    columns: Option<Vec<String>>,
}

/// Looks at every organization that takes part in the draft's task.
pub fn look(draft: &Draft, data: &WizardData, user: &User) -> Vec<Preflight> {
    let Some(function) = data.function(draft) else { return Vec::new() };
    let giving = data.data_organizations(draft);
    let running: Vec<i64> =
        if function.central { draft.aggregate_at.into_iter().collect() } else { draft.organizations.clone() };
    let of_organization = |id: Option<i64>| Requester {
        user_id: Some(user.id),
        username: Some(user.username.clone()),
        organization_id: id,
        organization: id.map(|id| data.organization_name(draft, id)),
    };
    let store = function.store_id.and_then(|id| data.stores.iter().find(|store| store.id == id));
    let asking = Asking {
        user: of_organization(user.organization_id),
        // The user's name does not stand for it.
        aggregator: Requester { user_id: None, username: None, ..of_organization(draft.aggregate_at) },
        store: store.map_or(Store::None, |store| Store::At(store.url.clone())),
        databases: &draft.databases,
        columns: columns(draft, &function),
        function: &function,
    };
    data.organizations(draft)
        .into_iter()
        .filter(|(organization, _)| giving.contains(&organization.id) || running.contains(&organization.id))
        .map(|(organization, node)| {
            let (gives, aggregates) =
                (giving.contains(&organization.id), function.central && running.contains(&organization.id));
            let policies = node.map(|node| &node.policies);
            Preflight {
                organization: organization.name.clone(),
                role: match (gives, aggregates) {
                    (true, true) => "aggregates and gives data",
                    (false, true) => "aggregates",
                    _ => "gives data",
                },
                online: node.is_some_and(|node| node.online),
                accepts: node.map_or(Acceptance::No("it has no node".to_owned()), |node| {
                    acceptance(node, &asking, gives, aggregates)
                }),
                notes: policies.map(|policies| notes(policies, &asking, gives, aggregates)).unwrap_or_default(),
            }
        })
        .collect()
}

/// The columns that the draft names; `None` if the function does not tell which of its arguments are columns.
fn columns(draft: &Draft, function: &ChosenFunction) -> Option<Vec<String>> {
    let of_columns = |kind| matches!(kind, ArgumentType::Column | ArgumentType::ColumnList);
    let arguments = function.arguments.iter().filter(|argument| of_columns(argument.kind));
    let names: Vec<&str> = arguments.map(|argument| argument.name.as_str()).collect();
    let typed = names.iter().filter_map(|name| draft.arguments.get(*name)).flatten();
    (!names.is_empty()).then(|| typed.filter(|column| !column.is_empty()).cloned().collect())
}

impl Asking<'_> {
    /// What an organization is asked for, by its part.
    fn requests(&self, gives: bool, aggregates: bool) -> Vec<Request<'_>> {
        let central = self.function.central;
        let of = |function, requester, databases, columns| Request {
            image: &self.function.image,
            other_images: &[],
            function,
            other_functions: &[],
            requester,
            store: &self.store,
            databases,
            columns,
            // What is known here was shared.
            tells_columns: true,
        };
        let aggregating = aggregates.then(|| of(Some(self.function.name.as_str()), &self.user, &[][..], Some(&[][..])));
        let columns = self.columns.as_deref();
        // Of a central function both have to be allowed: who aggregates, and who asked for it.
        let giving = match central {
            _ if !gives => Vec::new(),
            // It may aggregate its own data.
            true if aggregates => vec![of(None, &self.user, self.databases, columns)],
            true => {
                vec![of(None, &self.aggregator, self.databases, columns), of(None, &self.user, self.databases, columns)]
            }
            false => vec![of(Some(self.function.name.as_str()), &self.user, self.databases, columns)],
        };
        aggregating.into_iter().chain(giving).collect()
    }
}

fn acceptance(node: &Node, asking: &Asking<'_>, gives: bool, aggregates: bool) -> Acceptance {
    if !node.online {
        return Acceptance::Unknown("known when its node is online".to_owned());
    }
    if !node.shares_config {
        return Acceptance::Unknown("its node does not tell".to_owned());
    }
    let mut doubt = None;
    for request in asking.requests(gives, aggregates) {
        match node.policies.answer(&request) {
            Answer::Refused(reason) => return Acceptance::No(reason),
            Answer::Unknown(reason) => doubt = doubt.or(Some(reason)),
            Answer::Allowed => {}
        }
    }
    match doubt {
        Some(reason) => Acceptance::Unknown(reason),
        None if asking.function.is_other => {
            Acceptance::Unknown("its policy allows it; whether it can get the image shows when it runs".to_owned())
        }
        None => Acceptance::Yes,
    }
}

fn notes(policies: &Policies, asking: &Asking<'_>, gives: bool, aggregates: bool) -> Vec<String> {
    let requests = asking.requests(gives, aggregates);
    let mut notes = Vec::new();
    let modes: Vec<ReviewMode> = requests.iter().map(|request| policies.review_mode(request)).collect();
    if modes.contains(&ReviewMode::Always) {
        notes.push("An admin reviews it before it starts.".to_owned());
    } else if modes.contains(&ReviewMode::FirstTime) {
        notes.push("An admin reviews it, unless exactly this was approved before.".to_owned());
    }
    if requests.iter().any(|request| policies.release_mode(request) == ReleaseMode::Review) {
        notes.push("An admin looks at the result before it leaves.".to_owned());
    }
    notes.extend(policies.runs_per_user_per_day.map(|runs| match runs {
        1 => "At most 1 run of one user a day.".to_owned(),
        runs => format!("At most {runs} runs of one user a day."),
    }));
    let limits: Vec<String> =
        policies.limits().in_force().into_iter().map(|(name, value)| format!("{name} {value}")).collect();
    if gives && !limits.is_empty() {
        notes.push(format!("Results about too few people are suppressed: {}.", limits.join(", ")));
    }
    notes
}
