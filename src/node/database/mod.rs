//! The files that a node holds, as tables.

mod csv;
mod parquet;

use std::{path::Path, sync::Arc};

use super::{config::DatabaseConfig, error::RunError};
use crate::{
    algorithms::{AlgorithmError, Table},
    protocol::policy::Columns,
};

/// Rows read at once. A batch of one column is then at most some megabytes.
const BATCH_ROWS: usize = 65_536;

/// The database with this label.
pub fn find<'a>(databases: &'a [DatabaseConfig], label: &str) -> Result<&'a DatabaseConfig, RunError> {
    databases.iter().find(|database| database.label == label).ok_or_else(|| {
        let labels: Vec<&str> = databases.iter().map(|database| database.label.as_str()).collect();
        RunError::NoSuchDatabase { label: label.to_owned(), labels: labels.join(", ") }
    })
}

/// Opens a database as a table.
pub fn open(database: &DatabaseConfig) -> Result<Table, RunError> {
    let path = Path::new(&database.uri);
    match database.kind.as_str() {
        "csv" => Ok(csv::open(path)?),
        "parquet" => Ok(parquet::open(path)?),
        kind => Err(RunError::DatabaseType(kind.to_owned())),
    }
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
    let read = Box::new(move |columns: &[usize]| {
        let columns: Option<Vec<usize>> = columns.iter().map(|column| places.get(*column).copied()).collect();
        read(&columns.ok_or_else(|| AlgorithmError::Unreadable("it has no such column".to_owned()))?)
    });
    Ok(Table { schema: Arc::new(schema), untyped: table.untyped, read })
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
