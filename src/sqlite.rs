//! What hub and node share about their SQLite files.

use std::path::Path;

use sqlx::{
    Connection, SqliteConnection, TransactionManager,
    sqlite::{SqlitePoolOptions, SqliteTransactionManager},
};

/// Options of a pool with one connection that writes. A connection whose transaction did not end is not used again: when the
/// disk is full, SQLite rolls back by itself, the library does not notice, and what it would write after that would be
/// part of a transaction that nobody ends: answered, seen by nobody, and lost.
pub fn one_writer() -> SqlitePoolOptions {
    let pool = SqlitePoolOptions::new().max_connections(1);
    // It stays, or what others write while it is opened anew would not be noticed.
    let pool = pool.max_lifetime(None).idle_timeout(None);
    pool.after_release(|connection, _| Box::pin(has_ended(connection)))
}

/// Whether nothing is under way over a connection.
pub async fn has_ended(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // Behind a rollback that is still to come.
    connection.ping().await?;
    Ok(SqliteTransactionManager::get_transaction_depth(connection) == 0)
}

/// Makes a file that only its owner may read, or makes it so: databases hold secrets. One that is there is not opened: to
/// close it would end the locks of all connections of this process
/// (<https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>), and
/// another process would throw away what they have written.
pub fn keep_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create_new(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            #[cfg(unix)]
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
            Ok(())
        }
        Err(error) => Err(error),
    }
}
