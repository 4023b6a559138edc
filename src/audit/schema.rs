//! Triggers and views of a database, compared with those that its program makes: one that somebody else has made could keep
//! entries away from the log, or change them as they come.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::log::prepare;

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

/// Makes the tables of the log, takes away what is not the program's own, and makes what is missing; the names of both. Of a
/// new database nothing is missing.
pub async fn prepare_as(connection: &mut SqliteConnection, own: &Made) -> Result<Vec<String>, sqlx::Error> {
    let is_new: bool = sqlx::query_scalar("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'audit')")
        .fetch_one(&mut *connection)
        .await?;
    let before = differences(&made(&mut *connection).await?, own);
    prepare(&mut *connection).await?;
    let made = made(&mut *connection).await?;
    for name in &differences(&made, own) {
        if made.contains_key(name) {
            let quoted = name.replace('"', "\"\"");
            for statement in
                [format!("DROP TRIGGER IF EXISTS \"{quoted}\""), format!("DROP VIEW IF EXISTS \"{quoted}\"")]
            {
                // The one of the two that it is not.
                let _ = sqlx::query(&statement).execute(&mut *connection).await;
            }
        }
        if let Some(sql) = own.get(name) {
            sqlx::query(sql).execute(&mut *connection).await?;
        }
    }
    Ok(if is_new { Vec::new() } else { before })
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
