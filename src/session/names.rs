//! Names for the ids that the hub's answers hold.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use futures::{StreamExt, stream};

use crate::protocol::{
    client::{ClientError, HubClient, Listed},
    domain::{Collaboration, Organization, Task, User},
};

/// The organizations and collaborations that may be seen, by id, with the users that are known by name.
#[derive(Debug, Clone, Default)]
pub struct Names {
    organizations: HashMap<i64, String>,
    collaborations: HashMap<i64, String>,
    users: Arc<UserNames>,
}

/// Names of users: those of the first page of their list, and those that were asked for since. There can be many more.
#[derive(Debug, Default)]
pub(super) struct UserNames {
    /// `None`: they may not be seen, or are no longer there.
    known: RwLock<HashMap<i64, Option<String>>>,
    /// Whether that are all who may be seen.
    are_all: bool,
}

/// The most users that are asked for at once.
const AT_ONCE: usize = 8;

impl UserNames {
    pub(super) async fn load(hub: &HubClient) -> Result<UserNames, ClientError> {
        let first = match hub.first_users().await {
            Err(ClientError::NotAllowed(_)) => Listed::default(),
            first => first?,
        };
        Ok(UserNames::of(first))
    }

    fn of(first: Listed<User>) -> UserNames {
        let are_all = first.items.len() >= first.total;
        let known = first.items.into_iter().map(|user| (user.id, Some(user.display_name()))).collect();
        UserNames { known: RwLock::new(known), are_all }
    }

    fn name(&self, id: i64) -> Option<String> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned().flatten()
    }

    /// Asks for those of these who are not known.
    async fn learn(&self, hub: &HubClient, ids: BTreeSet<i64>) {
        let unknown: Vec<i64> = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            ids.into_iter().filter(|id| !known.contains_key(id)).collect()
        };
        let asked = unknown.into_iter().map(async |id| (id, hub.user(id).await));
        let told: Vec<_> = stream::iter(asked.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect().await;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for (id, user) in told {
            match user {
                Ok(user) => drop(known.insert(id, Some(user.display_name()))),
                Err(ClientError::NotAllowed(_) | ClientError::NotFound(_)) => drop(known.insert(id, None)),
                // A name is side information: it is asked for again with the next page.
                Err(error) => tracing::debug!(%error, id, "the name of a user is not known"),
            }
        }
    }
}

impl Names {
    /// Asks for both in one round.
    pub(super) async fn load(hub: &HubClient) -> Result<Names, ClientError> {
        let (organizations, collaborations) =
            futures::try_join!(listed(hub.organizations()), listed(hub.collaborations()))?;
        Ok(Names::of(&organizations, &collaborations))
    }

    fn of(organizations: &[Organization], collaborations: &[Collaboration]) -> Names {
        Names {
            organizations: organizations.iter().map(|item| (item.id, item.name.clone())).collect(),
            collaborations: collaborations.iter().map(|item| (item.id, item.name.clone())).collect(),
            users: Arc::default(),
        }
    }

    pub(super) fn with(&self, users: Arc<UserNames>) -> Names {
        Names { users, ..self.clone() }
    }

    /// Asks for the names of those who created these tasks, where they are not known.
    pub async fn learn_creators(&self, hub: &HubClient, tasks: &[Task]) {
        if !self.users.are_all {
            self.users.learn(hub, tasks.iter().filter_map(|task| task.init_user_id).collect()).await;
        }
    }

    /// The organization's name, or its number if it may not be seen.
    pub fn organization(&self, id: i64) -> String {
        self.organizations.get(&id).cloned().unwrap_or_else(|| format!("Organization {id}"))
    }

    /// The collaboration's name, or its number if it may not be seen.
    pub fn collaboration(&self, id: i64) -> String {
        self.collaborations.get(&id).cloned().unwrap_or_else(|| format!("Collaboration {id}"))
    }

    /// Who created something: the user's name, or, if the user may not be seen, of which organization.
    pub fn creator(&self, user_id: Option<i64>, organization_id: Option<i64>) -> String {
        let known = user_id.and_then(|id| self.users.name(id));
        match (known, user_id, organization_id) {
            (Some(name), ..) => name,
            (None, Some(_), Some(id)) => format!("somebody of {}", self.organization(id)),
            (None, Some(_), None) => "somebody".to_owned(),
            (None, None, _) => "somebody who is no longer there".to_owned(),
        }
    }

    /// Collaborations by name.
    pub fn collaborations(&self) -> Vec<(i64, String)> {
        sorted(&self.collaborations)
    }

    /// Users by name, if all who may be seen are known.
    pub fn all_users(&self) -> Option<Vec<(i64, String)>> {
        let known = self.users.known.read().unwrap_or_else(PoisonError::into_inner);
        let names = known.iter().filter_map(|(id, name)| Some((*id, name.clone()?)));
        self.users.are_all.then(|| sorted(&names.collect()))
    }
}

/// Names are side information: whoever may not list users, say, sees tasks all the same.
async fn listed<T>(list: impl Future<Output = Result<Vec<T>, ClientError>>) -> Result<Vec<T>, ClientError> {
    match list.await {
        Err(ClientError::NotAllowed(_)) => Ok(Vec::new()),
        outcome => outcome,
    }
}

fn sorted(names: &HashMap<i64, String>) -> Vec<(i64, String)> {
    let mut list: Vec<(i64, String)> = names.iter().map(|(id, name)| (*id, name.clone())).collect();
    list.sort_by_key(|(_, name)| name.to_lowercase());
    list
}
