//! One's own account, which vantage6 has not: the second factor with recovery codes, the end of all sessions, and which
//! notices are wanted. Whatever makes signing in easier for somebody else needs the password and a code once more: an
//! open browser is not enough.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use garde::Validate;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::{
    is_taken, message,
    password::{answer_with_tokens, check_own_password, count_attempt, forget_own_failures},
    token::{self, check_length},
    user::check_email,
};
use crate::{
    hub::{
        HubError,
        body::{Body, SIGN_IN_LIMIT},
        listing::ListQuery,
        notice,
        permission::{Caller, Resource},
        second_factor,
        server::HubState,
        store::end_all_tokens,
    },
    protocol::{
        account::{AccountMessage, OwnAccount, RecoveryCodes},
        domain::Operation,
        wire::v4::SignInReply,
    },
};

pub fn routes() -> Router<Arc<HubState>> {
    Router::new()
        .route("/account", get(show).patch(edit))
        .route("/account/email", post(change_email))
        .route("/account/end-sessions", post(end_sessions))
        .route("/account/second-factor", post(begin))
        .route("/account/second-factor/confirm", post(confirm))
        .route("/account/second-factor/remove", post(remove))
        .route("/account/recovery-codes", post(new_recovery_codes))
}

/// `GET /account`
async fn show(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    query: ListQuery,
) -> Result<Json<OwnAccount>, HubError> {
    query.only(&[])?;
    own(&hub, &caller).await
}

async fn own(hub: &HubState, caller: &Caller) -> Result<Json<OwnAccount>, HubError> {
    let id = caller.require_user()?;
    let (notice_of_reviews, notice_of_tasks): (bool, bool) =
        sqlx::query_as("SELECT notice_of_reviews, notice_of_tasks FROM user WHERE id = ?")
            .bind(id)
            .fetch_one(hub.store.reader())
            .await?;
    let messages: Vec<(i64, String, String, bool)> =
        sqlx::query_as("SELECT id, at, what, seen FROM account_message WHERE user_id = ? ORDER BY id DESC")
            .bind(id)
            .fetch_all(hub.store.reader())
            .await?;
    let messages = messages.into_iter().map(|(id, at, what, seen)| AccountMessage { id, at, what, seen });
    Ok(Json(OwnAccount {
        messages: messages.collect(),
        second_factor: second_factor::is_active(hub, id).await?,
        second_factor_is_obligatory: hub.two_factor,
        recovery_codes: second_factor::recovery_codes_left(hub, id).await?,
        notices_by_mail: hub.notices.are_mailed(),
        decides_reviews: caller.reach(Resource::Review, Operation::Edit).is_some(),
        notice_of_reviews,
        notice_of_tasks,
    }))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct EditAccount {
    #[garde(skip)]
    #[serde(default)]
    notice_of_reviews: Option<bool>,
    #[garde(skip)]
    #[serde(default)]
    notice_of_tasks: Option<bool>,
    /// The last message that was seen, with all before it.
    #[garde(skip)]
    #[serde(default)]
    seen_until: Option<i64>,
}

/// `PATCH /account`
async fn edit(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(edit): Body<EditAccount, SIGN_IN_LIMIT>,
) -> Result<Json<OwnAccount>, HubError> {
    let id = caller.require_user()?;
    let mut change = hub.change(&caller).await?;
    let notices = sqlx::query(
        "UPDATE user SET notice_of_reviews = coalesce(?1, notice_of_reviews),
         notice_of_tasks = coalesce(?2, notice_of_tasks) WHERE id = ?3
         AND (?1 <> notice_of_reviews OR ?2 <> notice_of_tasks)",
    )
    .bind(edit.notice_of_reviews)
    .bind(edit.notice_of_tasks)
    .bind(id)
    .execute(&mut *change)
    .await?;
    let messages = sqlx::query("UPDATE account_message SET seen = 1 WHERE user_id = ? AND id <= ? AND seen = 0")
        .bind(id)
        .bind(edit.seen_until)
        .execute(&mut *change)
        .await?;
    // What changes nothing has no entry.
    if notices.rows_affected() + messages.rows_affected() > 0 {
        let details = if messages.rows_affected() > 0 { "messages seen" } else { "notices" };
        change.commit(&caller.did("account.edit", "user", id).details(details)).await?;
    } else {
        drop(change);
    }
    own(&hub, &caller).await
}

/// `POST /account/end-sessions`: all tokens of the caller end, this one too.
async fn end_sessions(State(hub): State<Arc<HubState>>, caller: Caller) -> Result<Json<Value>, HubError> {
    let id = caller.require_user()?;
    let mut change = hub.change(&caller).await?;
    end_all_tokens(&mut change, id).await?;
    change.commit(&caller.did("user.end_sessions", "user", id)).await?;
    hub.store.forget_authorities();
    Ok(message("All your sessions have ended"))
}

/// That it is really the user.
#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Proof {
    #[garde(skip)]
    password: SecretString,
    /// A code of the present second factor, if there is one, or a recovery code.
    #[garde(inner(length(chars, max = 20)))]
    #[serde(default)]
    mfa_code: Option<String>,
}

impl Proof {
    /// The user's id. Wrong attempts count as those at signing in: the same is guessed.
    async fn check(self, hub: &HubState, caller: &Caller) -> Result<i64, HubError> {
        let id = caller.require_user()?;
        check_own_password(hub, id, self.password).await.map_err(|error| match error {
            HubError::Unauthenticated(_) => HubError::field("password", "This is not your present password."),
            error => error,
        })?;
        second_factor::prove(hub, id, self.mfa_code.as_deref())
            .await
            .map_err(|_| HubError::field("mfa_code", "This code is not right, or it was used already."))?;
        forget_own_failures(hub, id).await?;
        Ok(id)
    }
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct NewEmail {
    #[garde(custom(check_email))]
    email: String,
    #[garde(custom(check_length))]
    password: SecretString,
    #[garde(inner(length(chars, max = 20)))]
    #[serde(default)]
    mfa_code: Option<String>,
}

/// `POST /account/email`: by mail to another address the password is replaced, so this needs what signing in needs. The
/// old address is told, and all tokens end; the answer brings new ones.
async fn change_email(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(new): Body<NewEmail, SIGN_IN_LIMIT>,
) -> Result<Json<Value>, HubError> {
    let id = Proof { password: new.password, mfa_code: new.mfa_code }.check(&hub, &caller).await?;
    let mut change = hub.change(&caller).await?;
    let old: String =
        sqlx::query_scalar("SELECT email FROM user WHERE id = ?").bind(id).fetch_one(&mut *change).await?;
    sqlx::query("UPDATE user SET email = ? WHERE id = ?")
        .bind(&new.email)
        .bind(id)
        .execute(&mut *change)
        .await
        .map_err(|error| match is_taken(&error) {
            true => HubError::field("email", "email already exists."),
            false => error.into(),
        })?;
    let epoch = end_all_tokens(&mut change, id).await?;
    let what = format!("The e-mail address of your account was changed to {}.", new.email);
    notice::tell_user(&mut change, &hub, id, &[&old], &what).await?;
    change.commit(&caller.did("account.edit", "user", id).details("e-mail")).await?;
    hub.jobs.wake();
    hub.store.forget_authorities();
    answer_with_tokens(&hub, id, epoch, "The e-mail address is changed").await
}

/// `POST /account/second-factor`: begins a new one; the present one holds until the new one is confirmed.
async fn begin(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(proof): Body<Proof, SIGN_IN_LIMIT>,
) -> Result<Json<SignInReply>, HubError> {
    let id = proof.check(&hub, &caller).await?;
    Ok(Json(second_factor::begin(&hub, &caller, id).await?))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct FirstCode {
    #[garde(length(chars, max = 20))]
    mfa_code: String,
}

/// `POST /account/second-factor/confirm`
async fn confirm(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(first): Body<FirstCode, SIGN_IN_LIMIT>,
) -> Result<Json<RecoveryCodes>, HubError> {
    let id = caller.require_user()?;
    // A code can be guessed as a password can.
    count_attempt(&hub, id).await.map_err(|_| {
        HubError::field("mfa_code", "There were too many wrong codes. Wait a quarter of an hour, then try again.")
    })?;
    let confirmed = second_factor::confirm(&hub, &caller, id, &first.mfa_code).await;
    let (recovery_codes, epoch) = confirmed.map_err(|error| match error {
        HubError::Unauthenticated(_) => HubError::field("mfa_code", "This code is not right. Wait for the next one."),
        error => error,
    })?;
    hub.store.forget_authorities();
    forget_own_failures(&hub, id).await?;
    let tokens = token::issue(&hub, token::Holder::User(id), None, epoch).await?;
    Ok(Json(RecoveryCodes { recovery_codes, tokens: Some(tokens) }))
}

/// `POST /account/second-factor/remove`
async fn remove(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(proof): Body<Proof, SIGN_IN_LIMIT>,
) -> Result<Json<Value>, HubError> {
    if hub.two_factor {
        return Err(HubError::bad("Everybody needs a second factor here. Set up another one to replace yours."));
    }
    let id = proof.check(&hub, &caller).await?;
    let mut change = hub.change(&caller).await?;
    second_factor::forget(&mut change, id).await?;
    let epoch = end_all_tokens(&mut change, id).await?;
    change.commit(&caller.did("second_factor.remove", "user", id)).await?;
    hub.store.forget_authorities();
    answer_with_tokens(&hub, id, epoch, "The second factor is removed").await
}

/// `POST /account/recovery-codes`
async fn new_recovery_codes(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(proof): Body<Proof, SIGN_IN_LIMIT>,
) -> Result<Json<RecoveryCodes>, HubError> {
    let id = caller.require_user()?;
    if !second_factor::is_active(&hub, id).await? {
        return Err(HubError::bad("Recovery codes belong to a second factor, and you have none."));
    }
    proof.check(&hub, &caller).await?;
    let mut change = hub.change(&caller).await?;
    let recovery_codes = second_factor::new_recovery_codes(&hub, &mut change, id).await?;
    change.commit(&caller.did("recovery_code.create", "user", id)).await?;
    Ok(Json(RecoveryCodes { recovery_codes, tokens: None }))
}
