use super::text_of;
use crate::protocol::wire::v4;

/// An organization that holds data or has users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    pub id: i64,
    pub name: String,
    pub domain: String,
    /// Street, postal code and country, as far as they are known, in the order of an envelope.
    pub address: Vec<String>,
    pub country: String,
    pub has_public_key: bool,
}

impl From<v4::Organization> for Organization {
    fn from(wire: v4::Organization) -> Self {
        let country = text_of(wire.country);
        let address = [wire.address1, wire.address2, wire.zipcode, Some(country.clone())];
        Organization {
            id: wire.id,
            name: wire.name,
            domain: text_of(wire.domain),
            address: address.into_iter().flatten().filter(|line| !line.trim().is_empty()).collect(),
            country,
            has_public_key: !text_of(wire.public_key).is_empty(),
        }
    }
}
