use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use sqlx::{SqliteConnection, SqlitePool};

use super::{
    Entry, Head, HeadFile, LastHead,
    log::{append, head},
};
use crate::protocol::timestamp;

/// Whose ends of a chain are one's own.
const OWN: &str = "";
/// Whose entries commands have signed.
const COMMAND: &str = "command";

/// Signs ends of the own chain. It is not in the database, so that nobody who rewrites the log there can sign its end.
pub struct HeadKey(hmac::Key);

impl HeadKey {
    /// From something secret that is not in the database.
    pub fn derive(material: &[u8]) -> HeadKey {
        let bytes = Sha256::new().chain_update(b"atoll audit head").chain_update(material).finalize();
        HeadKey(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
    }

    /// Tells keys apart: an end that another key signed cannot be checked, which is not to say that it is wrong.
    fn name(&self) -> String {
        HEXLOWER.encode(&hmac::sign(&self.0, b"name").as_ref()[..8])
    }

    pub(super) fn sign(&self, text: &str) -> String {
        HEXLOWER.encode(hmac::sign(&self.0, text.as_bytes()).as_ref())
    }

    pub(super) fn has_signed(&self, text: &str, signature: &str) -> bool {
        let signature = HEXLOWER.decode(signature.as_bytes()).unwrap_or_default();
        hmac::verify(&self.0, text.as_bytes(), &signature).is_ok()
    }
}

impl HeadKey {
    /// Whether this key has signed this end of the own chain.
    pub fn has_signed_end(&self, end: &Head, signature: &str) -> bool {
        self.has_signed(&signed_text(end), signature)
    }
}

/// Signs entries that a command has written beside the program whose log it is, each for itself: what stands before could be
/// somebody else's.
pub async fn sign_entries(
    connection: &mut SqliteConnection,
    key: &HeadKey,
    entries: &[Head],
) -> Result<(), sqlx::Error> {
    for entry in entries {
        sqlx::query(
            "INSERT OR REPLACE INTO audit_head (origin, id, hash, at, key, signature) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(COMMAND)
        .bind(entry.id)
        .bind(&entry.hash)
        .bind(timestamp::now())
        .bind(key.name())
        .bind(key.sign(&entry_text(entry)))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// An entry behind some end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    pub entry: Head,
    /// When it was written (UTC).
    pub at: String,
    /// Whether a command has signed it with this key.
    pub is_of_command: bool,
}

/// The entries behind this number, from the first to the last.
pub async fn behind(connection: &mut SqliteConnection, key: &HeadKey, id: i64) -> Result<Vec<Behind>, sqlx::Error> {
    let rows: Vec<(i64, String, String, Option<String>)> = sqlx::query_as(
        "SELECT audit.id, audit.hash, audit.at, audit_head.signature FROM audit NOT INDEXED LEFT JOIN audit_head
         ON audit_head.origin = ? AND audit_head.id = audit.id AND audit_head.hash = audit.hash
         WHERE audit.id > ? ORDER BY audit.id",
    )
    .bind(COMMAND)
    .bind(id)
    .fetch_all(connection)
    .await?;
    let behind = rows.into_iter().map(|(id, hash, at, signature)| {
        let entry = Head { id, hash };
        let is_of_command = signature.is_some_and(|signature| key.has_signed(&entry_text(&entry), &signature));
        Behind { entry, at, is_of_command }
    });
    Ok(behind.collect())
}

/// What is signed of an end in the table.
fn signed_text(head: &Head) -> String {
    format!("head {head}")
}

/// What a command signs of an entry.
fn entry_text(entry: &Head) -> String {
    format!("entry {entry}")
}

pub(super) const TABLE: &str = "CREATE TABLE IF NOT EXISTS audit_head (
     origin TEXT NOT NULL,
     id INTEGER NOT NULL,
     hash TEXT NOT NULL,
     at TEXT NOT NULL,
     key TEXT NOT NULL,
     signature TEXT NOT NULL,
     PRIMARY KEY (origin, id, hash)
 ) STRICT";

/// An end of somebody's chain, kept to compare with later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptHead {
    /// Whose: `hub`, `node 3`.
    pub origin: String,
    pub head: Head,
    /// When it was kept (UTC).
    pub at: String,
}

/// Ends of the own chain that were signed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignedHeads {
    /// Those that this key signed, the last at the end.
    pub heads: Vec<Head>,
    /// How many another key signed: they say nothing.
    pub of_other_keys: usize,
    /// How many say that this key signed them, which it did not.
    pub forged: usize,
}

impl SignedHeads {
    /// Whether ends are missing that should be there, of a log with so many entries.
    pub fn are_missing(&self, entries: i64) -> bool {
        self.heads.is_empty() && entries > 0
    }
}

/// Whether a log stands as it was signed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// Its present end is signed.
    Holds,
    /// There were entries, and no end that this key had signed: ends were taken away, the key is another one, or the log
    /// is from a version that signed none. Its present end is signed from now on.
    Anew,
    /// An end that was signed is not in the log any more, or one stands there that was not. Nothing is signed.
    Broken,
}

/// Signs the present end and keeps it, of each day the first and the last. That of a new log is signed before its first entry: one
/// without a signed end is none. `known` is the end that was signed last as it is known elsewhere than in the
/// database: it shows when that is written anew with the ends in it.
pub async fn sign_head(
    connection: &mut SqliteConnection,
    key: &HeadKey,
    known: &mut Option<Head>,
) -> Result<Signed, sqlx::Error> {
    let ends: Vec<(i64, String, String)> =
        sqlx::query_as("SELECT id, hash, signature FROM audit_head WHERE origin = ? AND key = ? ORDER BY id")
            .bind(OWN)
            .bind(key.name())
            .fetch_all(&mut *connection)
            .await?;
    let (mut last, mut forged) = (None, Vec::new());
    for (id, hash, signature) in ends {
        let end = Head { id, hash };
        match key.has_signed(&signed_text(&end), &signature) {
            true => last = Some(end),
            false => forged.push(end),
        }
    }
    // One that only says that this key signed it would stand in the way of all that follow.
    for end in &forged {
        sqlx::query("DELETE FROM audit_head WHERE origin = ? AND id = ? AND hash = ?")
            .bind(OWN)
            .bind(end.id)
            .bind(&end.hash)
            .execute(&mut *connection)
            .await?;
    }
    if let Some(end) = forged.first() {
        let details = format!(
            "an end of it, {end}, said that the key signed it, which was not true: somebody has written to the file"
        );
        tracing::error!(details, "the audit log may not be what it was");
        let entry = Entry::done("system", "audit.mismatch", "audit log").outcome("failed").details(details);
        append(&mut *connection, &entry).await?;
    }
    for end in last.iter().chain(known.as_ref()) {
        if !holds(&mut *connection, end).await? {
            return Ok(Signed::Broken);
        }
    }
    let present = head(&mut *connection).await?;
    if last.as_ref() != Some(&present) {
        keep(connection, OWN, &present, &key.name(), &key.sign(&signed_text(&present)), true).await?;
    }
    *known = Some(present.clone());
    Ok(if last.is_none() && present.id > 0 { Signed::Anew } else { Signed::Holds })
}

/// Keeps an end of somebody else's chain: of each day the first and the last. One with which this one does not go on stays as
/// evidence, of which there are some a day.
pub async fn keep_head(
    connection: &mut SqliteConnection,
    origin: &str,
    head: &Head,
    goes_on: bool,
) -> Result<(), sqlx::Error> {
    keep(connection, origin, head, "", "", goes_on).await
}

/// The most ends of one origin that are kept of a day.
const BREAKS: i64 = 20;

async fn keep(
    connection: &mut SqliteConnection,
    origin: &str,
    head: &Head,
    key: &str,
    signature: &str,
    goes_on: bool,
) -> Result<(), sqlx::Error> {
    let at = timestamp::now();
    let of_day = "origin = ?1 AND key = ?2 AND substr(at, 1, 10) = substr(?3, 1, 10)";
    // Ends from before a break stay, and so does the first end of each day.
    sqlx::query(&format!(
        "DELETE FROM audit_head WHERE {of_day} AND (SELECT COUNT(*) FROM audit_head WHERE {of_day}) >= ?4
         AND rowid = (SELECT rowid FROM audit_head WHERE origin = ?1 AND key = ?2 ORDER BY at DESC, rowid DESC LIMIT 1)"
    ))
    .bind(origin)
    .bind(key)
    .bind(&at)
    .bind(if goes_on { 2 } else { BREAKS })
    .execute(&mut *connection)
    .await?;
    sqlx::query("INSERT OR REPLACE INTO audit_head (origin, id, hash, at, key, signature) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(origin)
        .bind(head.id)
        .bind(&head.hash)
        .bind(at)
        .bind(key)
        .bind(signature)
        .execute(connection)
        .await?;
    Ok(())
}

/// The last end of this origin that was kept.
pub async fn kept_head(connection: &mut SqliteConnection, origin: &str) -> Result<Option<Head>, sqlx::Error> {
    let last: Option<(i64, String)> =
        sqlx::query_as("SELECT id, hash FROM audit_head WHERE origin = ? ORDER BY at DESC, rowid DESC LIMIT 1")
            .bind(origin)
            .fetch_optional(connection)
            .await?;
    Ok(last.map(|(id, hash)| Head { id, hash }))
}

/// All ends of others' chains that are kept, the last of each at its end.
pub async fn kept_heads(pool: &SqlitePool) -> Result<Vec<KeptHead>, sqlx::Error> {
    if !has_table(pool).await? {
        return Ok(Vec::new());
    }
    let rows: Vec<(String, i64, String, String)> =
        sqlx::query_as("SELECT origin, id, hash, at FROM audit_head WHERE origin NOT IN (?, ?) ORDER BY origin, at")
            .bind(OWN)
            .bind(COMMAND)
            .fetch_all(pool)
            .await?;
    let kept = rows.into_iter().map(|(origin, id, hash, at)| KeptHead { origin, head: Head { id, hash }, at });
    Ok(kept.collect())
}

/// The ends of the own chain that were signed.
pub async fn signed_heads(pool: &SqlitePool, key: &HeadKey) -> Result<SignedHeads, sqlx::Error> {
    if !has_table(pool).await? {
        return Ok(SignedHeads::default());
    }
    let rows: Vec<(i64, String, String, String)> =
        sqlx::query_as("SELECT id, hash, key, signature FROM audit_head WHERE origin = ? ORDER BY id")
            .bind(OWN)
            .fetch_all(pool)
            .await?;
    let mut signed = SignedHeads::default();
    for (id, hash, name, signature) in rows {
        let head = Head { id, hash };
        match (name == key.name(), key.has_signed(&signed_text(&head), &signature)) {
            (_, true) => signed.heads.push(head),
            (true, false) => signed.forged += 1,
            (false, false) => signed.of_other_keys += 1,
        }
    }
    Ok(signed)
}

/// Within how many seconds the entries lie that a program had no time to sign.
const LAST_SECONDS: f64 = 60.0;

/// Whether somebody has written behind the end that was signed `last`: what, in words. Commands sign what they write. Of a
/// program that was ended by force the entries of the last second have no signed end.
pub async fn unsigned_behind(pool: &SqlitePool, key: &HeadKey, last: &LastHead) -> Result<Option<String>, sqlx::Error> {
    let behind = behind(&mut *pool.acquire().await?, key, last.head.id).await?;
    let mut unsigned = behind.iter().filter(|behind| !behind.is_of_command);
    let Some(first) = unsigned.next() else { return Ok(None) };
    if last.is_closed {
        return Ok(Some(format!(
            "the program had ended with {}, and somebody has written entry {} behind it",
            last.head, first.entry.id
        )));
    }
    let (from, until) = (timestamp::parse(&first.at), unsigned.next_back().and_then(|last| timestamp::parse(&last.at)));
    let seconds = from.zip(until).map(|(from, until)| until.duration_since(from).as_secs_f64());
    Ok(seconds.filter(|seconds| *seconds > LAST_SECONDS).map(|_| {
        format!(
            "there were entries since {} that no signed end covers: ends are signed each second, so somebody has written \
             entries, or taken ends away",
            first.at
        )
    }))
}

/// How often the log says that it, or the one of somebody else, may have been changed, and what it said last.
pub async fn mismatches(pool: &SqlitePool) -> Result<(i64, Option<String>), sqlx::Error> {
    let query =
        "SELECT COUNT(*), max(at) || ' ' || details FROM audit NOT INDEXED WHERE action = 'audit.mismatch' AND id > 0";
    sqlx::query_as(query).fetch_one(pool).await
}

/// The last end that is signed, in the table or in the file beside it. As long as a program has not ended, the file can be
/// behind: it was not written on a full disk.
pub async fn last_known(pool: &SqlitePool, key: &HeadKey, of_file: LastHead) -> Result<LastHead, sqlx::Error> {
    if of_file.is_closed {
        return Ok(of_file);
    }
    let mut of_table = signed_heads(pool, key).await?.heads;
    of_table.retain(|head| head.id > of_file.head.id);
    for head in of_table.into_iter().rev() {
        if holds(&mut *pool.acquire().await?, &head).await? {
            return Ok(LastHead { head, is_closed: false });
        }
    }
    Ok(of_file)
}

/// What is wrong with a log when its program begins, beside what its chain shows. `file` stands beside the database.
pub async fn trouble_at_start(
    pool: &SqlitePool,
    key: &HeadKey,
    file: &HeadFile,
) -> Result<Option<String>, sqlx::Error> {
    let Some(last) = file.read(key) else {
        let missing = match file.is_readable() {
            None => {
                "the file beside the database with the end that was signed last cannot be read: give it the owner that the \
                 database has"
            }
            Some(false) => {
                "the file beside the database with the end that was signed last was not there at the start: it was taken \
                 away, or an older version has not written it"
            }
            Some(true) => {
                "the key has not signed what stands in the file beside the database with the end that was signed last: \
                 somebody wrote there, the key is another one, or an older version has written it"
            }
        };
        return Ok(Some(missing.to_owned()));
    };
    if !holds(&mut *pool.acquire().await?, &last.head).await? {
        return Ok(Some(format!(
            "at the start the log did not hold {}, the end that was signed last: it is an older one, or was changed",
            last.head
        )));
    }
    let last = last_known(pool, key, last).await?;
    let found = unsigned_behind(pool, key, &last).await?;
    Ok(found.map(|found| format!("found at the start: {found}")))
}

/// How often the log says that the program was ended by force, and when it said so last.
pub async fn unclosed(pool: &SqlitePool) -> Result<(i64, Option<String>), sqlx::Error> {
    sqlx::query_as("SELECT COUNT(*), max(at) FROM audit NOT INDEXED WHERE action = 'audit.unclosed' AND id > 0")
        .fetch_one(pool)
        .await
}

/// Whether this is the end of the chain, or was.
pub async fn holds(connection: &mut SqliteConnection, head: &Head) -> Result<bool, sqlx::Error> {
    if head.id == 0 {
        return Ok(true);
    }
    let hash: Option<String> = sqlx::query_scalar("SELECT hash FROM audit NOT INDEXED WHERE id = ?")
        .bind(head.id)
        .fetch_optional(connection)
        .await?;
    Ok(hash.as_ref() == Some(&head.hash))
}

/// A file of a version without it is read, not changed.
async fn has_table(pool: &SqlitePool) -> Result<bool, sqlx::Error> {
    let query = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM sqlite_schema WHERE lower(name) = 'audit_head'");
    Ok(query.fetch_one(pool).await? > 0)
}
