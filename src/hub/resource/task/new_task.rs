//! The body of `POST /task` and what can be checked of it by itself.

use std::collections::HashSet;

use garde::Validate;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::{
    hub::resource::{check_optional_name, check_optional_text},
    protocol::{SmallValue, bounded::at_most, wire::v4::NewTaskOrganization},
};

/// The most organizations of a task, …
pub const ORGANIZATION_LIMIT: usize = 1_000;
/// … databases, …
pub const DATABASE_LIMIT: usize = 100;
/// … and bytes of these with their parameters.
pub const DATABASE_BYTES: usize = 64 * 1024;

/// The databases, none of which holds more than a few values.
fn few_databases<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Value>>, D::Error> {
    #[derive(Deserialize)]
    struct Databases(#[serde(deserialize_with = "at_most::<_, _, DATABASE_LIMIT>")] Vec<SmallValue>);
    let databases = Option::<Databases>::deserialize(deserializer)?;
    Ok(databases.map(|Databases(list)| list.into_iter().map(|SmallValue(value)| value).collect()))
}

/// A task as a client asks for it.
#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct NewTask {
    #[garde(custom(check_optional_name))]
    #[serde(default)]
    pub name: Option<String>,
    #[garde(custom(check_optional_text))]
    #[serde(default)]
    pub description: Option<String>,
    #[garde(length(chars, min = 1, max = 1024), custom(check_image))]
    pub image: String,
    #[garde(inner(range(min = 1)))]
    #[serde(default)]
    pub collaboration_id: Option<i64>,
    #[garde(inner(range(min = 1)))]
    #[serde(default)]
    pub study_id: Option<i64>,
    #[garde(inner(range(min = 1)))]
    #[serde(default)]
    pub store_id: Option<i64>,
    /// Where the client believes this server to be; of no use here.
    #[garde(skip)]
    #[serde(default, rename = "server_url")]
    _server_url: Option<String>,
    #[garde(custom(check_organizations))]
    #[serde(deserialize_with = "at_most::<_, _, ORGANIZATION_LIMIT>")]
    pub organizations: Vec<NewTaskOrganization>,
    #[garde(custom(check_databases))]
    #[serde(default, deserialize_with = "few_databases")]
    pub databases: Option<Vec<Value>>,
    /// The label of the one database that clients of vantage6 3.x name.
    #[garde(inner(length(max = 1024)))]
    #[serde(default)]
    database: Option<String>,
}

impl NewTask {
    /// The databases, named in either way.
    pub fn databases(&self) -> Vec<Value> {
        match (&self.databases, &self.database) {
            (Some(databases), _) => databases.clone(),
            (None, Some(label)) if !label.trim().is_empty() => vec![json!({"label": label})],
            (None, _) => Vec::new(),
        }
    }
}

/// An image is handed to a container engine by nodes: no blanks, no control characters, no leading dash.
fn check_image(image: &str, _: &()) -> garde::Result {
    let valid = |character: char| character.is_ascii_alphanumeric() || "./:@_-".contains(character);
    if image.starts_with('-') || !image.chars().all(valid) {
        return Err(garde::Error::new("Not a valid image name"));
    }
    Ok(())
}

fn check_organizations(organizations: &[NewTaskOrganization], _: &()) -> garde::Result {
    let ids: HashSet<i64> = organizations.iter().map(|organization| organization.id).collect();
    match organizations {
        [] => Err(garde::Error::new("At least one organization is required")),
        organizations if ids.len() < organizations.len() => {
            Err(garde::Error::new("Every organization can be given only once"))
        }
        _ => Ok(()),
    }
}

const DATABASE_KEYS: [&str; 5] = ["label", "arguments", "preprocessing", "query", "sheet_name"];

fn check_databases(databases: &Option<Vec<Value>>, _: &()) -> garde::Result {
    let bytes: usize = databases.iter().flatten().map(|database| database.to_string().len()).sum();
    if bytes > DATABASE_BYTES {
        return Err(garde::Error::new(format!("Databases with their parameters have at most {DATABASE_BYTES} bytes")));
    }
    for database in databases.iter().flatten() {
        let label = database.get("label").and_then(Value::as_str).unwrap_or_default();
        if label.trim().is_empty() {
            return Err(garde::Error::new("Database label is required for each database"));
        }
        let unknown = database.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        if let Some(key) = unknown.into_iter().find(|key| !DATABASE_KEYS.contains(key)) {
            return Err(garde::Error::new(format!(
                "Database has the unknown key '{key}'. Allowed keys are {}.",
                DATABASE_KEYS.join(", ")
            )));
        }
    }
    Ok(())
}
