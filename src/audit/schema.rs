//! Triggers, views and indexes of a database, and the tables of its log, compared with those that its program makes: a trigger
//! or a condition that somebody else has made could keep entries away from the log, or change them as they come, and an index
//! could show others.

use std::collections::BTreeMap;

use sqlx::{Connection, SqliteConnection};

use super::log::prepare;

/// The tables of the log.
const TABLES: [&str; 3] = ["audit", "audit_head", "audit_sink"];

/// Triggers, views and indexes, and the tables of the log, by their names, as SQL without its line breaks.
pub type Made = BTreeMap<String, String>;

/// Those that are there.
pub async fn made(connection: &mut SqliteConnection) -> Result<Made, sqlx::Error> {
    let made: Vec<(String, String, String)> =
        sqlx::query_as("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetch_all(connection).await?;
    let is_compared = |(kind, name, _): &(String, String, String)| kind != "table" || TABLES.contains(&name.as_str());
    let words = |sql: String| sql.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(made.into_iter().filter(is_compared).map(|(_, name, sql)| (name, words(sql))).collect())
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
    Ok(found == ["ok"])
}

/// What is told where they do not.
pub const INDEXES: &str = "the indexes of the log are not those of its entries: somebody has written to the file";

/// Makes a table of the log anew that is not as the program makes it, with what stands in it as far as that can be read.
async fn make_anew(connection: &mut SqliteConnection, table: &str, own: &str) -> Result<(), sqlx::Error> {
    let columns = |table: &str| format!("SELECT name, type FROM pragma_table_info('{table}')");
    let before: Vec<(String, String)> = sqlx::query_as(&columns(table)).fetch_all(&mut *connection).await?;
    // Its triggers and indexes would go with it.
    sqlx::query(&format!("ALTER TABLE {table} RENAME TO {table}_before")).execute(&mut *connection).await?;
    sqlx::query(own).execute(&mut *connection).await?;
    let wanted: Vec<(String, String)> = sqlx::query_as(&columns(table)).fetch_all(&mut *connection).await?;
    let is_there = |name: &String| before.iter().any(|(before, _)| before == name);
    let values = wanted.iter().map(|(name, kind)| match is_there(name) {
        true => format!("CAST({name} AS {kind})"),
        false => "''".to_owned(),
    });
    let values = values.collect::<Vec<_>>().join(", ");
    // What does not fit was not written by the program.
    let copy = format!("INSERT OR IGNORE INTO {table} SELECT {values} FROM {table}_before ORDER BY rowid");
    sqlx::query(&copy).execute(&mut *connection).await?;
    sqlx::query(&format!("DROP TABLE {table}_before")).execute(connection).await?;
    Ok(())
}

/// Makes the tables of the log, takes away what is not the program's own, and makes what is missing; what of that an
/// entry has to name. Of a new database nothing is missing.
pub async fn prepare_as(connection: &mut SqliteConnection, own: &Made) -> Result<Option<String>, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let is_new: bool =
        sqlx::query_scalar("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name IN ('audit', 'audit_head'))")
            .fetch_one(&mut *transaction)
            .await?;
    let kinds: Vec<(String, String)> = sqlx::query_as("SELECT name, type FROM sqlite_schema WHERE sql IS NOT NULL")
        .fetch_all(&mut *transaction)
        .await?;
    let before = differences(&made(&mut transaction).await?, own);
    let other_tables: Vec<&str> = TABLES
        .into_iter()
        .filter(|table| before.iter().any(|name| name == table))
        .filter(|table| kinds.iter().any(|(name, kind)| name == table && kind == "table"))
        .collect();
    let is_compared = |(name, kind): &&(String, String)| {
        // Those of a table that is made anew are made anew, too.
        kind != "table" && (before.contains(name) || !other_tables.is_empty())
    };
    for (name, kind) in kinds.iter().filter(is_compared) {
        let quoted = name.replace('"', "\"\"");
        let kind = match kind.as_str() {
            "view" => "VIEW",
            "index" => "INDEX",
            _ => "TRIGGER",
        };
        sqlx::query(&format!("DROP {kind} IF EXISTS \"{quoted}\"")).execute(&mut *transaction).await?;
    }
    for table in other_tables {
        make_anew(&mut transaction, table, &own[table]).await?;
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
    transaction.commit().await?;
    Ok(told.filter(|_| !is_new).inspect(|told| tracing::error!(told, "the audit log may not be what it was")))
}

/// In words.
pub fn in_words(differences: &[String]) -> Option<String> {
    let names = differences.join(", ");
    (!differences.is_empty()).then(|| {
        format!(
            "triggers, views, indexes or tables of the log in the database are not those that Atoll makes, and can have kept \
             entries away or shown others: {names}"
        )
    })
}
