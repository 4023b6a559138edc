use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sqlx::SqlitePool;

use super::{
    Entry, Recorded,
    log::{COLUMNS, append as append_entry, head},
};

pub(super) const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS audit_sink (path TEXT PRIMARY KEY, id INTEGER NOT NULL) STRICT";

/// No entry is longer, in bytes.
const LONGEST_ENTRY: u64 = 256 * 1024;
/// Entries that are written at once.
const BATCH: i64 = 1_000;

/// Why the file has not all entries.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error("the audit file {path} cannot be written: {error}")]
    File { path: PathBuf, error: std::io::Error },
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Writes all entries that a file has not yet behind what stands there, as JSON, one a line: a second log, for who ships
/// logs elsewhere. None is left out; one that was being written when the machine stopped can be there twice, with the
/// same id. The file may be taken away at any time, as log rotation does: the next entries begin another one.
pub async fn ship(
    reader: &SqlitePool,
    writer: &SqlitePool,
    path: &Path,
    shipped: &mut Option<i64>,
) -> Result<(), SinkError> {
    let name = path.to_string_lossy().into_owned();
    loop {
        let from = match *shipped {
            Some(shipped) => shipped,
            None => begin(reader, writer, path, &name).await?,
        };
        let query = format!("SELECT {COLUMNS} FROM audit WHERE id > ? ORDER BY id LIMIT {BATCH}");
        let entries: Vec<Recorded> = sqlx::query_as(&query).bind(from).fetch_all(reader).await?;
        *shipped = Some(from);
        let Some(last) = entries.last().map(|entry| entry.id) else { return Ok(()) };
        let number = entries.len() as i64;
        let failed = |error| SinkError::File { path: path.to_owned(), error };
        let file = path.to_owned();
        tokio::task::spawn_blocking(move || append(&file, &entries))
            .await
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(failed)?;
        sqlx::query("INSERT OR REPLACE INTO audit_sink (path, id) VALUES (?, ?)")
            .bind(&name)
            .bind(last)
            .execute(writer)
            .await?;
        *shipped = Some(last);
        if number < BATCH {
            return Ok(());
        }
    }
}

/// Where a program begins that does not know yet what the file has. The number in the table could be anybody's: what the file
/// itself lacks it gets, and a number that the log does not have is told.
async fn begin(reader: &SqlitePool, writer: &SqlitePool, path: &Path, name: &str) -> Result<i64, SinkError> {
    let noted: Option<i64> =
        sqlx::query_scalar("SELECT id FROM audit_sink WHERE path = ?").bind(name).fetch_optional(reader).await?;
    let noted = noted.unwrap_or_default();
    let present = head(&mut *reader.acquire().await?).await?.id;
    if noted > present {
        let details = "the number of entries in the second file was not that of the log: all are written there again";
        tracing::error!(details, "the audit log may not be what it was");
        let entry = Entry::done("system", "audit.mismatch", "audit file").outcome("failed").details(details);
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        append_entry(&mut transaction, &entry).await?;
        transaction.commit().await?;
        return Ok(0);
    }
    Ok(last_in(path).map_or(noted, |last| last.min(noted)))
}

/// The number of the last entry that a file holds whole; `None` if there is none, as after log rotation.
fn last_in(path: &Path) -> Option<i64> {
    let mut file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|data| data.is_file()))?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_ENTRY))).ok()?;
    let mut end = Vec::new();
    file.read_to_end(&mut end).ok()?;
    #[derive(Deserialize)]
    struct Numbered {
        id: i64,
    }
    let lines = end.split(|byte| *byte == b'\n').rev();
    lines.filter_map(|line| serde_json::from_slice::<Numbered>(line).ok()).map(|entry| entry.id).next()
}

fn append(path: &Path, entries: &[Recorded]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let is_file = file.metadata()?.is_file();
    let mut text = Vec::new();
    // A line that did not fit stays as it is.
    if is_file && ends_within_a_line(path)? {
        text.push(b'\n');
    }
    for entry in entries {
        serde_json::to_writer(&mut text, entry)?;
        text.push(b'\n');
    }
    file.write_all(&text)?;
    // A terminal or a pipe cannot do that.
    if is_file { file.sync_data() } else { Ok(()) }
}

fn ends_within_a_line(path: &Path) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Entry, append as note, prepare};

    #[tokio::test]
    async fn a_second_file_gets_every_entry_once_also_after_rotation_and_a_torn_line() {
        let options = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
        let pool = options.connect("sqlite::memory:").await.unwrap();
        prepare(&mut pool.acquire().await.unwrap()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let add = async |number: usize| {
            for _ in 0..number {
                note(&mut pool.acquire().await.unwrap(), &Entry::done("user 1", "sign_in", "user 1")).await.unwrap();
            }
        };
        let ids = |path: &Path| -> Vec<i64> {
            let text = std::fs::read_to_string(path).unwrap();
            let entries = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            entries.map(|entry| entry["id"].as_i64().unwrap()).collect()
        };
        add(1_500).await;
        ship(&pool, &pool, &path, &mut None).await.unwrap();
        ship(&pool, &pool, &path, &mut None).await.unwrap();
        assert_eq!(ids(&path), (1..=1_500).collect::<Vec<i64>>());
        std::fs::rename(&path, folder.path().join("audit.jsonl.1")).unwrap();
        add(1).await;
        ship(&pool, &pool, &path, &mut None).await.unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"id\":15").unwrap();
        add(1).await;
        ship(&pool, &pool, &path, &mut None).await.unwrap();
        assert_eq!(ids(&path), [1_501, 1_502]);
        // Somebody says in the database that the file has them already.
        sqlx::query("UPDATE audit_sink SET id = 1504").execute(&pool).await.unwrap();
        add(2).await;
        ship(&pool, &pool, &path, &mut None).await.unwrap();
        assert_eq!(ids(&path), [1_501, 1_502, 1_503, 1_504]);
        // While the program runs it knows by itself, and what the log does not have is told.
        sqlx::query("UPDATE audit_sink SET id = 1000000").execute(&pool).await.unwrap();
        add(1).await;
        ship(&pool, &pool, &path, &mut Some(1_504)).await.unwrap();
        assert_eq!(ids(&path).last(), Some(&1_505));
        sqlx::query("UPDATE audit_sink SET id = 1000000").execute(&pool).await.unwrap();
        let rotated = folder.path().join("audit.jsonl.2");
        std::fs::rename(&path, rotated).unwrap();
        ship(&pool, &pool, &path, &mut None).await.unwrap();
        assert_eq!(ids(&path), (1..=1_506).collect::<Vec<i64>>());
        // Nothing is lost while the file cannot be written.
        let elsewhere = folder.path().join("not there").join("audit.jsonl");
        let error = ship(&pool, &pool, &elsewhere, &mut None).await.unwrap_err().to_string();
        assert!(error.contains("not there") && error.contains("cannot be written"), "{error}");
        std::fs::create_dir(folder.path().join("not there")).unwrap();
        ship(&pool, &pool, &elsewhere, &mut None).await.unwrap();
        assert_eq!(ids(&elsewhere).len(), 1_506);
    }
}
