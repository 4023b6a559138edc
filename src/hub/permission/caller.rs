use std::{collections::HashSet, sync::Arc};

use super::rule::{Permission, Resource};
use crate::{
    audit::Entry,
    hub::{
        HubError,
        token::{Claims, ContainerSubject},
    },
    protocol::domain::{Operation, Scope},
};

/// What somebody may do, and where: read from the database, never from a token.
#[derive(Debug, Clone, PartialEq)]
pub struct Authority {
    /// As the audit log names them: `user 5 (admin1)`, `node 2`, `algorithm of task 7`.
    pub actor: String,
    pub organization_id: i64,
    /// The collaborations of the organization (for nodes and containers: their one).
    pub collaborations: Vec<i64>,
    /// The organizations of these collaborations, the own one included.
    pub organizations: Vec<i64>,
    pub rules: HashSet<Permission>,
    /// Tokens of other epochs have ended.
    pub token_epoch: i64,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq)]
pub enum CallerKind {
    User { id: i64 },
    Node { id: i64 },
    Container(Box<ContainerSubject>),
}

/// Who asks, with what they may do.
#[derive(Debug, Clone)]
pub struct Caller {
    pub kind: CallerKind,
    pub authority: Arc<Authority>,
    /// What their token says, if they came with one.
    pub claims: Option<Arc<Claims>>,
    /// The bytes of the largest answer that they can use, if they say so: Atoll's own.
    pub largest_answer: Option<i64>,
}

/// How far a permission of a caller reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    Own,
    Organization,
    Collaboration,
    Everything,
}

impl Caller {
    /// With whom they share what each may have at once: an algorithm with the others of its organization, everybody else
    /// with nobody.
    pub fn party(&self) -> String {
        match self.kind {
            CallerKind::Container(_) => format!("algorithms of organization {}", self.authority.organization_id),
            _ => self.authority.actor.clone(),
        }
    }

    /// The entry of the audit log that they did this to that. The admins of their own organization read it, unless it says
    /// whose.
    pub fn did(&self, action: &'static str, noun: &str, id: i64) -> Entry {
        Entry::done(&self.authority.actor, action, format!("{noun} {id}")).of(self.authority.organization_id)
    }

    /// The widest reach of an operation on a kind of thing; `None`: not at all.
    pub fn reach(&self, resource: Resource, operation: Operation) -> Option<Reach> {
        [
            (Scope::Global, Reach::Everything),
            (Scope::Collaboration, Reach::Collaboration),
            (Scope::Organization, Reach::Organization),
            (Scope::Own, Reach::Own),
        ]
        .into_iter()
        .find(|(scope, _)| self.authority.rules.contains(&(resource, *scope, operation)))
        .map(|(_, reach)| reach)
    }

    /// As [`Caller::reach`], an error if there is none.
    pub fn require(&self, resource: Resource, operation: Operation) -> Result<Reach, HubError> {
        self.reach(resource, operation).ok_or(HubError::NotAllowed)
    }

    /// Whether the operation is permitted on something of this organization.
    pub fn may_at_organization(&self, resource: Resource, operation: Operation, organization_id: i64) -> bool {
        match self.reach(resource, operation) {
            Some(Reach::Everything) => true,
            Some(Reach::Collaboration) => {
                organization_id == self.authority.organization_id
                    || self.authority.organizations.contains(&organization_id)
            }
            Some(Reach::Organization) => organization_id == self.authority.organization_id,
            Some(Reach::Own) | None => false,
        }
    }

    /// Whether the caller may touch how people of this organization sign in, or its nodes' keys: only who belongs to it,
    /// and Root. Others who administer a collaboration do not reach into its organizations.
    pub fn is_inside(&self, resource: Resource, operation: Operation, organization_id: i64) -> bool {
        match self.reach(resource, operation) {
            Some(Reach::Everything) => true,
            Some(Reach::Collaboration | Reach::Organization) => organization_id == self.authority.organization_id,
            Some(Reach::Own) | None => false,
        }
    }

    /// Whether the caller belongs to another organization: what they do there is told to the people concerned.
    pub fn is_foreign(&self, organization_id: i64) -> bool {
        organization_id != self.authority.organization_id
    }

    /// Whether the caller's organization takes part in a collaboration.
    pub fn is_in_collaboration(&self, collaboration_id: i64) -> bool {
        self.authority.collaborations.contains(&collaboration_id)
    }

    /// The user's id, if a user asks.
    pub fn user_id(&self) -> Option<i64> {
        match self.kind {
            CallerKind::User { id } => Some(id),
            _ => None,
        }
    }

    /// The user's id; an error if somebody else asks.
    pub fn require_user(&self) -> Result<i64, HubError> {
        self.user_id().ok_or(HubError::WrongClient("users"))
    }

    /// An error if a container asks, at an endpoint that containers have no use for.
    pub fn refuse_containers(&self) -> Result<(), HubError> {
        match self.kind {
            CallerKind::Container(_) => Err(HubError::WrongClient("users and nodes")),
            _ => Ok(()),
        }
    }

    /// The node's id; an error if somebody else asks.
    pub fn require_node(&self) -> Result<i64, HubError> {
        match self.kind {
            CallerKind::Node { id } => Ok(id),
            _ => Err(HubError::WrongClient("nodes")),
        }
    }
}
