//! Forgotten passwords, lost second factors and lost API keys.

use std::sync::Arc;

use axum::{Json, Router, extract::State, middleware::from_fn, routing::post};
use data_encoding::HEXLOWER;
use garde::Validate;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{SqliteConnection, SqliteExecutor};
use uuid::Uuid;

use super::{
    OF_NAME, hash_api_key, message, node,
    password::{Attempt, check_credentials, check_new_password, forget_places, require_no_names_of, uncount_failure},
    place::CameFrom,
    token::check_length,
};
use crate::{
    hub::{
        HubError, audit,
        body::{Body, SIGN_IN_LIMIT},
        job, notice,
        permission::Caller,
        second_factor,
        server::HubState,
        store::{NEW_EPOCH, end_all_tokens},
        token::{Claims, ClientType, Purpose, Subject},
    },
    protocol::{account::MINUTES_BETWEEN_MAILS, timestamp, wire::v4::SignInReply},
    serve::limit_users,
};

/// How long the code of a mail holds.
const RECOVERY_SECONDS: i64 = 3600;
/// How long an invitation holds.
const INVITATION_SECONDS: i64 = 7 * 24 * 3600;

const INVALID: &str = "Invalid recovery token!";

pub fn routes() -> Router<Arc<HubState>> {
    Router::new()
        .route("/recover/lost", post(lost_password))
        .route("/recover/reset", post(reset_password))
        .route("/recover/2fa/lost", post(lost_second_factor))
        .route("/recover/2fa/reset", post(reset_second_factor))
        .route_layer(from_fn(limit_users))
        .route("/recover/node", post(new_api_key))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct LostPassword {
    #[garde(inner(length(chars, max = 128)))]
    #[serde(default)]
    username: Option<String>,
    #[garde(inner(length(chars, max = 128)))]
    #[serde(default)]
    email: Option<String>,
}

/// Always the same answer, at once: who exists is not told (CVE-2024-24770).
async fn lost_password(
    State(hub): State<Arc<HubState>>,
    Body(lost): Body<LostPassword, SIGN_IN_LIMIT>,
) -> Result<Json<Value>, HubError> {
    if lost.username.is_none() && lost.email.is_none() {
        return Err(HubError::fields(
            [("_schema".to_owned(), vec!["Email or username is required".to_owned()])].into(),
        ));
    }
    tokio::spawn(async move {
        if let Err(error) = mail_password_token(&hub, lost).await {
            tracing::error!(%error, "a mail for recovery was not sent");
        }
    });
    Ok(message("If the username or email is in our database you will soon receive an email."))
}

async fn mail_password_token(hub: &HubState, lost: LostPassword) -> Result<(), HubError> {
    let query = format!("SELECT id FROM user WHERE ({OF_NAME} OR email = ?2) AND disabled = 0");
    let id: Option<i64> =
        sqlx::query_scalar(&query).bind(lost.username).bind(lost.email).fetch_optional(hub.store.reader()).await?;
    match id {
        Some(id) => mail_token(hub, id, Purpose::PasswordReset).await.map(drop),
        None => Ok(()),
    }
}

/// A user whose last mail is older than this may get another one.
fn mails_before() -> String {
    timestamp::format(Timestamp::now() - SignedDuration::from_mins(MINUTES_BETWEEN_MAILS))
}

/// Name and address of somebody who is about to get a mail; `None` if they got one a short while ago. Mails that only those
/// can ask for who know the password are counted apart: strangers must not delay them.
async fn claim_mail(
    connection: &mut SqliteConnection,
    user_id: i64,
    purpose: Purpose,
) -> Result<Option<(String, String)>, HubError> {
    let last = last_mail(purpose);
    Ok(sqlx::query_as(&format!(
        "UPDATE user SET {last} = ?1 WHERE id = ?2 AND ({last} IS NULL OR {last} < ?3) RETURNING username, email"
    ))
    .bind(timestamp::now())
    .bind(user_id)
    .bind(mails_before())
    .fetch_optional(connection)
    .await?)
}

/// The column with the time of the last mail.
fn last_mail(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::SecondFactorReset => "last_second_factor_mail",
        _ => "last_recovery_mail",
    }
}

/// Has a token mailed; whether it is: not without a mail server, nor twice within a short while.
async fn mail_token(hub: &HubState, user_id: i64, purpose: Purpose) -> Result<bool, HubError> {
    if hub.mailer.is_none() {
        tracing::warn!("somebody asks for recovery, but no mail server is set (--smtp)");
        return Ok(false);
    }
    let action = match purpose {
        Purpose::PasswordReset => "password.mail",
        _ => "second_factor.mail",
    };
    let entry = audit::by_user(hub, user_id, action).await?;
    let mut change = hub.store.change().await?;
    let Some((username, email)) = claim_mail(&mut change, user_id, purpose).await? else { return Ok(false) };
    let state = state_of(&mut *change, user_id, purpose).await?;
    let token = hub.tokens.sign_for_recovery(user_id, purpose, state, RECOVERY_SECONDS)?;
    let (subject, what, page) = match purpose {
        Purpose::PasswordReset => ("Your new Atoll password", "password", "password/reset"),
        _ => ("Your new Atoll second factor", "second factor", "second-factor/reset"),
    };
    let text = format!(
        "Somebody, probably you, has asked to replace the {what} of the Atoll account \"{username}\".\n\n\
         Follow this link within an hour:\n\n{0}/{page}#{token}\n\n\
         Or go to {0}/{page} and give this code:\n\n{token}\n\n\
         Was it not you? Then there is nothing to do, unless it was the second factor: whoever asks for that knows \
         your password. Change it.\n",
        hub.public_url
    );
    job::mail_code(&mut change, &hub.secret_key, &email, subject, &text, RECOVERY_SECONDS).await?;
    change.commit(&entry).await?;
    hub.jobs.wake();
    Ok(true)
}

/// Has an invitation mailed, as a part of the change that makes it; whether it is: not without a mail server, nor twice
/// within a short while. The inviter has the code anyway.
pub async fn mail_invitation(
    connection: &mut SqliteConnection,
    hub: &HubState,
    user_id: i64,
    code: &str,
) -> Result<bool, HubError> {
    if hub.mailer.is_none() {
        return Ok(false);
    }
    let claimed = claim_mail(connection, user_id, Purpose::PasswordReset).await?;
    let Some((username, email)) = claimed else { return Ok(false) };
    let text = format!(
        "An account of Atoll was made for you; your username is \"{username}\".\n\n\
         Choose a password within seven days, on this page:\n\n{}/password/reset#{code}\n\n\
         Anyone with this link can do that, so do not share it.\n",
        hub.public_url
    );
    let subject = "Your invitation to Atoll";
    job::mail_code(connection, &hub.secret_key, &email, subject, &text, INVITATION_SECONDS).await?;
    Ok(true)
}

/// The rules that a user has, by themselves and by their roles, as SQL.
fn rules_of(user: &str) -> String {
    format!(
        "(SELECT json_group_array(rule_id) FROM (SELECT rule_id FROM user_rule WHERE user_id = {user}
          UNION SELECT rule_id FROM role_rule JOIN user_role USING (role_id) WHERE user_id = {user} ORDER BY 1))"
    )
}

/// A digest of what a recovery replaces and of the account at that time. A token of it is good once. It ends when the
/// address, the rights or the sessions of the account change, when somebody invites anew, and when the rights of the user who
/// invited change.
async fn state_of(store: impl SqliteExecutor<'_>, user_id: i64, purpose: Purpose) -> Result<String, HubError> {
    let replaced = match purpose {
        Purpose::PasswordReset => "password_hash",
        _ => "coalesce(otp_secret, '')",
    };
    let query = format!(
        "SELECT json_array({replaced}, email, token_epoch, invitations,
             invited_by IS NULL OR EXISTS (SELECT 1 FROM user AS inviter WHERE inviter.id = user.invited_by AND disabled = 0),
             {}, {}) FROM user WHERE id = ? AND disabled = 0",
        rules_of("user.id"),
        rules_of("user.invited_by")
    );
    let text: Option<String> = sqlx::query_scalar(&query).bind(user_id).fetch_optional(store).await?;
    let text = text.ok_or_else(|| HubError::bad(INVALID))?;
    Ok(HEXLOWER.encode(&Sha256::digest(text)))
}

/// A code with which somebody who never signed in sets their first password. It is good once, for some days, until the next
/// one is made.
pub async fn invitation_code(
    hub: &HubState,
    connection: &mut SqliteConnection,
    inviter_id: i64,
    user_id: i64,
) -> Result<String, HubError> {
    // A mail that was sent a moment ago is not sent again, so its code stays good.
    sqlx::query(
        "UPDATE user SET invitations = invitations + NOT (?1 AND coalesce(last_recovery_mail >= ?2, 0)), invited_by = ?3
         WHERE id = ?4",
    )
    .bind(hub.mailer.is_some())
    .bind(mails_before())
    .bind(inviter_id)
    .bind(user_id)
    .execute(&mut *connection)
    .await?;
    let state = state_of(connection, user_id, Purpose::PasswordReset).await?;
    hub.tokens.sign_for_recovery(user_id, Purpose::PasswordReset, state, INVITATION_SECONDS)
}

/// The user of a recovery token that was not used yet.
async fn user_of_token(
    hub: &HubState,
    store: impl SqliteExecutor<'_>,
    token: &str,
    purpose: Purpose,
) -> Result<i64, HubError> {
    let claims: Claims = hub.tokens.check(token, purpose).map_err(|_| HubError::bad(INVALID))?;
    let Subject::Id(id) = claims.sub else { return Err(HubError::bad(INVALID)) };
    if claims.client_type != ClientType::User || claims.state != Some(state_of(store, id, purpose).await?) {
        return Err(HubError::bad(INVALID));
    }
    Ok(id)
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct ResetPassword {
    #[garde(length(max = 1024))]
    reset_token: String,
    #[garde(custom(check_new_password))]
    password: SecretString,
}

/// A new password ends all tokens: whoever had the old one is out. The second factor stays.
async fn reset_password(
    State(hub): State<Arc<HubState>>,
    came_from: CameFrom,
    Body(reset): Body<ResetPassword, SIGN_IN_LIMIT>,
) -> Result<Json<Value>, HubError> {
    let id = user_of_token(&hub, hub.store.bookkeeping(), &reset.reset_token, Purpose::PasswordReset).await?;
    require_no_names_of(&hub, id, "password", &reset.password).await?;
    let hash = hub.hashing.turn(came_from.stranger()).await?.hash(reset.password).await?;
    let entry = audit::by_user(&hub, id, "password.reset").await?;
    let mut change = hub.store.change().await?;
    // Two with the same code can have come so far.
    user_of_token(&hub, &mut *change, &reset.reset_token, Purpose::PasswordReset).await?;
    sqlx::query("UPDATE user SET password_hash = ?, password_by_mail = 1 WHERE id = ?")
        .bind(hash)
        .bind(id)
        .execute(&mut *change)
        .await?;
    end_all_tokens(&mut change, id).await?;
    forget_places(&mut change, id).await?;
    change.commit(&entry).await?;
    hub.store.forget_authorities();
    Ok(message("The password has successfully been reset!"))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct LostSecondFactor {
    #[garde(length(chars, min = 1, max = 128))]
    username: String,
    #[garde(custom(check_length))]
    password: SecretString,
    /// Sent by the official client, of no use.
    #[garde(inner(length(max = 1024)))]
    #[serde(default, rename = "email")]
    _email: Option<String>,
}

async fn lost_second_factor(
    State(hub): State<Arc<HubState>>,
    came_from: CameFrom,
    Body(lost): Body<LostSecondFactor, SIGN_IN_LIMIT>,
) -> Result<Json<Value>, HubError> {
    let Attempt { id, place, .. } = match check_credentials(&hub, &came_from, &lost.username, lost.password).await {
        Ok(attempt) => attempt,
        Err(error) => {
            audit::note_sign_in(&hub, &lost.username, "sign_in", "refused").await?;
            return Err(error);
        }
    };
    // No more than that: whoever knows the password only must not get new tries at the code by this.
    uncount_failure(&hub, id, &place).await?;
    // Somebody knows the password, whatever comes of it.
    hub.store.change().await?.commit(&audit::by_user(&hub, id, "second_factor.lost").await?).await?;
    let by_mail: bool = sqlx::query_scalar("SELECT password_by_mail FROM user WHERE id = ?")
        .bind(id)
        .fetch_one(hub.store.bookkeeping())
        .await?;
    if by_mail {
        return Err(HubError::bad(
            "Your password was replaced by mail, so your second factor cannot be replaced by mail as well: sign in \
             with it once. If it is lost, too, your administrator has to make a new account for you.",
        ));
    }
    if hub.mailer.is_none() {
        return Err(HubError::bad(
            "No mailserver settings found in server configuration - cannot send you an email to reset your 2FA! \
             Contact your administrator.",
        ));
    }
    // They know the password, so they may know of the mail.
    if !mail_token(&hub, id, Purpose::SecondFactorReset).await? {
        return Err(HubError::bad(format!(
            "A mail with a code was sent to you less than {MINUTES_BETWEEN_MAILS} minutes ago. Use that code, or ask for \
             another one after these {MINUTES_BETWEEN_MAILS} minutes."
        )));
    }
    Ok(message("You should have received an email that will allow you to reset your 2FA."))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct ResetSecondFactor {
    #[garde(length(max = 1024))]
    reset_token: String,
}

async fn reset_second_factor(
    State(hub): State<Arc<HubState>>,
    Body(reset): Body<ResetSecondFactor, SIGN_IN_LIMIT>,
) -> Result<Json<SignInReply>, HubError> {
    let id = user_of_token(&hub, hub.store.bookkeeping(), &reset.reset_token, Purpose::SecondFactorReset).await?;
    let entry = audit::by_user(&hub, id, "second_factor.reset").await?;
    let mut change = hub.store.change().await?;
    user_of_token(&hub, &mut *change, &reset.reset_token, Purpose::SecondFactorReset).await?;
    let reply = second_factor::replace(&hub, &mut change, id).await?;
    end_all_tokens(&mut change, id).await?;
    change.commit(&entry).await?;
    hub.store.forget_authorities();
    Ok(Json(reply))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct NewApiKey {
    #[garde(range(min = 1))]
    id: i64,
}

/// A new key ends the tokens of the old one and whatever is connected with them.
async fn new_api_key(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(lost): Body<NewApiKey>,
) -> Result<Json<Value>, HubError> {
    caller.require_user()?;
    let organization_id = node::require_key(&hub, &caller, lost.id).await?;
    let api_key = Uuid::new_v4().to_string();
    let mut change = hub.change(&caller).await?;
    sqlx::query(&format!("UPDATE node SET api_key_hash = ?, token_epoch = {NEW_EPOCH} WHERE id = ?"))
        .bind(hash_api_key(&api_key))
        .bind(lost.id)
        .execute(&mut *change)
        .await?;
    let what = format!("An administrator has replaced the key of node {} of your organization.", lost.id);
    notice::tell_admins(&mut change, &hub, &caller, organization_id, &what).await?;
    change.commit(&caller.did("node.new_key", "node", lost.id).of(organization_id)).await?;
    hub.jobs.wake();
    hub.store.forget_authorities();
    Ok(Json(json!({"api_key": api_key})))
}
