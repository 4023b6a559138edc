//! What a node tells the server of itself (`node_info_update`), in the keys of vantage6 nodes.

use serde_json::{Map, Value, json};

use super::{config::NodeConfig, database};

/// The most column names that are shared of a database.
const COLUMN_LIMIT: usize = 2_000;

/// Labels, types and columns of the databases, and the policies. Reads the files' headers, so it may block.
pub fn details(config: &NodeConfig) -> Value {
    let policies = &config.policies;
    let mut details = Map::new();
    details.insert("encryption".into(), json!(false));
    details.insert(
        "allowed_algorithms".into(),
        policies.allowed_algorithms.as_ref().map_or(json!("all"), |images| json!(images)),
    );
    for (key, allowed) in
        [("allowed_users", &policies.allowed_users), ("allowed_orgs", &policies.allowed_organizations)]
    {
        if let Some(allowed) = allowed {
            details.insert(key.into(), json!(allowed));
        }
    }
    let databases = config.database_list();
    let labels: Vec<&str> = databases.iter().map(|database| database.label.as_str()).collect();
    details.insert("database_labels".into(), json!(labels));
    for database in &databases {
        details.insert(format!("db_type_{}", database.label), json!(database.kind));
        match database::columns(database) {
            Ok(mut columns) => {
                columns.truncate(COLUMN_LIMIT);
                details.insert(format!("columns_{}", database.label), json!(columns));
            }
            Err(error) => tracing::warn!(label = database.label, %error, "the columns of a database are not known"),
        }
    }
    Value::Object(details)
}
