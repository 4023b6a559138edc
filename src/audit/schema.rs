//! Triggers, views, indexes and tables of a database, compared with those that its program makes: a trigger or a condition
//! that somebody else has made could keep entries away from the log, change them as they come, or undo what they tell of, and an
//! index could show others.

use std::collections::BTreeMap;

use sqlx::{Connection, SqliteConnection};

use super::log::prepare;

/// The tables of the log.
const TABLES: [&str; 3] = ["audit", "audit_head", "audit_sink"];
/// How many migrations a file has seen, as if it were a kind.
const VERSION: &str = "version";
const TWICE: &str = "it is there twice";

/// What a database has, by kind and name, as SQL without its line breaks. A trigger can have the name of an index.
pub type Made = BTreeMap<(String, String), String>;

/// Those that are there.
pub async fn made(connection: &mut SqliteConnection) -> Result<Made, sqlx::Error> {
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT type, lower(name), sql FROM sqlite_schema WHERE sql IS NOT NULL")
            .fetch_all(&mut *connection)
            .await?;
    let mut made = Made::new();
    // SQLite has tables of its own.
    for (kind, name, sql) in rows.into_iter().filter(|(_, name, _)| !name.starts_with("sqlite_")) {
        let words = sql.split_whitespace().collect::<Vec<_>>().join(" ");
        made.entry((kind, name)).and_modify(|sql| *sql = TWICE.to_owned()).or_insert(words);
    }
    if made.contains_key(&("table".to_owned(), "_sqlx_migrations".to_owned())) {
        let number: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM _sqlx_migrations").fetch_one(connection).await?;
        made.insert((VERSION.to_owned(), String::new()), number.to_string());
    }
    Ok(made)
}

/// The names of what is not as the program makes it: there and not its own, or its own and not there. A file of an earlier
/// version can lack an index, without which everything is only slower; where it has seen fewer migrations, only what it has
/// beside tables and the tables of the log say something.
pub fn differences(made: &Made, own: &Made) -> Vec<(String, String)> {
    let version = (VERSION.to_owned(), String::new());
    let is_present = made.get(&version) == own.get(&version);
    let is_of_log = |name: &String| TABLES.contains(&name.as_str()) || name.starts_with("audit_");
    let says_something = |(kind, name): &(String, String)| match kind.as_str() {
        VERSION => false,
        "table" => is_present || is_of_log(name),
        _ => true,
    };
    let foreign = made.iter().filter(|(key, sql)| own.get(*key) != Some(*sql));
    let is_missed = |key: &(String, String)| key.0 != "index" && (is_present || is_of_log(&key.1));
    let missing = own.iter().filter(|(key, _)| !made.contains_key(*key) && is_missed(key));
    foreign.chain(missing).map(|(key, _)| key).filter(|key| says_something(key)).cloned().collect()
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
/// entry has to name. Of a new database nothing is missing. Other tables stay as they are.
pub async fn prepare_as(connection: &mut SqliteConnection, own: &Made) -> Result<Option<String>, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let is_new: bool =
        sqlx::query_scalar("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name IN ('audit', 'audit_head'))")
            .fetch_one(&mut *transaction)
            .await?;
    let there = made(&mut transaction).await?;
    let before = differences(&there, own);
    let key = |table: &str| ("table".to_owned(), table.to_owned());
    let other_tables: Vec<&str> =
        TABLES.into_iter().filter(|table| before.contains(&key(table)) && there.contains_key(&key(table))).collect();
    for (kind, name) in there.keys() {
        // Those of a table that is made anew are made anew, too.
        let is_other = before.contains(&(kind.clone(), name.clone())) || !other_tables.is_empty();
        if is_other && matches!(kind.as_str(), "trigger" | "view" | "index") {
            let quoted = name.replace('"', "\"\"");
            sqlx::query(&format!("DROP {kind} IF EXISTS \"{quoted}\"")).execute(&mut *transaction).await?;
        }
    }
    for table in other_tables {
        make_anew(&mut transaction, table, &own[&key(table)]).await?;
    }
    prepare(&mut transaction).await?;
    let made = made(&mut transaction).await?;
    for ((kind, _), sql) in own.iter().filter(|(key, _)| !made.contains_key(*key)) {
        if kind != VERSION && kind != "table" {
            sqlx::query(sql).execute(&mut *transaction).await?;
        }
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
pub fn in_words(differences: &[(String, String)]) -> Option<String> {
    let names = differences.iter().map(|(kind, name)| format!("{kind} {name}")).collect::<Vec<_>>().join(", ");
    (!differences.is_empty()).then(|| {
        format!(
            "triggers, views, indexes or tables of the database are not those that Atoll makes, and can have kept entries away, \
             undone what they tell of, or shown others: {names}"
        )
    })
}
