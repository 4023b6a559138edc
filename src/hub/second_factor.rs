//! The second factor: codes of an authenticator app (TOTP, RFC 6238). Obligatory for all users, as vantage6 can have
//! it, or for those who set one up for themselves, which vantage6 has not; nor has it recovery codes.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use sqlx::{FromRow, SqliteConnection};
use totp_rs::{Builder, Secret, Totp};

use super::{HubError, audit, permission::Caller, server::HubState, store::end_all_tokens};
use crate::protocol::{timestamp, wire::v4::SignInReply};

/// Who issues the codes, as authenticator apps show it.
const ISSUER: &str = "Atoll";
/// What secrets of second factors are sealed for.
pub const PURPOSE: &str = "second factor";
const WRONG_CODE: HubError = HubError::Unauthenticated("Your two-factor authentication code is incorrect!");
/// How many recovery codes there are at a time.
const RECOVERY_CODES: usize = 10;
/// Characters of recovery codes: 32, without those that are taken for another.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Characters of a recovery code: 60 bits, guessed by nobody who has five attempts.
const RECOVERY_LENGTH: usize = 12;
/// How long one that was begun can be confirmed.
const TIME_TO_CONFIRM: SignedDuration = SignedDuration::from_mins(30);

#[derive(FromRow)]
struct Row {
    username: String,
    otp_secret: Option<String>,
    otp_confirmed: bool,
    /// It was replaced by mail, and nobody has given a code of it yet.
    otp_replaced: bool,
    otp_next_secret: Option<String>,
    otp_next_until: Option<String>,
}

impl Row {
    fn is_in_use(&self) -> bool {
        self.otp_secret.is_some() && (self.otp_confirmed || self.otp_replaced)
    }
}

/// The secret of a second factor as it is stored.
fn sealed(hub: &HubState, secret: &str) -> Result<String, HubError> {
    hub.secret_key.seal(PURPOSE, secret.as_bytes())
}

fn opened(hub: &HubState, stored: &str) -> Result<String, HubError> {
    hub.secret_key.open_text(PURPOSE, stored)
}

async fn load(hub: &HubState, user_id: i64) -> Result<Row, HubError> {
    let query = "SELECT username, otp_secret, otp_confirmed, otp_replaced, otp_next_secret, otp_next_until FROM user
        WHERE id = ?";
    Ok(sqlx::query_as(query).bind(user_id).fetch_one(hub.store.reader()).await?)
}

/// What stands between a right password and a session: `None` when nothing does (any more).
pub async fn ask(hub: &HubState, user_id: i64, code: Option<&str>) -> Result<Option<SignInReply>, HubError> {
    let row = load(hub, user_id).await?;
    let secret = match &row.otp_secret {
        // One that was begun at a time when it was obligatory; not one that stands in the place of another.
        Some(_) if !hub.two_factor && !row.otp_confirmed && !row.otp_replaced => return Ok(None),
        Some(secret) => &opened(hub, secret)?,
        None if !hub.two_factor => return Ok(None),
        None => return set_up_first(hub, user_id).await.map(Some),
    };
    let totp = totp(&row.username, secret)?;
    match code.map(str::trim).filter(|code| !code.is_empty()) {
        Some(code) => {
            check(hub, user_id, &totp, code).await?;
            Ok(None)
        }
        // Nobody has given a code yet: the same QR code is shown again to a user who closed the page too early. One that was
        // replaced by mail is shown only once, to the reader of the mail: the password alone does not suffice.
        None if !row.otp_confirmed && !row.otp_replaced => Ok(Some(set_up_reply(&totp, secret)?)),
        None => {
            Ok(Some(SignInReply::SecondFactor { msg: "Please include your two-factor authentication code".to_owned() }))
        }
    }
}

/// Whether a user has a second factor that is in use.
pub async fn is_active(hub: &HubState, user_id: i64) -> Result<bool, HubError> {
    let row = load(hub, user_id).await?;
    Ok(row.is_in_use())
}

/// An error unless this is a code of the user's second factor, or they have none.
pub async fn prove(hub: &HubState, user_id: i64, code: Option<&str>) -> Result<(), HubError> {
    let row = load(hub, user_id).await?;
    match &row.otp_secret {
        Some(secret) if row.is_in_use() => {
            check(hub, user_id, &totp(&row.username, &opened(hub, secret)?)?, code.unwrap_or_default().trim()).await
        }
        _ => Ok(()),
    }
}

/// Gives a user a new secret; the recovery codes of the old one are gone.
pub async fn set_up(hub: &HubState, connection: &mut SqliteConnection, user_id: i64) -> Result<SignInReply, HubError> {
    let secret = Secret::generate().to_base32();
    forget(connection, user_id).await?;
    let username: String = sqlx::query_scalar("UPDATE user SET otp_secret = ? WHERE id = ? RETURNING username")
        .bind(sealed(hub, &secret)?)
        .bind(user_id)
        .fetch_one(connection)
        .await?;
    set_up_reply(&totp(&username, &secret)?, &secret)
}

/// Gives a user a new secret in the place of one that is lost: it is asked for from now on.
pub async fn replace(hub: &HubState, connection: &mut SqliteConnection, user_id: i64) -> Result<SignInReply, HubError> {
    let reply = set_up(hub, &mut *connection, user_id).await?;
    sqlx::query("UPDATE user SET otp_replaced = 1 WHERE id = ?").bind(user_id).execute(connection).await?;
    Ok(reply)
}

/// Gives somebody who has none their first one, at a sign-in for which it is obligatory.
async fn set_up_first(hub: &HubState, user_id: i64) -> Result<SignInReply, HubError> {
    let mut change = hub.store.change().await?;
    let reply = set_up(hub, &mut change, user_id).await?;
    change.commit(&audit::by_user(hub, user_id, "second_factor.begin").await?).await?;
    Ok(reply)
}

/// Takes the second factor away, with its recovery codes and one that was begun.
pub async fn forget(connection: &mut SqliteConnection, user_id: i64) -> Result<(), HubError> {
    sqlx::query(
        "UPDATE user SET otp_secret = NULL, otp_next_secret = NULL, otp_confirmed = 0, otp_replaced = 0, otp_last_step = 0
         WHERE id = ?",
    )
    .bind(user_id)
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM recovery_code WHERE user_id = ?").bind(user_id).execute(connection).await?;
    Ok(())
}

/// Begins another second factor: the one that there is holds until [`confirm`].
pub async fn begin(hub: &HubState, caller: &Caller, user_id: i64) -> Result<SignInReply, HubError> {
    let mut change = hub.change(caller).await?;
    let secret = Secret::generate().to_base32();
    let query = "UPDATE user SET otp_next_secret = ?, otp_next_until = ? WHERE id = ? RETURNING username";
    let username: String = sqlx::query_scalar(query)
        .bind(sealed(hub, &secret)?)
        .bind(timestamp::format(Timestamp::now() + TIME_TO_CONFIRM))
        .bind(user_id)
        .fetch_one(&mut *change)
        .await?;
    change.commit(&caller.did("second_factor.begin", "user", user_id)).await?;
    set_up_reply(&totp(&username, &secret)?, &secret)
}

/// The one that was begun becomes the second factor by its first code, and all tokens end; its recovery codes.
/// Authorities have to be forgotten afterwards.
pub async fn confirm(
    hub: &HubState,
    caller: &Caller,
    user_id: i64,
    code: &str,
) -> Result<(Vec<String>, i64), HubError> {
    let row = load(hub, user_id).await?;
    let begun = row.otp_next_secret.filter(|_| row.otp_next_until.is_some_and(|until| until > timestamp::now()));
    let begun = begun.ok_or_else(|| HubError::bad("No new second factor was begun within the last half hour."))?;
    let step = step_of(&totp(&row.username, &opened(hub, &begun)?)?, code.trim())?;
    let mut change = hub.change(caller).await?;
    let done = sqlx::query(
        "UPDATE user SET otp_secret = ?1, otp_next_secret = NULL, otp_confirmed = 1, otp_replaced = 0, otp_last_step = ?2
         WHERE id = ?3 AND otp_next_secret = ?1",
    )
    .bind(&begun)
    .bind(step)
    .bind(user_id)
    .execute(&mut *change)
    .await?;
    if done.rows_affected() == 0 {
        return Err(HubError::Conflict("Another second factor was begun meanwhile.".to_owned()));
    }
    let codes = new_recovery_codes(hub, &mut change, user_id).await?;
    let epoch = end_all_tokens(&mut change, user_id).await?;
    change.commit(&caller.did("second_factor.set", "user", user_id)).await?;
    Ok((codes, epoch))
}

/// New recovery codes, with which the old ones are gone.
pub async fn new_recovery_codes(
    hub: &HubState,
    connection: &mut SqliteConnection,
    user_id: i64,
) -> Result<Vec<String>, HubError> {
    sqlx::query("DELETE FROM recovery_code WHERE user_id = ?").bind(user_id).execute(&mut *connection).await?;
    let mut codes = Vec::with_capacity(RECOVERY_CODES);
    for _ in 0..RECOVERY_CODES {
        let random: [u8; RECOVERY_LENGTH] = rand::random();
        let letters = random.map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
        let code = letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-");
        sqlx::query("INSERT INTO recovery_code (user_id, code_hash) VALUES (?, ?)")
            .bind(user_id)
            .bind(hash(hub, user_id, &code))
            .execute(&mut *connection)
            .await?;
        codes.push(code);
    }
    Ok(codes)
}

fn typed(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase()
}

/// How a recovery code is stored, however it was typed: nobody can try codes against it without the hub's key.
fn hash(hub: &HubState, user_id: i64, code: &str) -> Vec<u8> {
    hub.secret_key.hash(user_id, &typed(code))
}

/// How versions without a key stored it.
fn hash_without_key(code: &str) -> Vec<u8> {
    Sha256::digest(typed(code)).to_vec()
}

/// How many recovery codes a user has left.
pub async fn recovery_codes_left(hub: &HubState, user_id: i64) -> Result<i64, HubError> {
    let query = sqlx::query_scalar("SELECT COUNT(*) FROM recovery_code WHERE user_id = ?");
    Ok(query.bind(user_id).fetch_one(hub.store.reader()).await?)
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

/// The half minute of a code: the present one, the last or the next.
fn step_of(totp: &Totp, code: &str) -> Result<i64, HubError> {
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
    totp.check(code, now).map(|step| step as i64).ok_or(WRONG_CODE)
}

/// Accepts a code of the app or a recovery code, each once.
async fn check(hub: &HubState, user_id: i64, totp: &Totp, code: &str) -> Result<(), HubError> {
    if code.chars().filter(char::is_ascii_alphanumeric).count() == RECOVERY_LENGTH {
        let entry = audit::by_user(hub, user_id, "recovery_code.use").await?;
        let mut change = hub.store.change().await?;
        let used = sqlx::query("DELETE FROM recovery_code WHERE user_id = ? AND code_hash IN (?, ?)")
            .bind(user_id)
            .bind(hash(hub, user_id, code))
            .bind(hash_without_key(code))
            .execute(&mut *change)
            .await?;
        return match used.rows_affected() {
            1 => change.commit(&entry).await,
            _ => Err(WRONG_CODE),
        };
    }
    let step = step_of(totp, code)?;
    let used = sqlx::query(
        "UPDATE user SET otp_last_step = ?1, otp_confirmed = 1, otp_replaced = 0 WHERE id = ?2 AND otp_last_step < ?1",
    )
    .bind(step)
    .bind(user_id)
    .execute(hub.store.bookkeeping())
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
