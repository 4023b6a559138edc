use std::{fmt, str::FromStr};

use futures::TryStreamExt;
use sqlx::SqlitePool;

use super::{
    Recorded,
    log::{self, COLUMNS},
};

/// The end of a chain: with it somebody can show later that nothing before was changed or taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The id of the last entry; 0 without any.
    pub id: i64,
    /// Its hash; empty without any.
    pub hash: String,
}

impl fmt::Display for Head {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.id, self.hash)
    }
}

impl FromStr for Head {
    type Err = &'static str;

    /// Reads what [`Head`] is displayed as.
    fn from_str(text: &str) -> Result<Head, &'static str> {
        let (id, hash) = text.trim().split_once(':').ok_or("no end of a chain such as 12:1f3a…")?;
        let id = id.parse().map_err(|_| "no end of a chain such as 12:1f3a…")?;
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hash && !hash.is_empty() {
            return Err("no end of a chain such as 12:1f3a…");
        }
        Ok(Head { id, hash: hash.to_ascii_lowercase() })
    }
}

/// Where a chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("entry {0} is missing")]
    Missing(i64),
    #[error("entry {0} was changed, or one before it was")]
    Changed(i64),
    #[error("entry {0} is not the one that was the end before: the log was written anew")]
    OtherHistory(i64),
    #[error("there is an entry before the first one")]
    BeforeTheFirst,
    #[error("its signed ends were taken away")]
    NoEnds,
    #[error("an end of it says that the key signed it, which is not true")]
    Forged,
}

/// Reads the whole chain; its end, or where it breaks. `known`: ends from before, which have to be in it.
pub async fn verify(pool: &SqlitePool, known: &[Head]) -> Result<Result<Head, Broken>, sqlx::Error> {
    verify_from(pool, Head::default(), known).await
}

/// Reads the chain behind an end that was found to hold. Of `known`, ends before that are not looked at.
pub async fn verify_from(
    pool: &SqlitePool,
    mut head: Head,
    known: &[Head],
) -> Result<Result<Head, Broken>, sqlx::Error> {
    if log::has_others(&mut *pool.acquire().await?).await? {
        return Ok(Err(Broken::BeforeTheFirst));
    }
    // The last entries may be gone: how many there were is written beside the table. Read first, since others come.
    let last: Option<i64> = sqlx::query_scalar("SELECT CAST(seq AS INTEGER) FROM sqlite_sequence WHERE name = 'audit'")
        .fetch_optional(pool)
        .await?;
    let known: Vec<&Head> = known.iter().filter(|known| known.id > head.id).collect();
    let query = format!("SELECT {COLUMNS} FROM audit NOT INDEXED WHERE id > ? ORDER BY id");
    let mut entries = sqlx::query_as::<_, Recorded>(&query).bind(head.id).fetch(pool);
    loop {
        let entry = match entries.try_next().await {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            // No program of ours has written what cannot be read.
            Err(sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => {
                return Ok(Err(Broken::Changed(head.id + 1)));
            }
            Err(error) => return Err(error),
        };
        if entry.id != head.id + 1 {
            return Ok(Err(Broken::Missing(head.id + 1)));
        }
        if entry.hash_after(&head.hash) != entry.hash {
            return Ok(Err(Broken::Changed(entry.id)));
        }
        if known.iter().any(|known| known.id == entry.id && known.hash != entry.hash) {
            return Ok(Err(Broken::OtherHistory(entry.id)));
        }
        head = Head { id: entry.id, hash: entry.hash };
    }
    let last = last.max(known.iter().map(|known| known.id).max());
    match last {
        Some(last) if last > head.id => Ok(Err(Broken::Missing(head.id + 1))),
        _ => Ok(Ok(head)),
    }
}
