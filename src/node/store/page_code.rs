use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::{NodeStore, StoreError};
use crate::{
    audit::{self, Entry},
    protocol::timestamp,
};

/// How long a code can be used.
const LIFETIME: SignedDuration = SignedDuration::from_mins(10);
/// Digits and letters that are not taken for one another.
const LETTERS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
const LENGTH: usize = 10;

fn hash(code: &str) -> String {
    let plain: String =
        code.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect();
    format!("{:x}", Sha256::digest(plain))
}

impl NodeStore {
    /// Makes a code that opens the node's page once: whoever has it can read this file.
    pub async fn new_page_code(&self) -> Result<String, StoreError> {
        let code: String =
            (0..LENGTH).map(|_| char::from(LETTERS[usize::from(rand::random::<u8>()) % LETTERS.len()])).collect();
        sqlx::query("INSERT INTO page_code (hash, expires_at) VALUES (?, ?)")
            .bind(hash(&code))
            .bind(timestamp::format(Timestamp::now() + LIFETIME))
            .execute(&self.pool)
            .await?;
        Ok(format!("{}-{}", &code[..LENGTH / 2], &code[LENGTH / 2..]))
    }

    /// Whether this code would open the page. Fifty bits are not guessed within ten minutes, however fast it is tried.
    pub async fn is_page_code(&self, code: &str) -> Result<bool, StoreError> {
        let found: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM page_code WHERE hash = ? AND expires_at > ?")
            .bind(hash(code))
            .bind(timestamp::now())
            .fetch_one(&self.pool)
            .await?;
        Ok(found > 0)
    }

    /// Uses a code up; whether it was there still.
    pub async fn use_page_code(&self, code: &str, name: &str) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let done = sqlx::query("DELETE FROM page_code WHERE hash = ? AND expires_at > ?")
            .bind(hash(code))
            .bind(timestamp::now())
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        audit::append(&mut transaction, &sign_in(name)).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Notes that somebody came with a code that is none.
    pub async fn note_wrong_page_code(&self, name: &str) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        audit::append(&mut transaction, &sign_in(name).outcome("refused")).await?;
        Ok(transaction.commit().await?)
    }
}

fn sign_in(name: &str) -> Entry {
    Entry::done(format!("{name} (at the node)"), "sign_in", "the node's page")
}
