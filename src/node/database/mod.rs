//! The files that a node holds, as tables.

mod column_names;
mod content;
mod csv;
mod parquet;

use std::{path::Path, sync::Arc};

use sha2::{Digest, Sha256};

use super::{config::DatabaseConfig, error::RunError};
use crate::{
    algorithms::{AlgorithmError, Batches, ReadColumns, Table},
    protocol::{
        name::{one_line, plain_name},
        policy::Columns,
        review::ReviewedDatabase,
    },
};

/// The most rows read at once, …
const BATCH_ROWS: usize = 65_536;
/// … and about the most bytes of values, of however few rows.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// The database with this label. Others are named only where the configuration shares them.
pub fn find<'a>(databases: &'a [DatabaseConfig], label: &str, shares: bool) -> Result<&'a DatabaseConfig, RunError> {
    databases.iter().find(|database| database.label == label).ok_or_else(|| {
        let labels: Vec<&str> = databases.iter().map(|database| database.label.as_str()).collect();
        RunError::NoSuchDatabase {
            label: label.to_owned(),
            labels: if shares { format!("; its databases are: {}", labels.join(", ")) } else { String::new() },
        }
    })
}

/// The labels of databases with other people than this one, as the configuration of either says.
pub fn with_other_people(databases: &[DatabaseConfig], of: &DatabaseConfig) -> Vec<String> {
    let are_others = |database: &&DatabaseConfig| {
        of.other_people_than.contains(&database.label) || database.other_people_than.contains(&of.label)
    };
    databases.iter().filter(are_others).map(|database| database.label.clone()).collect()
}

/// The column of a CSV file that no file has: in which line each row begins.
pub const LINE: &str = "\0line";

/// The name of the column of which this is another one, as files and programs number them: `bsn.1`, `bsn_1`, `bsn (1)`,
/// `bsn2`; and, of two tables that were joined, as pandas, R and Polars name them.
fn first_of(name: &str) -> Option<&str> {
    const JOINED: [&str; 8] = ["_x", "_y", ".x", ".y", "_left", "_right", "_l", "_r"];
    if let Some(first) = JOINED.iter().find_map(|joined| name.strip_suffix(joined)) {
        return Some(first);
    }
    let begin = name.strip_suffix(')').unwrap_or(name);
    let first = begin.trim_end_matches(|letter: char| letter.is_ascii_digit());
    (first.len() < begin.len()).then(|| first.trim_end_matches(['.', '_', '(', ' ', '-']))
}

/// Opens a database as a table.
pub fn open(database: &DatabaseConfig) -> Result<Table, RunError> {
    open_as(database, false)
}

/// The same, where lines are known with the column [`LINE`] (UInt64) behind all others.
pub fn open_with_lines(database: &DatabaseConfig) -> Result<Table, RunError> {
    open_as(database, true)
}

fn open_as(database: &DatabaseConfig, with_lines: bool) -> Result<Table, RunError> {
    let path = Path::new(&database.uri);
    let table = match database.kind.as_str() {
        "csv" => csv::open(path, &format(database), with_lines)?,
        "parquet" => parquet::open(path, database.header == Some(true), &named(database))?,
        kind => return Err(RunError::DatabaseType(kind.to_owned())),
    };
    let mut table = in_order(table);
    // A column that comes twice is numbered, and identifies as well as the first.
    let names = |field: &&arrow_schema::FieldRef| {
        let firsts = std::iter::successors(first_of(field.name()), |name| first_of(name));
        let firsts: Vec<String> = firsts.take_while(|name| !name.is_empty()).map(plain_name).collect();
        database.identifiers.iter().chain(&database.person).any(|named| firsts.contains(&plain_name(named)))
    };
    table.identifiers = table.schema.fields().iter().filter(names).map(|field| field.name().clone()).collect();
    let is_there =
        |named: &&String| table.schema.fields().iter().any(|field| plain_name(field.name()) == plain_name(named));
    // What is not there protects nothing: it can have another name since.
    if let Some(missing) = database.identifiers.iter().find(|named| !is_there(named)) {
        return Err(AlgorithmError::Damaged {
            told: "a column that its configuration names is not there (identifiers)",
            reason: format!("there is no column \"{missing}\""),
        }
        .into());
    }
    table.identifiers.extend(database.identifiers.iter().cloned());
    if let Some(person) = &database.person {
        let place = table.schema.index_of(&one_line(person)).map_err(|_| {
            AlgorithmError::Unreadable("it has no column that says who its rows are about (person)".to_owned())
        })?;
        table.identifiers.push(person.clone());
        let read = table.read;
        table.has_person = true;
        table.read = Box::new(move |columns: &[usize]| read(&[columns, &[place]].concat()));
    }
    Ok(table)
}

/// The columns that the configuration names.
fn named(database: &DatabaseConfig) -> Vec<String> {
    database.identifiers.iter().chain(&database.person).cloned().collect()
}

/// What the configuration says of a CSV file.
fn format(database: &DatabaseConfig) -> csv::Format {
    let DatabaseConfig { separator, decimal, header, columns, .. } = database.clone();
    csv::Format { separator, decimal, header, columns, named: named(database) }
}

/// Gives the columns in the order in which they are asked for, each as often as it is, whatever the reader does.
fn in_order(table: Table) -> Table {
    let read = table.read;
    let read =
        Box::new(move |columns: &[usize]| -> Result<Batches, AlgorithmError> {
            let mut once = columns.to_vec();
            once.sort_unstable();
            once.dedup();
            let places: Vec<usize> = columns.iter().filter_map(|column| once.binary_search(column).ok()).collect();
            if once == columns {
                return read(columns);
            }
            let batches = read(&once)?;
            Ok(Box::new(batches.map(move |batch| {
                batch?.project(&places).map_err(|error| AlgorithmError::Unreadable(error.to_string()))
            })))
        });
    Table { read, ..table }
}

/// What tells whether a database is still the same: its path, its size, when it was changed, and which file it is; of a folder
/// of Parquet files that of each. Another folder does not tell.
pub fn state(database: &DatabaseConfig) -> Result<String, AlgorithmError> {
    let path = Path::new(&database.uri);
    let mut facts = database.uri.clone();
    let files = match database.kind.as_str() {
        "parquet" => parquet::files(path)?,
        _ => vec![path.to_owned()],
    };
    for path in files {
        let data = std::fs::metadata(&path).map_err(unreadable)?;
        if !data.is_file() {
            return Err(AlgorithmError::Unreadable("it is no file".to_owned()));
        }
        let changed = data.modified().map_err(unreadable)?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        #[cfg(unix)]
        let file = std::os::unix::fs::MetadataExt::ino(&data);
        #[cfg(not(unix))]
        let file = 0;
        facts.push_str(&format!("\n{}\n{}\n{file}", data.len(), changed.as_nanos()));
    }
    // What SQLite has written and not yet put into the file.
    for journal in ["-wal", "-journal"] {
        let data = std::fs::metadata(format!("{}{journal}", database.uri)).ok().filter(|data| data.len() > 0);
        if let Some(changed) = data.as_ref().and_then(|data| data.modified().ok()) {
            let changed = changed.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            facts.push_str(&format!("\n{journal}\n{}", changed.as_nanos()));
        }
    }
    Ok(format!("{:x}", Sha256::digest(facts)))
}

/// What tells whether the databases that somebody asks for are still the same; `None` if one cannot be looked at.
pub fn state_of_all(databases: &[DatabaseConfig], asked: &[ReviewedDatabase]) -> Option<String> {
    let mut states = String::new();
    for asked in asked {
        match databases.iter().find(|database| database.label == asked.label) {
            Some(database) => states.push_str(&state(database).ok()?),
            // A function that reads nothing here may name one that others have.
            None => states.push_str("not here"),
        }
    }
    Some(format!("{:x}", Sha256::digest(states)))
}

/// A table with the columns that may be used, and no others.
pub fn only(table: Table, columns: &Columns) -> Result<Table, AlgorithmError> {
    let allowed = |name: &String| match columns {
        Columns::All => true,
        Columns::These(names) => names.contains(name),
        Columns::None => false,
    };
    let fields = table.schema.fields().iter().enumerate();
    let places: Vec<usize> = fields.filter(|(_, field)| allowed(field.name())).map(|(place, _)| place).collect();
    let schema = table.schema.project(&places).map_err(|error| AlgorithmError::Unreadable(error.to_string()))?;
    let read = table.read;
    let read: ReadColumns = Box::new(move |columns: &[usize]| {
        let columns: Option<Vec<usize>> = columns.iter().map(|column| places.get(*column).copied()).collect();
        read(&columns.ok_or_else(|| AlgorithmError::Unreadable("it has no such column".to_owned()))?)
    });
    Ok(Table { schema: Arc::new(schema), read, ..table })
}

/// The names of the columns, if the database can tell.
pub fn columns(database: &DatabaseConfig) -> Result<Vec<String>, RunError> {
    let table = open(database)?;
    Ok(table.schema.fields().iter().map(|field| field.name().clone()).collect())
}

/// Errors of files, without the path: it belongs to the organization and would stand in a log that researchers read.
fn unreadable(error: std::io::Error) -> AlgorithmError {
    AlgorithmError::Unreadable(match error.kind() {
        std::io::ErrorKind::NotFound => "its file is not there".to_owned(),
        std::io::ErrorKind::PermissionDenied => "the node may not read its file".to_owned(),
        kind => kind.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn data_are_the_same_as_long_as_file_and_journal_are_and_a_folder_does_not_tell() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("d.sqlite");
        std::fs::write(&file, "data").unwrap();
        let of = |uri: &Path| -> DatabaseConfig {
            serde_json::from_value(json!({"label": "default", "type": "sqlite", "uri": uri})).unwrap()
        };
        let asked = [ReviewedDatabase { label: "default".into(), parameters: json!({}) }];
        let state = |uri: &Path| state_of_all(&[of(uri)], &asked);
        assert_eq!(state(folder.path()), None);
        let before = state(&file);
        assert!(before.is_some() && before == state(&file));
        std::fs::write(folder.path().join("d.sqlite-wal"), "a row").unwrap();
        assert_ne!(before, state(&file));
    }
}
