use std::collections::HashMap;

use jiff::Timestamp;

use super::id_of;
use crate::protocol::{policy::Policies, timestamp, wire::v4};

/// A data station of one organization in one collaboration, with what it tells of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub id: i64,
    pub name: String,
    pub online: bool,
    pub last_seen: Option<Timestamp>,
    pub organization_id: Option<i64>,
    pub collaboration_id: Option<i64>,
    /// Known only while the node is connected and shares its configuration.
    pub databases: Vec<NodeDatabase>,
    /// Whether the node tells what it allows at all.
    pub shares_config: bool,
    /// What it allows, as far as it tells.
    pub policies: Policies,
    /// When a second program came with its key, since it is connected; our hub only.
    pub second_program: Option<Timestamp>,
    /// How many facts did not fit that the node tells of itself; our hub only.
    pub left_out: usize,
}

/// A database of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDatabase {
    pub label: String,
    /// `csv`, `parquet`, `sql`, …; `other` if the node does not tell.
    pub kind: String,
    /// Column names in the order of the data; `None` if the node does not tell.
    pub columns: Option<Vec<String>>,
    /// How many more there are that it does not tell, being too many or too long.
    pub more_columns: usize,
}

/// The most databases of a node that are looked at.
const MOST_DATABASES: usize = 200;

impl Node {
    /// The database of this label.
    pub fn database(&self, label: &str) -> Option<&NodeDatabase> {
        self.databases.iter().find(|database| database.label == label)
    }
}

impl From<v4::Node> for Node {
    fn from(wire: v4::Node) -> Self {
        let mut facts: HashMap<&str, Vec<String>> = HashMap::new();
        for item in &wire.config {
            facts.entry(&item.key).or_default().push(item.value.clone());
        }
        let values = |key: &str| facts.get(key).cloned().unwrap_or_default();
        let number = |key: &str| values(key).pop().and_then(|number| number.parse().ok()).unwrap_or_default();
        let databases = values("database_labels")
            .into_iter()
            .take(MOST_DATABASES)
            .map(|label| {
                let columns = values(&format!("columns_{label}"));
                NodeDatabase {
                    kind: values(&format!("db_type_{label}")).pop().unwrap_or_else(|| "other".to_owned()),
                    columns: (!columns.is_empty()).then_some(columns),
                    more_columns: number(&format!("more_columns_{label}")),
                    label,
                }
            })
            .collect();
        Node {
            id: wire.id,
            online: wire.status.as_deref() == Some("online"),
            last_seen: wire.last_seen.as_deref().and_then(timestamp::parse),
            databases,
            shares_config: wire.config.iter().any(|item| item.key != v4::SECOND_PROGRAM),
            second_program: values(v4::SECOND_PROGRAM).pop().as_deref().and_then(timestamp::parse),
            left_out: number(v4::LEFT_OUT),
            policies: Policies::from_facts(values),
            organization_id: id_of(wire.organization.clone()),
            collaboration_id: id_of(wire.collaboration.clone()),
            name: wire.name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_flat_configuration_becomes_databases_with_their_columns() {
        let wire: v4::Node = serde_json::from_value(json!({
            "id": 1, "type": "node", "ip": null, "last_seen": "2026-11-22T17:00:02.000001", "status": "online",
            "name": "station", "organization": {"id": 2, "link": "/api/organization/2", "methods": ["GET"]},
            "collaboration": {"id": 1, "link": "/api/collaboration/1", "methods": ["GET"]},
            "config": [
                {"key": "encryption", "value": "False"}, {"key": "allowed_algorithms", "value": "all"},
                {"key": "allowed_users", "value": "2"},
                {"key": "database_labels", "value": "default"}, {"key": "database_labels", "value": "omop"},
                {"key": "db_type_default", "value": "csv"},
                {"key": "columns_default", "value": "age"}, {"key": "columns_default", "value": "sex"},
                {"key": "more_columns_default", "value": "7"}, {"key": "atoll_left_out", "value": "3"}]
        }))
        .unwrap();
        let node = Node::from(wire);
        assert!(node.online);
        assert_eq!(node.policies.allowed_algorithms, None);
        assert_eq!(node.policies.allowed_users, Some(vec!["2".to_owned()]));
        assert_eq!(node.database("default").unwrap().columns, Some(vec!["age".to_owned(), "sex".to_owned()]));
        assert_eq!((node.database("default").unwrap().more_columns, node.left_out), (7, 3));
        assert_eq!(node.database("omop").unwrap().kind, "other");
        assert_eq!(node.database("omop").unwrap().columns, None);
    }
}
