//! Triggers and views of a database, compared with those that its program makes: one that somebody else has made could keep
//! entries away from the log, or change them as they come.

use std::collections::BTreeMap;

use sqlx::{Connection, SqliteConnection};

use super::{
    Entry,
    log::{append, prepare},
};

/// Triggers and views by their names, as SQL.
pub type Made = BTreeMap<String, String>;

/// Those that are there.
pub async fn made(connection: &mut SqliteConnection) -> Result<Made, sqlx::Error> {
    let made: Vec<(String, String)> =
        sqlx::query_as("SELECT name, sql FROM sqlite_schema WHERE type IN ('trigger', 'view')")
            .fetch_all(connection)
            .await?;
    Ok(made.into_iter().collect())
}

/// The names of what is not as the program makes it: there and not its own, or its own and not there.
pub fn differences(made: &Made, own: &Made) -> Vec<String> {
    let foreign = made.iter().filter(|(name, sql)| own.get(*name) != Some(*sql));
    let missing = own.iter().filter(|(name, _)| !made.contains_key(*name));
    foreign.chain(missing).map(|(name, _)| name.clone()).collect()
}

/// Makes the tables of the log, takes away what is not the program's own, and makes what is missing; an entry names both. Of a
/// new database nothing is missing.
pub async fn prepare_as(connection: &mut SqliteConnection, own: &Made) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let is_new: bool =
        sqlx::query_scalar("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name IN ('audit', 'audit_head'))")
            .fetch_one(&mut *transaction)
            .await?;
    let kinds: Vec<(String, String)> =
        sqlx::query_as("SELECT name, type FROM sqlite_schema WHERE type IN ('trigger', 'view')")
            .fetch_all(&mut *transaction)
            .await?;
    let before = differences(&made(&mut transaction).await?, own);
    for (name, kind) in kinds.iter().filter(|(name, _)| before.contains(name)) {
        let quoted = name.replace('"', "\"\"");
        let kind = if kind == "view" { "VIEW" } else { "TRIGGER" };
        sqlx::query(&format!("DROP {kind} IF EXISTS \"{quoted}\"")).execute(&mut *transaction).await?;
    }
    prepare(&mut transaction).await?;
    let made = made(&mut transaction).await?;
    for (_, sql) in own.iter().filter(|(name, _)| !made.contains_key(*name)) {
        sqlx::query(sql).execute(&mut *transaction).await?;
    }
    if let Some(told) = in_words(&before).filter(|_| !is_new) {
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
            "triggers or views of the database are not those that Atoll makes, and can have kept entries away: {names}"
        )
    })
}
