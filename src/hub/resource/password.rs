use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use axum::{Json, Router, extract::State, routing::patch};
use garde::Validate;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::SqliteConnection;

use super::{
    OF_NAME,
    common_passwords::{is_common, is_made_of_names},
    place::{BROWSER_PLACE, CameFrom},
    token,
};
use crate::{
    hub::{
        HubError,
        body::{Body, SIGN_IN_LIMIT},
        hashing::Who,
        permission::Caller,
        server::HubState,
        store::end_all_tokens,
    },
    protocol::timestamp,
};

/// After this many wrong passwords in a row from one place it is locked for an account …
const FAILURES_UNTIL_LOCK: i64 = 5;
/// … and after so many from places where its user never was, for all such places …
const FAILURES_OF_STRANGERS: i64 = 50;
/// … for this long after the last one, in minutes.
const LOCK_MINUTES: i64 = 15;
/// One answer for an unknown user, a wrong password and a locked account.
const FAILED: HubError = HubError::Unauthenticated("Failed to login");

pub fn routes() -> Router<Arc<HubState>> {
    Router::new().route("/password/change", patch(change))
}

/// An attempt whose password was right.
pub struct Attempt {
    pub id: i64,
    /// Where it came from.
    pub place: String,
    /// The epoch of the user's tokens when the password was looked at.
    pub epoch: i64,
}

/// Where changes of one's own account come from: somebody who is signed in makes them.
const SIGNED_IN: &str = "signed in";

/// Counts an attempt of a user at a place before anything is looked at, in one transaction: of many at once none slips
/// through. False if it is one too many.
async fn count(hub: &HubState, user_id: i64, place: &str) -> Result<bool, HubError> {
    let lock_end = timestamp::format(Timestamp::now() - SignedDuration::from_mins(LOCK_MINUTES));
    let mut transaction = hub.store.bookkeeping().begin().await?;
    let (from_here, is_known): (i64, bool) = sqlx::query_as(
        "SELECT failures, last_success IS NOT NULL FROM sign_in_place
         WHERE user_id = ?1 AND place = ?2 AND (last_failure > ?3 OR last_success IS NOT NULL)",
    )
    .bind(user_id)
    .bind(place)
    .bind(&lock_end)
    .fetch_optional(&mut *transaction)
    .await?
    .unwrap_or_default();
    let from_strangers: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(failures), 0) FROM sign_in_place
         WHERE user_id = ? AND last_failure > ? AND last_success IS NULL",
    )
    .bind(user_id)
    .bind(&lock_end)
    .fetch_one(&mut *transaction)
    .await?;
    // A browser that is known, and who is signed in, are no strangers before their first attempt there.
    let is_known = is_known || place == SIGNED_IN || place.starts_with(BROWSER_PLACE);
    let is_locked = from_here >= FAILURES_UNTIL_LOCK || (!is_known && from_strangers >= FAILURES_OF_STRANGERS);
    let recent = if is_locked { None } else { Some(timestamp::now()) };
    sqlx::query(
        "INSERT INTO sign_in_place (user_id, place, failures, last_failure) VALUES (?1, ?2, ?5, ?3)
         ON CONFLICT (user_id, place) DO UPDATE SET
             failures = CASE WHEN last_failure > ?4 THEN failures + ?5 ELSE ?5 END,
             last_failure = coalesce(?3, last_failure)",
    )
    .bind(user_id)
    .bind(place)
    .bind(recent)
    .bind(&lock_end)
    .bind(i64::from(!is_locked))
    .execute(&mut *transaction)
    .await?;
    // Places from which nobody came for long.
    sqlx::query("DELETE FROM sign_in_place WHERE user_id = ? AND last_success IS NULL AND last_failure < ?")
        .bind(user_id)
        .bind(lock_end)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(!is_locked)
}

/// Counts an attempt at something else of an account that could be guessed, as one at signing in.
pub async fn count_attempt(hub: &HubState, user_id: i64) -> Result<(), HubError> {
    if count(hub, user_id, SIGNED_IN).await? { Ok(()) } else { Err(FAILED) }
}

/// The user with this name and password. The attempt counts as a failure until [`forget_failures`] is called: what
/// else is asked for (a code) is part of it.
pub async fn check_credentials(
    hub: &HubState,
    came_from: &CameFrom,
    username: &str,
    password: SecretString,
) -> Result<Attempt, HubError> {
    let account: Option<(i64, String, i64)> =
        sqlx::query_as(&format!("SELECT id, password_hash, token_epoch FROM user WHERE {OF_NAME} AND disabled = 0"))
            .bind(username)
            .fetch_optional(hub.store.reader())
            .await?;
    let known = account.as_ref().filter(|(id, _, epoch)| came_from.is_known(hub, *id, *epoch)).map(|(id, ..)| *id);
    let turn = hub.hashing.turn(known.map_or_else(|| came_from.stranger(), Who::Known)).await?;
    // Counted before the password is looked at. An unknown user costs a write as a known or a locked one does.
    let (account, place) = match account {
        Some((id, hash, epoch)) => {
            let place = came_from.place(hub, id, epoch);
            (count(hub, id, &place).await?.then_some((id, hash, epoch)), place)
        }
        None => {
            sqlx::query(
                "INSERT INTO setting (name, value) VALUES ('refused_sign_in', x'00')
                 ON CONFLICT (name) DO UPDATE SET value = randomblob(8)",
            )
            .execute(hub.store.bookkeeping())
            .await?;
            (None, String::new())
        }
    };
    let hash = account.as_ref().map(|(_, hash, _)| hash.clone());
    let right = turn.verify(password, hash).await?;
    account.filter(|_| right).map(|(id, _, epoch)| Attempt { id, place, epoch }).ok_or(FAILED)
}

/// As [`check_credentials`], for somebody who is signed in.
pub async fn check_own_password(hub: &HubState, user_id: i64, password: SecretString) -> Result<(), HubError> {
    let hash: Option<String> = sqlx::query_scalar("SELECT password_hash FROM user WHERE id = ?")
        .bind(user_id)
        .fetch_optional(hub.store.reader())
        .await?;
    let turn = hub.hashing.turn(Who::Known(user_id)).await?;
    let may = count(hub, user_id, SIGNED_IN).await?;
    let right = turn.verify(password, hash.filter(|_| may)).await?;
    if right { Ok(()) } else { Err(FAILED) }
}

/// The attempt was no failure, nor do those before it at this place count any more.
pub async fn forget_failures(hub: &HubState, user_id: i64, place: &str) -> Result<(), HubError> {
    sqlx::query("UPDATE sign_in_place SET failures = 0, last_success = ? WHERE user_id = ? AND place = ?")
        .bind(timestamp::now())
        .bind(user_id)
        .bind(place)
        .execute(hub.store.bookkeeping())
        .await?;
    Ok(())
}

/// As [`forget_failures`], of somebody who is signed in.
pub async fn forget_own_failures(hub: &HubState, user_id: i64) -> Result<(), HubError> {
    forget_failures(hub, user_id, SIGNED_IN).await
}

/// Forgets all failures: the password is another one. From where the user was signed in stays known.
pub async fn forget_places(connection: &mut SqliteConnection, user_id: i64) -> Result<(), HubError> {
    sqlx::query("UPDATE sign_in_place SET failures = 0 WHERE user_id = ?").bind(user_id).execute(connection).await?;
    Ok(())
}

/// The attempt was no failure; those before it still count, since something else is still to be given.
pub async fn uncount_failure(hub: &HubState, user_id: i64, place: &str) -> Result<(), HubError> {
    sqlx::query("UPDATE sign_in_place SET failures = max(failures - 1, 0) WHERE user_id = ? AND place = ?")
        .bind(user_id)
        .bind(place)
        .execute(hub.store.bookkeeping())
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

/// `PATCH /password/change`: all tokens end. The answer brings new ones, for who asks; clients of vantage6 sign in again.
async fn change(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(change): Body<PasswordChange, SIGN_IN_LIMIT>,
) -> Result<Json<Value>, HubError> {
    let id = caller.require_user()?;
    let is_same = change.current_password.expose_secret() == change.new_password.expose_secret();
    check_own_password(&hub, id, change.current_password).await?;
    // No more than that: wrong codes of the second factor are still counted.
    uncount_failure(&hub, id, SIGNED_IN).await?;
    if is_same {
        return Err(HubError::field("new_password", "New password is the same as current password!"));
    }
    require_no_names_of(&hub, id, "new_password", &change.new_password).await?;
    let hash = hub.hashing.turn(Who::Known(id)).await?.hash(change.new_password).await?;
    let mut change = hub.change(&caller).await?;
    sqlx::query("UPDATE user SET password_hash = ? WHERE id = ?").bind(hash).bind(id).execute(&mut *change).await?;
    let epoch = end_all_tokens(&mut change, id).await?;
    change.commit(&caller.did("password.change", "user", id)).await?;
    hub.store.forget_authorities();
    answer_with_tokens(&hub, id, epoch, "The password has been changed successfully!").await
}

/// A message with new tokens of this epoch, after those that there were have ended.
pub async fn answer_with_tokens(hub: &HubState, user_id: i64, epoch: i64, text: &str) -> Result<Json<Value>, HubError> {
    let tokens = token::issue(hub, token::Holder::User(user_id), None, epoch).await?;
    Ok(Json(json!({"msg": text, "access_token": tokens.access_token, "refresh_token": tokens.refresh_token})))
}

/// An error at this field if a new password is made of the names of its owner.
pub fn require_no_names(field: &str, password: &SecretString, names: &[&str]) -> Result<(), HubError> {
    match is_made_of_names(password.expose_secret(), names) {
        true => Err(HubError::field(field, "Password too common: it is made of your own name")),
        false => Ok(()),
    }
}

/// The same for a user who is there.
pub async fn require_no_names_of(
    hub: &HubState,
    user_id: i64,
    field: &str,
    password: &SecretString,
) -> Result<(), HubError> {
    let names = "SELECT username, email, substr(email, 1, instr(email, '@') - 1) FROM user WHERE id = ?";
    let (username, email, mailbox): (String, String, String) =
        sqlx::query_as(names).bind(user_id).fetch_one(hub.store.reader()).await?;
    require_no_names(field, password, &[&username, &email, &mailbox])
}

/// The rules for new passwords: twelve characters or more, and none of those that are tried first. What keeps to the
/// rules of vantage6 (eight characters of four kinds) is taken as well, for its clients.
pub fn check_new_password(password: &SecretString, _: &()) -> garde::Result {
    let text = password.expose_secret();
    let length = text.chars().count();
    let kinds: [fn(char) -> bool; 4] =
        [|c| c.is_ascii_digit(), char::is_uppercase, char::is_lowercase, |c| !c.is_alphanumeric()];
    let keeps_to_vantage6 = length >= 8 && kinds.iter().all(|kind| text.chars().any(kind));
    if length > 128 {
        return Err(garde::Error::new("Password too long: use at most 128 characters"));
    }
    if length < 12 && !keeps_to_vantage6 {
        return Err(garde::Error::new(
            "Password too short: use at least 12 characters, such as a few words that belong together for you only",
        ));
    }
    if is_common(text) {
        return Err(garde::Error::new("Password too common: it is one of those that are tried first"));
    }
    Ok(())
}
