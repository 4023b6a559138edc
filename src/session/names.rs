//! Names for the ids that the hub's answers hold.

use std::collections::HashMap;

use crate::protocol::{
    client::{ClientError, HubClient},
    domain::{Collaboration, Organization, User},
};

/// The organizations, collaborations and users that may be seen, by id.
#[derive(Debug, Clone, Default)]
pub struct Names {
    organizations: HashMap<i64, String>,
    collaborations: HashMap<i64, String>,
    users: HashMap<i64, String>,
}

impl Names {
    /// Asks for all three in one round.
    pub(super) async fn load(hub: &HubClient) -> Result<Names, ClientError> {
        let (organizations, collaborations, users) =
            futures::try_join!(listed(hub.organizations()), listed(hub.collaborations()), listed(hub.users()))?;
        Ok(Names::of(&organizations, &collaborations, &users))
    }

    fn of(organizations: &[Organization], collaborations: &[Collaboration], users: &[User]) -> Names {
        Names {
            organizations: organizations.iter().map(|item| (item.id, item.name.clone())).collect(),
            collaborations: collaborations.iter().map(|item| (item.id, item.name.clone())).collect(),
            users: users.iter().map(|item| (item.id, item.display_name())).collect(),
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
        let known = user_id.and_then(|id| self.users.get(&id)).cloned();
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

    /// Users by name.
    pub fn users(&self) -> Vec<(i64, String)> {
        sorted(&self.users)
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
