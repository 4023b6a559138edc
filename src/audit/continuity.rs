//! What a program itself knows of the end of its log: in the memory of the connection that writes, where nobody who has the
//! file can change it. Between two signed ends entries could be taken away, and others written in their place.

use sqlx::SqliteConnection;

use super::{Head, HeadKey, log::head, witness};

/// Makes the tables of the connection; one that was opened anew has none.
async fn prepare(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for statement in [
        "CREATE TEMP TABLE IF NOT EXISTS audit_end (id INTEGER NOT NULL, hash TEXT NOT NULL)",
        "CREATE TEMP TABLE IF NOT EXISTS audit_gap (
             before_id INTEGER NOT NULL, before_hash TEXT NOT NULL, id INTEGER NOT NULL, hash TEXT NOT NULL, signature TEXT
         )",
    ] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}

/// The end that this connection wrote or saw last.
pub(super) async fn known(connection: &mut SqliteConnection) -> Result<Option<Head>, sqlx::Error> {
    prepare(connection).await?;
    let known: Option<(i64, String)> =
        sqlx::query_as("SELECT id, hash FROM temp.audit_end").fetch_optional(connection).await?;
    Ok(known.map(|(id, hash)| Head { id, hash }))
}

/// Notes that the log ended with `found`, and ends with `present` now. Where it should have ended otherwise somebody else has
/// written.
pub(super) async fn went_on(
    connection: &mut SqliteConnection,
    found: &Head,
    present: &Head,
) -> Result<(), sqlx::Error> {
    let known = known(connection).await?;
    if let Some(known) = known.filter(|known| known != found) {
        let signature = witness::signature_of(connection, found).await?;
        sqlx::query("INSERT INTO temp.audit_gap (before_id, before_hash, id, hash, signature) VALUES (?, ?, ?, ?, ?)")
            .bind(known.id)
            .bind(known.hash)
            .bind(found.id)
            .bind(&found.hash)
            .bind(signature)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("DELETE FROM temp.audit_end").execute(&mut *connection).await?;
    sqlx::query("INSERT INTO temp.audit_end (id, hash) VALUES (?, ?)")
        .bind(present.id)
        .bind(&present.hash)
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether there is something to look at: the log does not end where this connection left it, or did not for a moment.
pub async fn is_doubtful(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let known = known(connection).await?;
    let gaps: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM temp.audit_gap").fetch_one(&mut *connection).await?;
    Ok(gaps > 0 || known != Some(head(connection).await?))
}

/// Whether the log went on from where this connection left it, but for what a program with the same key has written and
/// signed; else what is wrong. From here on it knows the present end.
pub async fn look(connection: &mut SqliteConnection, key: &HeadKey) -> Result<Option<String>, sqlx::Error> {
    let present = head(connection).await?;
    went_on(connection, &present, &present).await?;
    let gaps: Vec<(i64, String, i64, String, Option<String>)> =
        sqlx::query_as("SELECT before_id, before_hash, id, hash, signature FROM temp.audit_gap ORDER BY rowid")
            .fetch_all(&mut *connection)
            .await?;
    let mut trouble = None;
    for (before_id, before_hash, id, hash, signature) in gaps {
        let (before, found) = (Head { id: before_id, hash: before_hash }, Head { id, hash });
        if trouble.is_some() {
        } else if !witness::holds(connection, &before).await? {
            trouble = Some(format!(
                "entries were taken away while the program was running: {before} is not in the log any more"
            ));
        } else if !signature.is_some_and(|signature| key.has_signed_end(&found, &signature)) {
            trouble = Some(format!(
                "somebody has written to the log while the program was running: it ended with {before}, and then with {found}"
            ));
        }
    }
    sqlx::query("DELETE FROM temp.audit_gap").execute(connection).await?;
    Ok(trouble)
}
