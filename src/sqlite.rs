//! What hub and node share about their SQLite files.

use sqlx::{
    Connection, TransactionManager,
    sqlite::{SqlitePoolOptions, SqliteTransactionManager},
};

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
