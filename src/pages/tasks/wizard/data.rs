//! What the hub and the stores say, seen from a draft: which functions, organizations, databases and columns can be
//! chosen.

use std::{collections::HashSet, sync::Arc};

use crate::{
    pages::error::PageError,
    protocol::domain::{
        Algorithm, Argument, ArgumentType, Collaboration, Function, FunctionDatabase, Node, NodeDatabase, Organization,
        Partitioning,
    },
    session::{Draft, FunctionChoice, SignedIn},
};

/// Everything that the wizard's steps show.
#[derive(Clone)]
pub struct WizardData {
    pub collaborations: Vec<Collaboration>,
    /// Of the chosen collaboration.
    pub nodes: Vec<Node>,
    pub stores: Vec<Store>,
    /// The organizations of the draft's study, if it has one.
    pub study: Option<Vec<i64>>,
    /// The organization of who asks.
    pub own_organization: Option<i64>,
}

/// A store that is linked to the chosen collaboration.
#[derive(Clone)]
pub struct Store {
    pub id: i64,
    pub name: String,
    /// The address of its API.
    pub url: String,
    /// Or why they are not known at the moment.
    pub algorithms: Result<Arc<Vec<Algorithm>>, String>,
}

/// The chosen function, of a store or typed in.
#[derive(Debug, Clone, PartialEq)]
pub struct ChosenFunction {
    pub store_id: Option<i64>,
    pub image: String,
    pub name: String,
    pub display_name: String,
    pub central: bool,
    pub databases: Vec<FunctionDatabase>,
    pub arguments: Vec<Argument>,
    /// Databases may be left out: a typed-in image does not tell what it needs.
    pub is_other: bool,
}

/// A database label, as far as the chosen organizations have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub label: String,
    /// The types that nodes give, each once.
    pub kinds: Vec<String>,
    /// Names of organizations whose nodes do not have it.
    pub lacking: Vec<String>,
    /// Names of organizations whose nodes do not tell.
    pub unknown: Vec<String>,
    /// The columns that all of those have that tell; `None` if nobody tells.
    pub columns: Option<SharedColumns>,
}

/// Columns that several databases have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedColumns {
    pub names: Vec<String>,
    /// Whether there can be more, which a node does not tell.
    pub may_have_more: bool,
}

impl SharedColumns {
    fn of(database: &NodeDatabase) -> Option<SharedColumns> {
        let names = database.columns.clone()?;
        Some(SharedColumns { names, may_have_more: database.more_columns > 0 })
    }

    /// Those that both have, in the order of the first.
    fn and(mut self, other: &SharedColumns) -> SharedColumns {
        let of_other: HashSet<&str> = other.names.iter().map(String::as_str).collect();
        self.names.retain(|name| of_other.contains(name.as_str()));
        self.may_have_more |= other.may_have_more;
        self
    }
}

impl WizardData {
    /// Asks for everything that a draft needs, in one concurrent round.
    pub async fn load(me: &SignedIn, draft: &Draft) -> Result<WizardData, PageError> {
        let (hub, own_organization) = (&me.hub, me.user.organization_id);
        let Some(collaboration_id) = draft.collaboration_id else {
            let collaborations = hub.collaborations().await?;
            let nothing =
                WizardData { nodes: Vec::new(), stores: Vec::new(), study: None, collaborations, own_organization };
            return Ok(nothing);
        };
        let stores = async {
            let clients = hub.stores_of(collaboration_id).await?;
            Ok::<_, crate::protocol::client::ClientError>(
                futures::future::join_all(clients.into_iter().map(|client| async move {
                    // One store that is away must not block the others.
                    let algorithms = client.algorithms().await.map_err(|error| error.to_string());
                    Store { id: client.id, name: client.name, url: client.url, algorithms }
                }))
                .await,
            )
        };
        let study = async {
            let Some(id) = draft.study_id else { return Ok(None) };
            let organizations = hub.organizations_of_study(id).await?;
            Ok(Some(organizations.into_iter().map(|organization| organization.id).collect()))
        };
        let (collaborations, nodes, stores, study) =
            futures::try_join!(hub.collaborations(), hub.nodes_of(collaboration_id), stores, study)?;
        Ok(WizardData { collaborations, nodes, stores, study, own_organization })
    }

    /// Why no task can be sent to this collaboration.
    pub fn closed(&self, collaboration: &Collaboration) -> Option<&'static str> {
        if collaboration.encrypted {
            return Some("Encrypted collaborations are not supported yet. Nothing is sent to them unencrypted.");
        }
        let takes_part = collaboration.organizations.iter().any(|own| Some(own.id) == self.own_organization);
        (!takes_part).then_some("Your organization does not take part in it, so it accepts no tasks of yours.")
    }

    /// The chosen collaboration.
    pub fn collaboration(&self, draft: &Draft) -> Option<&Collaboration> {
        self.collaborations.iter().find(|collaboration| Some(collaboration.id) == draft.collaboration_id)
    }

    /// Organizations of the chosen collaboration (and study) with their nodes.
    pub fn organizations(&self, draft: &Draft) -> Vec<(&Organization, Option<&Node>)> {
        let organizations = self.collaboration(draft).map_or(&[][..], |collaboration| &collaboration.organizations);
        organizations
            .iter()
            .filter(|organization| self.study.as_ref().is_none_or(|study| study.contains(&organization.id)))
            .map(|organization| {
                (organization, self.nodes.iter().find(|node| node.organization_id == Some(organization.id)))
            })
            .collect()
    }

    /// The name of an organization of the chosen collaboration.
    pub fn organization_name(&self, draft: &Draft, id: i64) -> String {
        let organizations = self.organizations(draft);
        let found = organizations.iter().find(|(organization, _)| organization.id == id);
        found.map_or_else(|| format!("Organization {id}"), |(organization, _)| organization.name.clone())
    }

    /// The chosen function, if it is still there.
    pub fn function(&self, draft: &Draft) -> Option<ChosenFunction> {
        match draft.function.as_ref()? {
            FunctionChoice::Other => {
                let other = &draft.other;
                Some(ChosenFunction {
                    store_id: None,
                    image: other.image.trim().to_owned(),
                    name: other.method.trim().to_owned(),
                    display_name: other.method.trim().to_owned(),
                    central: other.central,
                    databases: vec![FunctionDatabase { name: "Database".to_owned(), description: String::new() }],
                    arguments: Vec::new(),
                    is_other: true,
                })
            }
            FunctionChoice::OfStore { store_id, algorithm_id, function } => {
                let store = self.stores.iter().find(|store| store.id == *store_id)?;
                let algorithms = store.algorithms.as_ref().ok()?;
                let algorithm = algorithms.iter().find(|algorithm| algorithm.id == *algorithm_id)?;
                let function = algorithm.functions.iter().find(|known| known.name == *function)?;
                Some(chosen(*store_id, algorithm, function))
            }
        }
    }

    /// The organizations whose databases the chosen function reads.
    pub fn data_organizations(&self, draft: &Draft) -> Vec<i64> {
        match self.function(draft) {
            Some(function) if function.central && function.include_argument().is_some() => draft.include.clone(),
            Some(function) if function.central => draft.aggregate_at.into_iter().collect(),
            _ => draft.organizations.clone(),
        }
    }

    /// The database labels that the nodes of the chosen organizations have, the shared ones first.
    pub fn labels(&self, draft: &Draft) -> Vec<Label> {
        let chosen = self.data_organizations(draft);
        let places: Vec<(&str, Option<&Node>)> = self
            .organizations(draft)
            .into_iter()
            .filter(|(organization, _)| chosen.contains(&organization.id))
            .map(|(organization, node)| (organization.name.as_str(), node.filter(|node| !node.databases.is_empty())))
            .collect();
        let mut names: Vec<&str> = Vec::new();
        for database in places.iter().filter_map(|(_, node)| *node).flat_map(|node| &node.databases) {
            if !names.contains(&database.label.as_str()) {
                names.push(&database.label);
            }
        }
        let mut labels: Vec<Label> = names.into_iter().map(|label| describe(label, &places)).collect();
        labels.sort_by_key(|label| !label.lacking.is_empty());
        labels
    }

    /// The columns that the chosen databases share; `None` if no node tells.
    pub fn columns(&self, draft: &Draft) -> Option<SharedColumns> {
        let labels = self.labels(draft);
        let chosen = labels.into_iter().filter(|label| draft.databases.contains(&label.label));
        chosen.filter_map(|label| label.columns).reduce(|shared, other| shared.and(&other))
    }
}

fn describe(label: &str, places: &[(&str, Option<&Node>)]) -> Label {
    let mut described =
        Label { label: label.to_owned(), kinds: Vec::new(), lacking: Vec::new(), unknown: Vec::new(), columns: None };
    for (organization, node) in places {
        let Some(node) = node else {
            described.unknown.push((*organization).to_owned());
            continue;
        };
        let Some(database) = node.database(label) else {
            described.lacking.push((*organization).to_owned());
            continue;
        };
        if !described.kinds.contains(&database.kind) {
            described.kinds.push(database.kind.clone());
        }
        described.columns = match (described.columns.take(), SharedColumns::of(database)) {
            (shared, None) => shared,
            (None, told) => told,
            (Some(shared), Some(told)) => Some(shared.and(&told)),
        };
    }
    described
}

/// A function of a store as the wizard uses it.
pub fn chosen(store_id: i64, algorithm: &Algorithm, function: &Function) -> ChosenFunction {
    ChosenFunction {
        store_id: Some(store_id),
        image: algorithm.image.clone(),
        name: function.name.clone(),
        display_name: function.display_name.clone(),
        central: function.partitioning == Partitioning::Central,
        databases: function.databases.clone(),
        arguments: function.arguments.clone(),
        is_other: false,
    }
}

impl ChosenFunction {
    /// The argument of a central function that names the organizations whose data it uses: asked for as "Include data
    /// from", not among the arguments.
    pub fn include_argument(&self) -> Option<&Argument> {
        let lists = self.arguments.iter().filter(|argument| argument.kind == ArgumentType::OrganizationList);
        lists.into_iter().find(|_| self.central)
    }

    /// The arguments that are asked for by themselves.
    pub fn asked_arguments(&self) -> Vec<&Argument> {
        let include = self.include_argument().map(|argument| argument.id);
        self.arguments.iter().filter(|argument| Some(argument.id) != include).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn organization(id: i64) -> Organization {
        Organization {
            id,
            name: format!("org{id}"),
            domain: String::new(),
            address: Vec::new(),
            country: String::new(),
            has_public_key: false,
        }
    }

    fn node(organization_id: i64, databases: &[(&str, &[&str])]) -> Node {
        Node {
            id: organization_id,
            name: format!("node{organization_id}"),
            online: !databases.is_empty(),
            last_seen: None,
            organization_id: Some(organization_id),
            collaboration_id: Some(1),
            databases: databases
                .iter()
                .map(|(label, columns)| NodeDatabase {
                    label: (*label).to_owned(),
                    kind: "csv".to_owned(),
                    columns: Some(columns.iter().map(|column| (*column).to_owned()).collect()),
                    more_columns: 0,
                })
                .collect(),
            shares_config: true,
            policies: Default::default(),
            second_program: None,
            left_out: 0,
        }
    }

    fn data() -> WizardData {
        WizardData {
            own_organization: Some(2),
            collaborations: vec![Collaboration {
                id: 1,
                name: "c".to_owned(),
                encrypted: false,
                organizations: (2..=5).map(organization).collect(),
            }],
            nodes: vec![
                node(2, &[("default", &["age", "sex"]), ("only_here", &["x"])]),
                node(3, &[("default", &["age", "weight"])]),
                node(4, &[]),
            ],
            stores: Vec::new(),
            study: None,
        }
    }

    fn draft(organizations: &[i64]) -> Draft {
        Draft { collaboration_id: Some(1), organizations: organizations.to_vec(), ..Draft::new() }
    }

    #[test]
    fn only_labels_of_every_chosen_organization_are_shared() {
        let labels = data().labels(&draft(&[2, 3]));
        assert_eq!(labels[0].label, "default");
        assert!(labels[0].lacking.is_empty());
        let shared = SharedColumns { names: vec!["age".to_owned()], may_have_more: false };
        assert_eq!(labels[0].columns, Some(shared));
        assert_eq!((labels[1].label.as_str(), labels[1].lacking.as_slice()), ("only_here", &["org3".to_owned()][..]));
    }

    #[test]
    fn an_offline_node_or_none_is_unknown_and_does_not_block() {
        let labels = data().labels(&draft(&[2, 4, 5]));
        assert!(labels[0].lacking.is_empty());
        assert_eq!(labels[0].unknown, ["org4", "org5"]);
    }
}
