//! The environment of an algorithm's process: the variables of a vantage6 4.x container, and the disclosure limits.

use std::path::Path;

use data_encoding::BASE32;
use serde_json::Value;
use url::Url;

use super::ProcessError;
use crate::{
    node::config::DatabaseConfig,
    protocol::{policy::Limits, wire::v4},
};

/// What a database of a task may say beside its label (vantage6 4.x). Nothing else becomes a variable: a parameter
/// could take the place of another one (CVE-2024-21649).
const PARAMETERS: [&str; 3] = ["query", "sheet_name", "preprocessing"];

/// A variable with its value.
pub type Variable = (String, String);

/// A value as vantage6 4.x writes them: base32 with `!` for `=`, so that no character of it means anything.
pub fn encoded(value: &str) -> String {
    BASE32.encode(value.as_bytes()).replace('=', "!")
}

/// The files of a run, in its own folder.
pub fn of_files(folder: &Path) -> Vec<Variable> {
    [("INPUT_FILE", "input"), ("OUTPUT_FILE", "output"), ("TOKEN_FILE", "token"), ("TEMPORARY_FOLDER", "temporary")]
        .map(|(variable, name)| (variable.to_owned(), encoded(&folder.join(name).to_string_lossy())))
        .into()
}

/// The server, which takes the container token and creates subtasks.
pub fn of_server(server: &Url) -> Vec<Variable> {
    let host = format!("{}://{}", server.scheme(), server.host_str().unwrap_or_default());
    let port = server.port_or_known_default().map(|port| port.to_string()).unwrap_or_default();
    [("HOST", host.as_str()), ("PORT", &port), ("API_PATH", server.path().trim_end_matches('/'))]
        .map(|(variable, value)| (variable.to_owned(), encoded(value)))
        .into()
}

/// The disclosure limits that are set, by their names in capitals.
pub fn of_limits(limits: &Limits) -> Vec<Variable> {
    limits.named().into_iter().map(|(name, value)| (name.to_uppercase(), encoded(&value))).collect()
}

/// The databases that a task names, and no others.
pub fn of_databases(asked: &[v4::TaskDatabase], held: &[DatabaseConfig]) -> Result<Vec<Variable>, ProcessError> {
    let labels: Vec<&str> = asked.iter().map(|database| database.label.as_str()).collect();
    let mut variables = vec![
        ("USER_REQUESTED_DATABASE_LABELS".to_owned(), encoded(&labels.join(","))),
        ("DB_LABELS".to_owned(), encoded(&labels.join(","))),
    ];
    let mut taken: Vec<String> = Vec::new();
    for database in asked {
        let label = database.label.to_uppercase();
        // A second one would take the place of the first.
        if !is_variable(&database.label) || taken.contains(&label) {
            return Err(ProcessError::Label(database.label.clone()));
        }
        taken.push(label.clone());
        if let Some(held) = held.iter().find(|held| held.label == database.label) {
            variables.push((format!("{label}_DATABASE_URI"), encoded(&held.uri)));
            variables.push((format!("{label}_DATABASE_TYPE"), encoded(&held.kind)));
        }
        let parameters = database.parameters.as_deref().filter(|text| !text.trim().is_empty()).unwrap_or("{}");
        let parameters: Value = serde_json::from_str(parameters).map_err(|_| ProcessError::Parameters)?;
        let parameters = match &parameters {
            Value::Null => continue,
            Value::Object(parameters) => parameters,
            _ => return Err(ProcessError::Parameters),
        };
        for (key, value) in parameters.iter().filter(|(_, value)| !value.is_null()) {
            if !PARAMETERS.contains(&key.as_str()) {
                return Err(ProcessError::Parameters);
            }
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            variables.push((format!("{label}_{}", key.to_uppercase()), encoded(&value)));
        }
    }
    Ok(variables)
}

/// Whether a text can be the name of a variable, or its beginning.
pub fn is_variable(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|character| character.is_ascii_alphanumeric() || character == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(label: &str, parameters: Option<&str>) -> v4::TaskDatabase {
        v4::TaskDatabase { label: label.to_owned(), parameters: parameters.map(str::to_owned) }
    }

    #[test]
    fn values_are_written_as_the_official_wrapper_reads_them() {
        assert_eq!(encoded("abc"), "MFRGG!!!");
    }

    #[test]
    fn only_databases_that_were_asked_for_are_named() {
        let held = ["default", "other"].map(|label| DatabaseConfig {
            label: label.to_owned(),
            kind: "csv".to_owned(),
            uri: format!("/data/{label}.csv"),
            ..Default::default()
        });
        let variables = of_databases(&[asked("default", Some(r#"{"query": "select 1"}"#))], &held).unwrap();
        let value = |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(value("DEFAULT_DATABASE_URI"), Some(encoded("/data/default.csv").as_str()));
        assert_eq!(value("DEFAULT_QUERY"), Some(encoded("select 1").as_str()));
        assert_eq!(value("OTHER_DATABASE_URI"), None);
    }

    #[test]
    fn cve_2024_21649_neither_labels_nor_parameters_become_other_variables() {
        let of = |label: &str, parameters: &str| of_databases(&[asked(label, Some(parameters))], &[]);
        for (label, parameters) in [
            ("default=1\nLD_PRELOAD", "{}"),
            ("a-b", "{}"),
            ("default", r#"{"database_uri": "/etc/passwd"}"#),
            ("default", r#"["query"]"#),
            ("default", "no JSON"),
        ] {
            assert!(of(label, parameters).is_err(), "{label} {parameters}");
        }
        // Of two with the same variables nobody could tell which one is read.
        assert!(of_databases(&[asked("default", None), asked("Default", None)], &[]).is_err());
        // Whatever a value holds, it is encoded.
        let variables = of("default", r#"{"query": "1\u0000\nLD_PRELOAD=/tmp/a.so"}"#).unwrap();
        let plain = |value: &String| value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'!');
        assert!(variables.iter().all(|(_, value)| plain(value)), "{variables:?}");
    }

    #[test]
    fn limits_that_are_not_set_are_not_there() {
        let limits = Limits { smallest_cell: Some(5), ..Limits::default() };
        assert_eq!(of_limits(&limits), [("SMALLEST_CELL".to_owned(), encoded("5"))]);
    }
}
