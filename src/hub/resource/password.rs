use std::sync::LazyLock;

use argon2::{
    Argon2, PasswordHash, PasswordHasher, PasswordVerifier,
    password_hash::{SaltString, rand_core::OsRng},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::spawn_blocking;

use crate::hub::{HubError, server::HubState};

/// A hash that no password has, to spend the same time on users who do not exist.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash(&SecretString::from("")).unwrap_or_default());

fn hash(password: &SecretString) -> Result<String, HubError> {
    let salt = SaltString::generate(&mut OsRng);
    Argon2::default()
        .hash_password(password.expose_secret().as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| HubError::Internal(error.to_string()))
}

/// Hashes a password (argon2id) on a thread of its own.
pub async fn hash_password(password: SecretString) -> Result<String, HubError> {
    spawn_blocking(move || hash(&password)).await.map_err(|error| HubError::Internal(error.to_string()))?
}

/// Whether this is the password of the hash. Without a hash the answer is no, after the same time.
pub async fn verify_password(
    hub: &HubState,
    password: SecretString,
    expected: Option<String>,
) -> Result<bool, HubError> {
    let internal = |error: &dyn std::fmt::Display| HubError::Internal(error.to_string());
    let _permit = hub.hashing.acquire().await.map_err(|error| internal(&error))?;
    spawn_blocking(move || {
        let known = expected.is_some();
        let text = expected.unwrap_or_else(|| NOBODY.clone());
        let hash = PasswordHash::new(&text).map_err(|error| internal(&error))?;
        let right = Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash).is_ok();
        Ok(right && known)
    })
    .await
    .map_err(|error| internal(&error))?
}

/// The rules for new passwords, with the messages of vantage6.
pub fn check_new_password(password: &SecretString, _: &()) -> garde::Result {
    let text = password.expose_secret();
    let length = text.chars().count();
    let rules: [(bool, &str); 6] = [
        (
            length >= 8,
            "Password too short: use at least 8 characters with mixed lowercase, uppercase, numbers and special \
             characters",
        ),
        (length <= 128, "Password too long: use at most 128 characters"),
        (text.chars().any(|c| c.is_ascii_digit()), "Password should contain at least one number"),
        (text.chars().any(char::is_uppercase), "Password should contain at least one uppercase letter"),
        (text.chars().any(char::is_lowercase), "Password should contain at least one lowercase letter"),
        (text.chars().any(|c| !c.is_alphanumeric()), "Password should contain at least one special character"),
    ];
    match rules.into_iter().find(|(kept, _)| !kept) {
        Some((_, message)) => Err(garde::Error::new(message)),
        None => Ok(()),
    }
}
