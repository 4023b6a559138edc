//! What a node tells the server of itself (`node_info_update`), in the keys of vantage6 nodes.

use serde_json::{Map, Value, json};

use super::{config::NodeConfig, database};

/// The bytes of all column names that are told: a message has 1 MiB.
const COLUMN_BYTES: usize = 700_000;
/// What a name takes beside its letters.
const NAME_BYTES: usize = 1;
/// A longer name is none, in bytes: it could be what stands in the file.
const LONGEST_NAME: usize = 1_000;

/// What a node tells, and what it does not.
pub struct Details {
    pub told: Value,
    /// What the server is not told, in sentences for the node's admins.
    pub untold: Vec<String>,
}

/// Labels, types and columns of the databases, and the policies. Reads the files' headers, so it may block.
pub fn details(config: &NodeConfig) -> Details {
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
    let (mut told, mut untold) = (Vec::new(), Vec::new());
    for database in &databases {
        details.insert(format!("db_type_{}", database.label), json!(database.kind));
        match database::columns(database) {
            Ok(mut columns) => {
                columns.retain(|column| policies.anybody_may_use(&database.label, column));
                told.push((&database.label, columns));
            }
            Err(error) => {
                let (label, error) = (&database.label, error.in_full());
                tracing::warn!(label, error, "the columns of a database are not known");
                untold.push(format!("Nothing is told of the columns of \"{label}\": {error}"));
            }
        }
    }
    // Those that need little leave room for the others.
    told.sort_by_key(|(_, columns)| columns.iter().map(|column| bytes_of(column)).sum::<usize>());
    let (mut room, mut left) = (COLUMN_BYTES, told.len());
    for (label, mut columns) in told {
        let all = columns.len();
        room -= keep_what_fits(&mut columns, room / left);
        left -= 1;
        if columns.len() < all {
            let told = columns.len();
            tracing::warn!(label, all, told, "not all names of columns are told: they are too many, or too long");
            untold.push(format!(
                "Of the {all} columns of \"{label}\" the names of {told} are told: the others are too many, or too long. \
                 Functions can still be asked for them by name."
            ));
            details.insert(format!("more_columns_{label}"), json!((all - told).to_string()));
        }
        details.insert(format!("columns_{label}"), json!(columns));
    }
    Details { told: Value::Object(details), untold }
}

/// What tells whether the databases are still what they were.
pub fn states(config: &NodeConfig) -> String {
    let states = config.database_list().iter().map(database::state).collect::<Vec<_>>();
    states.into_iter().map(|state| state.unwrap_or_else(|error| error.in_full()) + "\n").collect()
}

/// Leaves out names that are too long, and the last ones where they take more than so many bytes; how many bytes the others
/// take.
fn keep_what_fits(columns: &mut Vec<String>, room: usize) -> usize {
    let mut taken = 0;
    columns.retain(|column| {
        let bytes = bytes_of(column);
        let fits = column.len() <= LONGEST_NAME && taken + bytes <= room;
        taken += if fits { bytes } else { 0 };
        fits
    });
    taken
}

/// What a name takes as JSON, in which a letter can have six bytes.
fn bytes_of(column: &str) -> usize {
    json!(column).to_string().len() + NAME_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_told_and_the_rest_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let wide = (0..20_000).map(|number| format!("measurement {number}")).collect::<Vec<_>>().join(",");
        let row = ["7"; 20_000].join(",");
        std::fs::write(folder.path().join("wide.csv"), format!("{wide}\n{row}\n{row}\n")).unwrap();
        let odd = "x".repeat(10_000);
        std::fs::write(folder.path().join("odd.csv"), format!("age,{odd},weight\n1,2,3\n")).unwrap();
        let mut text = "api_key: k\nserver_url: http://localhost\ndatabases:\n".to_owned();
        for label in ["wide", "odd", "more"] {
            let file = if label == "odd" { "odd" } else { "wide" };
            text.push_str(&format!("  - {{label: {label}, type: csv, uri: {file}.csv}}\n"));
        }
        let path = folder.path().join("node.yaml");
        std::fs::write(&path, text).unwrap();
        let Details { told: details, untold } = details(&NodeConfig::read(&path).unwrap());
        let of_odd = "Of the 3 columns of \"odd\" the names of 2 are told";
        assert!(untold.len() == 3 && untold.iter().any(|text| text.starts_with(of_odd)), "{untold:?}");
        let told = |label: &str| details[format!("columns_{label}")].as_array().unwrap().len();
        let more =
            |label: &str| details.get(format!("more_columns_{label}")).map(|more| more.as_str().unwrap().to_owned());
        assert_eq!((details["columns_odd"].clone(), more("odd")), (json!(["age", "weight"]), Some("1".to_owned())));
        // Each has as much room, and takes what the others leave.
        assert!(told("wide") > 10_000 && told("more") > 10_000, "{} {}", told("wide"), told("more"));
        assert_eq!(more("wide").unwrap().parse::<usize>().unwrap() + told("wide"), 20_000);
        assert!(details.to_string().len() < 800_000);
    }
}
