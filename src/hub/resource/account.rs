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
    message,
    password::{check_credentials, count_attempt, forget_failures},
    username,
};
use crate::{
    hub::{
        HubError,
        body::Body,
        permission::{Caller, Resource},
        second_factor,
        server::HubState,
    },
    protocol::{
        account::{OwnAccount, RecoveryCodes},
        domain::Operation,
        wire::v4::SignInReply,
    },
};

pub fn routes() -> Router<Arc<HubState>> {
    Router::new()
        .route("/account", get(show).patch(edit))
        .route("/account/end-sessions", post(end_sessions))
        .route("/account/second-factor", post(begin))
        .route("/account/second-factor/confirm", post(confirm))
        .route("/account/second-factor/remove", post(remove))
        .route("/account/recovery-codes", post(new_recovery_codes))
}

/// `GET /account`
async fn show(State(hub): State<Arc<HubState>>, caller: Caller) -> Result<Json<OwnAccount>, HubError> {
    let id = caller.require_user()?;
    let (notice_of_reviews, notice_of_tasks): (bool, bool) =
        sqlx::query_as("SELECT notice_of_reviews, notice_of_tasks FROM user WHERE id = ?")
            .bind(id)
            .fetch_one(hub.store.writer())
            .await?;
    Ok(Json(OwnAccount {
        second_factor: second_factor::is_active(&hub, id).await?,
        second_factor_is_obligatory: hub.two_factor,
        recovery_codes: second_factor::recovery_codes_left(&hub, id).await?,
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
}

/// `PATCH /account`
async fn edit(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(edit): Body<EditAccount>,
) -> Result<Json<OwnAccount>, HubError> {
    let id = caller.require_user()?;
    sqlx::query(
        "UPDATE user SET notice_of_reviews = coalesce(?, notice_of_reviews),
         notice_of_tasks = coalesce(?, notice_of_tasks) WHERE id = ?",
    )
    .bind(edit.notice_of_reviews)
    .bind(edit.notice_of_tasks)
    .bind(id)
    .execute(hub.store.writer())
    .await?;
    show(State(hub), caller).await
}

/// `POST /account/end-sessions`: all tokens of the caller end, this one too.
async fn end_sessions(State(hub): State<Arc<HubState>>, caller: Caller) -> Result<Json<Value>, HubError> {
    hub.store.end_sessions(caller.require_user()?).await?;
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
        let name = username(&mut *hub.store.reader().acquire().await?, id).await?;
        check_credentials(hub, &name, self.password)
            .await
            .map_err(|_| HubError::field("password", "This is not your present password."))?;
        second_factor::prove(hub, id, self.mfa_code.as_deref())
            .await
            .map_err(|_| HubError::field("mfa_code", "This code is not right, or it was used already."))?;
        forget_failures(hub, id).await?;
        Ok(id)
    }
}

/// `POST /account/second-factor`: begins a new one; the present one holds until the new one is confirmed.
async fn begin(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(proof): Body<Proof>,
) -> Result<Json<SignInReply>, HubError> {
    let id = proof.check(&hub, &caller).await?;
    Ok(Json(second_factor::begin(&hub, id).await?))
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
    Body(first): Body<FirstCode>,
) -> Result<Json<RecoveryCodes>, HubError> {
    let id = caller.require_user()?;
    // A code can be guessed as a password can.
    count_attempt(&hub, id).await.map_err(|_| {
        HubError::field("mfa_code", "There were too many wrong codes. Wait a quarter of an hour, then try again.")
    })?;
    let recovery_codes = second_factor::confirm(&hub, id, &first.mfa_code).await.map_err(|error| match error {
        HubError::Unauthenticated(_) => HubError::field("mfa_code", "This code is not right. Wait for the next one."),
        error => error,
    })?;
    forget_failures(&hub, id).await?;
    Ok(Json(RecoveryCodes { recovery_codes }))
}

/// `POST /account/second-factor/remove`
async fn remove(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(proof): Body<Proof>,
) -> Result<Json<Value>, HubError> {
    if hub.two_factor {
        return Err(HubError::bad("Everybody needs a second factor here. Set up another one to replace yours."));
    }
    let id = proof.check(&hub, &caller).await?;
    let mut transaction = hub.store.writer().begin().await?;
    second_factor::forget(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(message("The second factor is removed"))
}

/// `POST /account/recovery-codes`
async fn new_recovery_codes(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(proof): Body<Proof>,
) -> Result<Json<RecoveryCodes>, HubError> {
    let id = caller.require_user()?;
    if !second_factor::is_active(&hub, id).await? {
        return Err(HubError::bad("Recovery codes belong to a second factor, and you have none."));
    }
    proof.check(&hub, &caller).await?;
    let mut transaction = hub.store.writer().begin().await?;
    let recovery_codes = second_factor::new_recovery_codes(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(Json(RecoveryCodes { recovery_codes }))
}
