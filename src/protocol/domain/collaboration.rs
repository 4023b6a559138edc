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
