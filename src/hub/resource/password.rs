use std::sync::{Arc, LazyLock};

use argon2::{
    Argon2, PasswordHash, PasswordHasher, PasswordVerifier,
    password_hash::{SaltString, rand_core::OsRng},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::spawn_blocking;

use axum::{Json, Router, extract::State, routing::patch};
use garde::Validate;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::{message, username};
use crate::{
    hub::{HubError, body::Body, permission::Caller, server::HubState},
    protocol::timestamp,
};

/// After this many wrong passwords in a row an account is locked …
const FAILURES_UNTIL_LOCK: i64 = 5;
/// … for this long after the last one, in minutes.
const LOCK_MINUTES: i64 = 15;
/// One answer for an unknown user, a wrong password and a locked account.
const FAILED: HubError = HubError::Unauthenticated("Failed to login");

pub fn routes() -> Router<Arc<HubState>> {
    Router::new().route("/password/change", patch(change))
}

/// Counts an attempt of a user, in one statement: of many at once none slips through. `None` if there is no such user, or
/// they are locked or deactivated.
async fn count(hub: &HubState, username: &str) -> Result<Option<(i64, String)>, HubError> {
    let lock_end = timestamp::format(Timestamp::now() - SignedDuration::from_mins(LOCK_MINUTES));
    Ok(sqlx::query_as(
        "UPDATE user SET last_failed_sign_in = ?1,
             failed_sign_ins = CASE WHEN failed_sign_ins >= ?2 THEN 1 ELSE failed_sign_ins + 1 END
         WHERE username = ?3 AND disabled = 0 AND (failed_sign_ins < ?2 OR last_failed_sign_in <= ?4)
         RETURNING id, password_hash",
    )
    .bind(timestamp::now())
    .bind(FAILURES_UNTIL_LOCK)
    .bind(username)
    .bind(lock_end)
    .fetch_optional(hub.store.writer())
    .await?)
}

/// Counts an attempt at something else of an account that could be guessed, as one at signing in.
pub async fn count_attempt(hub: &HubState, user_id: i64) -> Result<(), HubError> {
    let name = username(&mut *hub.store.reader().acquire().await?, user_id).await?;
    count(hub, &name).await?.map(drop).ok_or(FAILED)
}

/// The user with this name and password. The attempt counts as a failure until [`forget_failures`] is called: what
/// else is asked for (a code) is part of it.
pub async fn check_credentials(hub: &HubState, username: &str, password: SecretString) -> Result<i64, HubError> {
    // Counted before the password is looked at. An unknown user costs the same write as a known or a locked one.
    let account = count(hub, username).await?;
    if account.is_none() {
        sqlx::query(
            "INSERT INTO setting (name, value) VALUES ('refused_sign_in', x'00')
             ON CONFLICT (name) DO UPDATE SET value = randomblob(8)",
        )
        .execute(hub.store.writer())
        .await?;
    }
    let hash = account.as_ref().map(|(_, hash)| hash.clone());
    let right = verify_password(hub, password, hash).await?;
    account.filter(|_| right).map(|(id, _)| id).ok_or(FAILED)
}

/// The attempt was no failure, nor do those before it count any more.
pub async fn forget_failures(hub: &HubState, user_id: i64) -> Result<(), HubError> {
    sqlx::query("UPDATE user SET failed_sign_ins = 0, last_failed_sign_in = NULL WHERE id = ?")
        .bind(user_id)
        .execute(hub.store.writer())
        .await?;
    Ok(())
}

/// The attempt was no failure; those before it still count, since something else is still to be given.
pub async fn uncount_failure(hub: &HubState, user_id: i64) -> Result<(), HubError> {
    sqlx::query("UPDATE user SET failed_sign_ins = max(failed_sign_ins - 1, 0) WHERE id = ?")
        .bind(user_id)
        .execute(hub.store.writer())
        .await?;
    Ok(())
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct PasswordChange {
    #[garde(skip)]
    current_password: SecretString,
    #[garde(custom(check_new_password))]
    new_password: SecretString,
}

/// `PATCH /password/change`
async fn change(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(change): Body<PasswordChange>,
) -> Result<Json<Value>, HubError> {
    let id = caller.require_user()?;
    let username = username(&mut *hub.store.reader().acquire().await?, id).await?;
    let is_same = change.current_password.expose_secret() == change.new_password.expose_secret();
    check_credentials(&hub, &username, change.current_password).await?;
    // No more than that: wrong codes of the second factor are still counted.
    uncount_failure(&hub, id).await?;
    if is_same {
        return Err(HubError::field("new_password", "New password is the same as current password!"));
    }
    let hash = hash_password(change.new_password).await?;
    sqlx::query("UPDATE user SET password_hash = ? WHERE id = ?")
        .bind(hash)
        .bind(id)
        .execute(hub.store.writer())
        .await?;
    Ok(message("The password has been changed successfully!"))
}

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
