//! Triggers, views, indexes and tables of a database, compared with those that its program makes: a trigger or a condition
//! that somebody else has made could keep entries away from the log, change them as they come, or undo what they tell of, and an
//! index could show others.

use std::collections::BTreeMap;

use sqlx::{Connection, SqliteConnection};

use super::{Continuity, log::prepare};

/// The tables of the log.
const TABLES: [&str; 3] = ["audit", "audit_head", "audit_sink"];
/// A migration that a file has seen, as if it were a kind.
const MIGRATION: &str = "migration";
/// The table of migrations.
const MIGRATIONS: &str = "_sqlx_migrations";
const TWICE: &str = "it is there twice";
/// The most names in a message.
const NAMED: usize = 20;

/// What a database has, by kind and name, as its SQL. A trigger can have the name of an index.
pub type Made = BTreeMap<(String, String), String>;

/// Those that are there.
pub async fn made(connection: &mut SqliteConnection) -> Result<Made, sqlx::Error> {
    // Indexes of keys have no SQL; statistics are SQLite's own, and come and go. Names and types are in small letters.
    let schema = "SELECT lower(CAST(type AS TEXT)), lower(CAST(name AS TEXT)),
            iif(type = lower(type) AND name = lower(name), coalesce(CAST(sql AS TEXT), ''), type || ' ' || name || ' by name')
        FROM sqlite_schema
        WHERE NOT (type = 'index' AND name LIKE 'sqlite@_autoindex@_%' ESCAPE '@' AND sql IS NULL)
            AND sql IS NOT 'CREATE TABLE sqlite_stat1(tbl,idx,stat)'
            AND sql IS NOT 'CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)'";
    let mut rows: Vec<(String, String, String)> = sqlx::query_as(schema).fetch_all(&mut *connection).await?;
    if rows.iter().any(|(kind, name, _)| kind == "table" && name == MIGRATIONS) {
        let seen = "SELECT 'migration', CAST(version AS TEXT), hex(checksum) FROM _sqlx_migrations";
        let seen: Vec<(String, String, String)> = sqlx::query_as(seen).fetch_all(connection).await?;
        rows.extend(seen);
    }
    let mut made = Made::new();
    for (kind, name, sql) in rows {
        made.entry((kind, name)).and_modify(|sql| *sql = TWICE.to_owned()).or_insert(sql);
    }
    Ok(made)
}

/// Whether there is nothing in a database yet.
pub async fn is_new(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)").fetch_one(connection).await
}

/// The names of what is not as the program makes it: there and not its own, or its own and not there. A file of an earlier
/// version can lack an index, without which everything is only slower; where it has seen fewer migrations, only what it has
/// beside tables and the tables of the log say something.
pub fn differences(made: &Made, own: &Made) -> Vec<(String, String)> {
    let is_migration = |key: &&(String, String)| key.0 == MIGRATION;
    let is_present = !is_of_earlier_version(made, own);
    let is_of_log = |name: &String| TABLES.contains(&name.as_str()) || name.starts_with("audit_");
    let says_something = |(kind, name): &(String, String)| kind != "table" || is_present || is_of_log(name);
    let foreign = made.iter().filter(|(key, sql)| own.get(*key) != Some(*sql));
    let is_missed = |key: &(String, String)| match key.0.as_str() {
        "index" => false,
        // An earlier version has seen those before its last one.
        MIGRATION => made.keys().filter(is_migration).any(|seen| number(&seen.1) > number(&key.1)),
        _ => is_present || is_of_log(&key.1),
    };
    let missing = own.iter().filter(|(key, _)| !made.contains_key(*key) && is_missed(key));
    foreign.chain(missing).map(|(key, _)| key).filter(|key| says_something(key)).cloned().collect()
}

/// Whether a file has not seen all migrations, so that its tables beside those of the log are not compared.
pub fn is_of_earlier_version(made: &Made, own: &Made) -> bool {
    own.keys().any(|key| key.0 == MIGRATION && !made.contains_key(key))
}

fn number(version: &str) -> i64 {
    version.parse().unwrap_or(i64::MAX)
}

/// Whether the indexes of the log's table show what stands in it. Somebody can change the one without the other.
pub async fn indexes_hold(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check('audit')").fetch_all(&mut *connection).await?;
    Ok(found == ["ok"])
}

/// What is told where they do not.
pub const INDEXES: &str = "the indexes of the log are not those of its entries: somebody has written to the file";

/// Makes a table of the log anew that is not as the program makes it, with what stands in it as far as that can be read.
async fn make_anew(connection: &mut SqliteConnection, there: &Made, table: &str, own: &str) -> Result<(), sqlx::Error> {
    let mut old = format!("{table}_before");
    while there.keys().any(|(_, name)| *name == old) {
        old.push('_');
    }
    let columns = |table: &str| format!("SELECT name, type FROM pragma_table_info('{table}')");
    let before: Vec<(String, String)> = sqlx::query_as(&columns(table)).fetch_all(&mut *connection).await?;
    // Its triggers and indexes would go with it.
    sqlx::query(&format!("ALTER TABLE {table} RENAME TO {old}")).execute(&mut *connection).await?;
    sqlx::query(own).execute(&mut *connection).await?;
    let wanted: Vec<(String, String)> = sqlx::query_as(&columns(table)).fetch_all(&mut *connection).await?;
    let is_there = |name: &String| before.iter().any(|(before, _)| before.eq_ignore_ascii_case(name));
    let values = wanted.iter().map(|(name, kind)| match is_there(name) {
        true => format!("CAST({name} AS {kind})"),
        false => "''".to_owned(),
    });
    let values = values.collect::<Vec<_>>().join(", ");
    // What does not fit was not written by the program.
    let copy = format!("INSERT OR IGNORE INTO {table} SELECT {values} FROM {old}");
    sqlx::query(&copy).execute(&mut *connection).await?;
    sqlx::query(&format!("DROP TABLE {old}")).execute(connection).await?;
    Ok(())
}

/// Takes these triggers and views away, and indexes with names that SQLite keeps for itself. Types are written as SQLite writes them, and names as the program does. `DROP` cannot
/// take away all that a file can have: names that SQLite keeps for itself, and types in capitals.
async fn forget_code(
    connection: &mut SqliteConnection,
    own: &Made,
    others: &[&(String, String)],
) -> Result<(), sqlx::Error> {
    if others.is_empty() {
        return Ok(());
    }
    sqlx::query("PRAGMA writable_schema = ON").execute(&mut *connection).await?;
    for (kind, name) in others {
        sqlx::query("DELETE FROM sqlite_schema WHERE lower(type) = ? AND lower(name) = ? AND (lower(type) IN ('trigger', 'view')
             OR lower(type) = 'index' AND (lower(name) LIKE 'sqlite@_%' ESCAPE '@') = (sql IS NOT NULL))")
            .bind(kind)
            .bind(name)
            .execute(&mut *connection)
            .await?;
    }
    for (kind, name) in others.iter().filter(|key| own.contains_key(**key)) {
        sqlx::query("UPDATE sqlite_schema SET type = ?1, name = ?2 WHERE lower(type) = ?1 AND lower(name) = ?2")
            .bind(kind)
            .bind(name)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("UPDATE sqlite_schema SET type = lower(type) WHERE type <> lower(type)")
        .execute(&mut *connection)
        .await?;
    let schema: i64 = sqlx::query_scalar("PRAGMA schema_version").fetch_one(&mut *connection).await?;
    // The connection reads the schema anew, and so do all others.
    sqlx::query(&format!("PRAGMA schema_version = {}", schema.wrapping_add(1) & 0x7fff_ffff))
        .execute(&mut *connection)
        .await?;
    sqlx::query("PRAGMA writable_schema = RESET").execute(connection).await?;
    Ok(())
}

/// Makes the tables of the log, takes away what is not the program's own, and makes what is missing; what of that an
/// entry has to name. Of a database that was new before its migrations nothing is missing. Other tables stay as they are.
pub async fn prepare_as(
    connection: &mut SqliteConnection,
    own: &Made,
    log: &Continuity,
    is_new: bool,
) -> Result<Option<String>, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let there = made(&mut transaction).await?;
    let before = differences(&there, own);
    let key = |table: &str| ("table".to_owned(), table.to_owned());
    if !is_new && let Some(told) = in_words(&before) {
        // Before it is put right, which can fail.
        tracing::error!(told, "the audit log may not be what it was");
    }
    if own.contains_key(&key(MIGRATIONS)) && !there.contains_key(&key(MIGRATIONS)) {
        return Err(sqlx::Error::Protocol("_sqlx_migrations is no table: somebody has written to the file".to_owned()));
    }
    let other_tables: Vec<&str> =
        TABLES.into_iter().filter(|table| before.contains(&key(table)) && there.contains_key(&key(table))).collect();
    // Those of a table that is made anew are made anew, too.
    let is_other = |key: &(String, String)| before.contains(key) || !other_tables.is_empty();
    let others: Vec<&(String, String)> = there.keys().filter(|key| is_other(key)).collect();
    forget_code(&mut transaction, own, &others).await?;
    for (kind, name) in others {
        if kind == "index" && !name.starts_with("sqlite_") {
            let quoted = name.replace('"', "\"\"");
            sqlx::query(&format!("DROP INDEX IF EXISTS \"{quoted}\"")).execute(&mut *transaction).await?;
        }
    }
    for table in other_tables {
        make_anew(&mut transaction, &there, table, &own[&key(table)]).await?;
    }
    prepare(&mut transaction).await?;
    let made = made(&mut transaction).await?;
    for ((kind, _), sql) in own.iter().filter(|(key, _)| !made.contains_key(*key)) {
        if kind != MIGRATION && kind != "table" {
            sqlx::query(sql).execute(&mut *transaction).await?;
        }
    }
    let mut told = in_words(&before);
    if !indexes_hold(&mut transaction).await? {
        tracing::error!("{INDEXES}");
        sqlx::query("REINDEX audit").execute(&mut *transaction).await?;
        told = Some([told.as_deref(), Some(INDEXES)].into_iter().flatten().collect::<Vec<_>>().join("; "));
    }
    // From now on only somebody else changes it.
    log.expect_schema(&mut transaction).await?;
    transaction.commit().await?;
    Ok(told.filter(|_| !is_new))
}

/// In words.
pub fn in_words(differences: &[(String, String)]) -> Option<String> {
    let mut sorted: Vec<&(String, String)> = differences.iter().collect();
    sorted.sort_by_key(|(kind, _)| kind != "table");
    let named = sorted.iter().take(NAMED).map(|(kind, name)| format!("{kind} {name}"));
    let more = sorted.len().checked_sub(NAMED).filter(|more| *more > 0).map(|more| format!("{more} more"));
    let names = named.chain(more).collect::<Vec<_>>().join(", ");
    (!differences.is_empty()).then(|| {
        format!(
            "triggers, views, indexes or tables of the database are not those that Atoll makes, and can have kept entries away, \
             undone what they tell of, or shown others: {names}"
        )
    })
}
