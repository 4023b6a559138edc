use super::Organization;
use crate::protocol::wire::v4;

/// Organizations that agreed to compute together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collaboration {
    pub id: i64,
    pub name: String,
    pub encrypted: bool,
    /// Empty unless they were asked for.
    pub organizations: Vec<Organization>,
}

/// A part of a collaboration's organizations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Study {
    pub id: i64,
    pub name: String,
    pub collaboration_id: Option<i64>,
    pub organizations: Vec<Organization>,
}

impl From<v4::Study> for Study {
    fn from(wire: v4::Study) -> Self {
        let organizations = wire.organizations.into_items().unwrap_or_default();
        Study {
            id: wire.id,
            name: wire.name,
            collaboration_id: wire.collaboration.map(|link| link.id),
            organizations: organizations.into_iter().map(Organization::from).collect(),
        }
    }
}

impl From<v4::Collaboration> for Collaboration {
    fn from(wire: v4::Collaboration) -> Self {
        let organizations = wire.organizations.into_items().unwrap_or_default();
        Collaboration {
            id: wire.id,
            name: wire.name,
            encrypted: wire.encrypted,
            organizations: organizations.into_iter().map(Organization::from).collect(),
        }
    }
}
