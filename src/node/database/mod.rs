//! The files that a node holds, as tables.

mod csv;
mod parquet;

use std::path::Path;

use super::{config::DatabaseConfig, error::RunError};
use crate::algorithms::{AlgorithmError, Table};

/// Rows read at once. A batch of one column is then at most some megabytes.
const BATCH_ROWS: usize = 65_536;

/// Opens a database as a table.
pub fn open(database: &DatabaseConfig) -> Result<Table, RunError> {
    let path = Path::new(&database.uri);
    match database.kind.as_str() {
        "csv" => Ok(csv::open(path)?),
        "parquet" => Ok(parquet::open(path)?),
        kind => Err(RunError::DatabaseType(kind.to_owned())),
    }
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
