//! Triggers, views and indexes of a database, compared with those that its program makes: a trigger that somebody else has
//! made could keep entries away from the log, or change them as they come, and an index could show others.

use std::collections::BTreeMap;

use sqlx::{Connection, SqliteConnection};

use super::{
    Entry,
    log::{append, prepare},
};

/// Triggers, views and indexes by their names, as SQL.
pub type Made = BTreeMap<String, String>;

/// Those that are there.
pub async fn made(connection: &mut SqliteConnection) -> Result<Made, sqlx::Error> {
    let made: Vec<(String, String)> = sqlx::query_as(
        "SELECT name, sql FROM sqlite_schema WHERE type IN ('trigger', 'view', 'index') AND sql IS NOT NULL",
    )
    .fetch_all(connection)
    .await?;
    Ok(made.into_iter().collect())
}

/// The names of what is not as the program makes it: there and not its own, or its own and not there. A file of an earlier
/// version can lack an index, without which everything is only slower.
pub fn differences(made: &Made, own: &Made) -> Vec<String> {
    let foreign = made.iter().filter(|(name, sql)| own.get(*name) != Some(*sql));
    let missing = own.iter().filter(|(name, sql)| !made.contains_key(*name) && !is_index(sql));
    foreign.chain(missing).map(|(name, _)| name.clone()).collect()
}

fn is_index(sql: &str) -> bool {
    ["CREATE INDEX", "CREATE UNIQUE INDEX"].iter().any(|begin| sql.starts_with(begin))
}

/// Whether the indexes of the log's table show what stands in it. Somebody can change the one without the other.
pub async fn indexes_hold(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check('audit')").fetch_all(&mut *connection).await?;
    eprintln!("XX {found:?}");
    Ok(found == ["ok"])
}

/// What is told where they do not.
pub const INDEXES: &str = "the indexes of the log are not those of its entries: somebody has written to the file";

/// Makes the tables of the log, takes away what is not the program's own, and makes what is missing; an entry names both. Of a
/// new database nothing is missing.
pub async fn prepare_as(connection: &mut SqliteConnection, own: &Made) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let is_new: bool =
        sqlx::query_scalar("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name IN ('audit', 'audit_head'))")
            .fetch_one(&mut *transaction)
            .await?;
    let kinds: Vec<(String, String)> =
        sqlx::query_as("SELECT name, type FROM sqlite_schema WHERE type IN ('trigger', 'view', 'index')")
            .fetch_all(&mut *transaction)
            .await?;
    let before = differences(&made(&mut transaction).await?, own);
    for (name, kind) in kinds.iter().filter(|(name, _)| before.contains(name)) {
        let quoted = name.replace('"', "\"\"");
        let kind = match kind.as_str() {
            "view" => "VIEW",
            "index" => "INDEX",
            _ => "TRIGGER",
        };
        sqlx::query(&format!("DROP {kind} IF EXISTS \"{quoted}\"")).execute(&mut *transaction).await?;
    }
    prepare(&mut transaction).await?;
    let made = made(&mut transaction).await?;
    for (_, sql) in own.iter().filter(|(name, _)| !made.contains_key(*name)) {
        sqlx::query(sql).execute(&mut *transaction).await?;
    }
    let mut told = in_words(&before);
    if !indexes_hold(&mut transaction).await? {
        sqlx::query("REINDEX audit").execute(&mut *transaction).await?;
        told = Some([told.as_deref(), Some(INDEXES)].into_iter().flatten().collect::<Vec<_>>().join("; "));
    }
    if let Some(told) = told.filter(|_| !is_new) {
        tracing::error!(told, "the audit log may not be what it was");
        let entry = Entry::done("system", "audit.mismatch", "audit log").outcome("failed").details(told);
        append(&mut transaction, &entry).await?;
    }
    transaction.commit().await
}

/// In words.
pub fn in_words(differences: &[String]) -> Option<String> {
    let names = differences.join(", ");
    (!differences.is_empty()).then(|| {
        format!(
            "triggers, views or indexes of the database are not those that Atoll makes, and can have kept entries away or shown \
             others: {names}"
        )
    })
}
