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

    /// Uses a code up; whether it was one. A wrong one harms no other: fifty bits are not guessed within ten minutes at
    /// the pace at which attempts are answered.
    pub async fn use_page_code(&self, code: &str, name: &str) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let done = sqlx::query("DELETE FROM page_code WHERE hash = ? AND expires_at > ?")
            .bind(hash(code))
            .bind(timestamp::now())
            .execute(&mut *transaction)
            .await?;
        let is_right = done.rows_affected() > 0;
        let outcome = if is_right { "done" } else { "refused" };
        audit::append(
            &mut transaction,
            &Entry::done(format!("{name} (at the node)"), "sign_in", "the node's page").outcome(outcome),
        )
        .await?;
        transaction.commit().await?;
        Ok(is_right)
    }
}
