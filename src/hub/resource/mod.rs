//! The REST endpoints, one file a resource.

mod account;
mod algorithm_store;
mod assignment;
mod audit;
mod collaboration;
mod column;
mod common_passwords;
mod id;
mod kill;
mod members;
mod node;
mod node_of_collaboration;
mod organization;
mod password;
mod place;
mod recover;
mod result;
mod review;
mod role;
mod rule;
mod run;
mod status;
mod study;
mod task;
mod token;
mod user;

use std::sync::Arc;

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;
use sqlx::SqliteConnection;

pub use assignment::DECIDERS;
pub use id::{Id, TwoIds};
pub(super) use password::check_new_password;
pub(super) use token::hash_api_key;

use super::{
    HubError,
    permission::{Caller, Reach, Resource},
    server::HubState,
};
use crate::protocol::{
    domain::Operation,
    name::{misleading, plain_name},
};

/// The most ids in a list of roles, rules or organizations.
pub const LIST_LIMIT: usize = 1_000;

/// Everything below `/api`.
pub fn routes() -> Router<Arc<HubState>> {
    Router::new()
        .merge(status::routes())
        .merge(token::routes())
        .merge(password::routes())
        .merge(account::routes())
        .merge(recover::routes())
        .merge(user::routes())
        .merge(role::routes())
        .merge(rule::routes())
        .merge(organization::routes())
        .merge(collaboration::routes())
        .merge(column::routes())
        .merge(study::routes())
        .merge(node::routes())
        .merge(task::routes())
        .merge(run::routes())
        .merge(result::routes())
        .merge(review::routes())
        .merge(audit::routes())
        .merge(kill::routes())
        .merge(algorithm_store::link_routes())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
}

/// Everything below `/store/api`.
pub fn store_routes() -> Router<Arc<HubState>> {
    algorithm_store::store_routes().fallback(unknown_path).method_not_allowed_fallback(wrong_method)
}

async fn unknown_path() -> HubError {
    HubError::NotFound("There is no such endpoint".to_owned())
}

async fn wrong_method() -> Response {
    let body = json!({"msg": "The method is not allowed for the requested URL."});
    (StatusCode::METHOD_NOT_ALLOWED, Json(body)).into_response()
}

/// An answer that is only a message.
fn message(text: impl Into<String>) -> Json<serde_json::Value> {
    Json(json!({"msg": text.into()}))
}

/// Names: not blank, no longer than 128 characters, and not like an id, so that one is never taken for the other
/// (CVE-2023-28635).
fn check_name(name: &str, _: &()) -> garde::Result {
    match name {
        name if name.trim().is_empty() => Err(garde::Error::new("Name cannot be empty")),
        name if name.trim().chars().all(char::is_numeric) => Err(garde::Error::new("Name cannot be a number")),
        name if name.chars().count() > 128 => Err(garde::Error::new("Name cannot be longer than 128 characters")),
        _ => Ok(()),
    }
}

/// As [`check_name`], for names by which somebody is trusted.
fn check_trusted_name(name: &str, context: &()) -> garde::Result {
    check_name(name, context)?;
    match misleading(name) {
        Some(why) => Err(garde::Error::new(format!("Name cannot be taken: {why}"))),
        None => Ok(()),
    }
}

/// As [`check_trusted_name`], where the name may be left out.
fn check_optional_trusted_name(name: &Option<String>, context: &()) -> garde::Result {
    name.as_deref().map_or(Ok(()), |name| check_trusted_name(name, context))
}

/// As [`check_name`], where the name may be left out.
fn check_optional_name(name: &Option<String>, context: &()) -> garde::Result {
    name.as_deref().map_or(Ok(()), |name| check_name(name, context))
}

/// Texts that may be left out: at most 1024 characters.
fn check_optional_text(text: &Option<String>, _: &()) -> garde::Result {
    match text {
        Some(text) if text.chars().count() > 1024 => Err(garde::Error::new("Longer than 1024 characters")),
        _ => Ok(()),
    }
}

/// The name of a user.
async fn username(connection: &mut sqlx::SqliteConnection, id: i64) -> Result<String, HubError> {
    let name: Option<String> =
        sqlx::query_scalar("SELECT username FROM user WHERE id = ?").bind(id).fetch_optional(connection).await?;
    name.ok_or_else(|| HubError::not_found("user", id))
}

/// An error for a name that another user or organization (`kind`) than this one had before: policies of nodes go by names,
/// and nobody comes into those of another. Root may give it again.
async fn require_new_name(
    connection: &mut SqliteConnection,
    caller: &Caller,
    kind: &str,
    id: i64,
    name: &str,
    field: &str,
) -> Result<(), HubError> {
    if caller.reach(Resource::User, Operation::Create) == Some(Reach::Everything) {
        return Ok(());
    }
    let former: Vec<String> = sqlx::query_scalar("SELECT name FROM former_name WHERE kind = ? AND id <> ?")
        .bind(kind)
        .bind(id)
        .fetch_all(connection)
        .await?;
    let name = plain_name(name);
    match former.iter().any(|former| plain_name(former) == name) {
        false => Ok(()),
        true => {
            Err(HubError::field(field, "Somebody else had this name before. Take another one, or ask root for it."))
        }
    }
}

/// The user of the name `?1`, as a condition. People write their names with other capitals: that counts unless two users differ by
/// these only.
pub const OF_NAME: &str = "id = coalesce((SELECT id FROM user WHERE username = ?1),
     (SELECT min(id) FROM user WHERE lower(username) = lower(?1) HAVING COUNT(*) = 1))";

/// Whether a statement failed because a value that has to be unique is taken.
fn is_taken(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.is_unique_violation())
}
