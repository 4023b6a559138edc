//! What hub and node share about their SQLite files.

use std::path::{Path, PathBuf};

use sqlx::{
    Connection, TransactionManager,
    sqlite::{SqlitePoolOptions, SqliteTransactionManager},
};

/// The file with another ending: `node.runs` beside `node.sqlite`, and `node.org1.runs` beside `node.org1`.
pub fn beside(file: &Path, ending: &str) -> PathBuf {
    if file.extension().is_some_and(|extension| extension == "sqlite") {
        return file.with_extension(ending);
    }
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    file.with_file_name(name)
}

/// Options of a pool with one connection that writes. A connection whose transaction did not end is not used again: when the
/// disk is full, SQLite rolls back by itself, the library does not notice, and what it would write after that would be
/// part of a transaction that nobody ends: answered, seen by nobody, and lost.
pub fn one_writer() -> SqlitePoolOptions {
    let pool = SqlitePoolOptions::new().max_connections(1);
    // It stays, or what others write while it is opened anew would not be noticed.
    let pool = pool.max_lifetime(None).idle_timeout(None);
    pool.after_release(|connection, _| {
        Box::pin(async move {
            // Behind a rollback that is still to come.
            connection.ping().await?;
            Ok(SqliteTransactionManager::get_transaction_depth(connection) == 0)
        })
    })
}
