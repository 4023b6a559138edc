//! The second factor: codes of an authenticator app (TOTP, RFC 6238), obligatory for all users or for none, as in
//! vantage6.

use jiff::Timestamp;
use sqlx::FromRow;
use totp_rs::{Builder, Secret, Totp};

use super::{HubError, server::HubState};
use crate::protocol::wire::v4::SignInReply;

/// Who issues the codes, as authenticator apps show it.
const ISSUER: &str = "Atoll";
const WRONG_CODE: HubError = HubError::Unauthenticated("Your two-factor authentication code is incorrect!");

#[derive(FromRow)]
struct Row {
    username: String,
    otp_secret: Option<String>,
    otp_confirmed: bool,
}

/// What stands between a right password and a session: `None` when nothing does (any more).
pub async fn ask(hub: &HubState, user_id: i64, code: Option<&str>) -> Result<Option<SignInReply>, HubError> {
    if !hub.two_factor {
        return Ok(None);
    }
    let row: Row = sqlx::query_as("SELECT username, otp_secret, otp_confirmed FROM user WHERE id = ?")
        .bind(user_id)
        .fetch_one(hub.store.writer())
        .await?;
    let Some(secret) = &row.otp_secret else { return set_up(hub, user_id).await.map(Some) };
    let totp = totp(&row.username, secret)?;
    match code.map(str::trim).filter(|code| !code.is_empty()) {
        Some(code) => {
            check(hub, user_id, &totp, code).await?;
            Ok(None)
        }
        // Nobody has given a code yet: whoever closed the page too early sees the same QR code again.
        None if !row.otp_confirmed => Ok(Some(set_up_reply(&totp, secret)?)),
        None => {
            Ok(Some(SignInReply::SecondFactor { msg: "Please include your two-factor authentication code".to_owned() }))
        }
    }
}

/// Gives a user a new secret.
pub async fn set_up(hub: &HubState, user_id: i64) -> Result<SignInReply, HubError> {
    let secret = Secret::generate().to_base32();
    let username: String = sqlx::query_scalar(
        "UPDATE user SET otp_secret = ?, otp_confirmed = 0, otp_last_step = 0 WHERE id = ? RETURNING username",
    )
    .bind(&secret)
    .bind(user_id)
    .fetch_one(hub.store.writer())
    .await?;
    set_up_reply(&totp(&username, &secret)?, &secret)
}

fn set_up_reply(totp: &Totp, secret: &str) -> Result<SignInReply, HubError> {
    Ok(SignInReply::SetUpSecondFactor {
        qr_uri: totp.to_url().map_err(internal)?,
        otp_secret: secret.to_owned(),
        msg: "Two-factor authentication is obligatory on this server. Please visualize the QR code to set up \
              authentication."
            .to_owned(),
    })
}

/// Accepts a code of the present, the last or the next half minute, each once.
async fn check(hub: &HubState, user_id: i64, totp: &Totp, code: &str) -> Result<(), HubError> {
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
    let step = totp.check(code, now).ok_or(WRONG_CODE)?;
    let used =
        sqlx::query("UPDATE user SET otp_last_step = ?1, otp_confirmed = 1 WHERE id = ?2 AND otp_last_step < ?1")
            .bind(step as i64)
            .bind(user_id)
            .execute(hub.store.writer())
            .await?;
    if used.rows_affected() == 1 { Ok(()) } else { Err(WRONG_CODE) }
}

fn totp(username: &str, secret: &str) -> Result<Totp, HubError> {
    // A colon separates issuer and account in the address.
    let account = username.replace(':', " ");
    let secret = Secret::try_from_base32(secret).map_err(internal)?;
    Builder::new().with_secret(secret).with_account_name(account).with_issuer(Some(ISSUER)).build().map_err(internal)
}

fn internal(error: impl std::fmt::Display) -> HubError {
    HubError::Internal(format!("the second factor: {error}"))
}
