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
    for (key, values) in policies.facts() {
        match <[String; 1]>::try_from(values) {
            Ok([value]) => details.insert(key.into(), json!(value)),
            Err(values) => details.insert(key.into(), json!(values)),
        };
    }
    // Neither databases nor columns that nobody may use.
    let allowed = |label: &str| {
        policies.allowed_databases.as_ref().is_none_or(|rules| rules.iter().any(|rule| rule.database == label))
    };
    let databases: Vec<_> = config.database_list().into_iter().filter(|database| allowed(&database.label)).collect();
    let labels: Vec<&str> = databases.iter().map(|database| database.label.as_str()).collect();
    details.insert("database_labels".into(), json!(labels));
    for database in &databases {
        details.insert(format!("db_type_{}", database.label), json!(database.kind));
        match database::columns(database) {
            Ok(mut columns) => {
                columns.retain(|column| policies.anybody_may_use(&database.label, column));
                columns.truncate(COLUMN_LIMIT);
                details.insert(format!("columns_{}", database.label), json!(columns));
            }
            Err(error) => tracing::warn!(
                label = database.label,
                error = error.in_full(),
                "the columns of a database are not known"
            ),
        }
    }
    Value::Object(details)
}
