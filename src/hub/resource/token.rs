use std::sync::Arc;

use axum::{Json, Router, extract::State, http::HeaderMap, middleware::from_fn, routing::post};
use garde::Validate;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    OF_NAME,
    password::{Attempt, check_credentials, forget_failures, uncount_failure},
    place::CameFrom,
};
use crate::{
    hub::{
        HubError, audit, authentication,
        body::{Body, SIGN_IN_LIMIT},
        permission::Caller,
        program::{self, Program},
        second_factor,
        server::{API_PATH, HubState},
        store::container_epoch,
        token::{Claims, ClientType, ContainerSubject, Owner, Purpose, REFRESH_SECONDS, Subject},
    },
    protocol::{
        timestamp,
        wire::v4::{ContainerToken, STATION, SignInReply, Tokens},
    },
    serve::{Limited, limit_nodes},
};

pub fn routes() -> Router<Arc<HubState>> {
    Router::new()
        .route("/token/user", post(sign_in_user))
        .route("/token/user/validate", post(validate_user))
        .route("/token/node", post(sign_in_node).route_layer(from_fn(limit_nodes)))
        .route("/token/refresh", post(refresh).route_layer(from_fn(limit_nodes)))
        .route("/token/container", post(container))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct UserCredentials {
    #[garde(length(chars, min = 1, max = 128))]
    username: String,
    #[garde(custom(check_length))]
    password: SecretString,
    #[garde(skip)]
    #[serde(default)]
    mfa_code: Option<Code>,
}

/// A password that is longer than any that can be set is not hashed.
pub(super) fn check_length(password: &SecretString, _: &()) -> garde::Result {
    match password.expose_secret().len() {
        0..=1024 => Ok(()),
        _ => Err(garde::Error::new("Longer than any password.")),
    }
}

/// A code is a short text, but clients may send it as a number.
struct Code(String);

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;
        impl serde::de::Visitor<'_> for TextOrNumber {
            type Value = Code;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a text of at most 20 characters")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Code, E> {
                match text.chars().count() {
                    0..=20 => Ok(Code(text.to_owned())),
                    _ => Err(E::custom("Longer than maximum length 20.")),
                }
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Code, E> {
                Ok(Code(format!("{number:06}")))
            }
        }
        deserializer.deserialize_any(TextOrNumber)
    }
}

async fn sign_in_user(
    State(hub): State<Arc<HubState>>,
    came_from: CameFrom,
    Limited(limited): Limited,
    Body(credentials): Body<UserCredentials, SIGN_IN_LIMIT>,
) -> Result<Json<SignInReply>, HubError> {
    let username = credentials.username.clone();
    let user: Option<(i64, i64)> =
        sqlx::query_as(&format!("SELECT id, token_epoch FROM user WHERE {OF_NAME} AND disabled = 0"))
            .bind(&username)
            .fetch_optional(hub.store.reader())
            .await?;
    // Its wrong passwords are counted by themselves: those of strangers at the same address do not keep it out.
    let known = user.filter(|(id, epoch)| came_from.is_known(&hub, *id, *epoch)).map(|(id, _)| id);
    if known.is_some_and(|id| hub.known_browsers.check_key(&id).is_err()) {
        if let Some((limits, client)) = limited {
            limits.users.note_limited(client);
        }
        return Err(HubError::TooMany);
    }
    let limited = limited.filter(|_| known.is_none());
    if limited.as_ref().is_some_and(|(limits, client)| !limits.users.allows(*client)) {
        return Err(HubError::TooMany);
    }
    let outcome = sign_in(&hub, &came_from, credentials).await;
    let word = match &outcome {
        Ok(SignInReply::Tokens(_)) => "done",
        // The second factor is still to come. A thief could test a stolen password in this way, so it is noted.
        Ok(_) => {
            audit::note_sign_in(&hub, &username, "sign_in.code", "done").await?;
            return outcome.map(Json);
        }
        Err(HubError::Unauthenticated(_)) => "refused",
        Err(_) => "failed",
    };
    audit::note_sign_in(&hub, &username, "sign_in", word).await?;
    if word == "refused" && limited.is_some_and(|(limits, client)| limits.users.failed(client)) {
        return Err(HubError::TooMany);
    }
    outcome.map(Json)
}

async fn sign_in(hub: &HubState, came_from: &CameFrom, credentials: UserCredentials) -> Result<SignInReply, HubError> {
    let Attempt { id, place, epoch } =
        check_credentials(hub, came_from, &credentials.username, credentials.password).await?;
    let code = credentials.mfa_code.as_ref().map(|Code(code)| code.as_str());
    if let Some(more) = second_factor::ask(hub, id, code).await? {
        uncount_failure(hub, id, &place).await?;
        return Ok(more);
    }
    forget_failures(hub, id, &place).await?;
    sqlx::query("UPDATE user SET last_seen = ?, password_by_mail = 0 WHERE id = ?")
        .bind(timestamp::now())
        .bind(id)
        .execute(hub.store.bookkeeping())
        .await?;
    let mut tokens = issue(hub, Holder::User(id), None, epoch).await?;
    tokens.known_browser = came_from.known_browser(hub, id, epoch)?;
    Ok(SignInReply::Tokens(tokens))
}

/// Whom tokens are for.
#[derive(Clone, Copy)]
pub enum Holder {
    User(i64),
    /// With the station that it is, if it is one of ours.
    Node(i64, Option<Uuid>),
}

/// A pair of tokens for a user or a node, if its epoch is still the one that is expected.
pub async fn issue(
    hub: &HubState,
    holder: Holder,
    replaced: Option<&Claims>,
    expected: i64,
) -> Result<Tokens, HubError> {
    let mut transaction = hub.store.bookkeeping().begin().await?;
    let epoch = |table| format!("SELECT token_epoch FROM {table} WHERE id = ?");
    let owner = match holder {
        Holder::User(id) => {
            let roles = "SELECT name FROM role JOIN user_role ON role_id = role.id WHERE user_id = ? ORDER BY 1";
            let roles = sqlx::query_scalar(roles).bind(id).fetch_all(&mut *transaction).await?;
            let epoch = sqlx::query_scalar(&epoch("user")).bind(id).fetch_one(&mut *transaction).await?;
            Owner { id, client_type: ClientType::User, roles, epoch, station: None }
        }
        Holder::Node(id, station) => {
            let epoch = sqlx::query_scalar(&epoch("node")).bind(id).fetch_one(&mut *transaction).await?;
            Owner { id, client_type: ClientType::Node, roles: vec!["node".to_owned()], epoch, station }
        }
    };
    // What ended all tokens meanwhile ends these, too.
    let epoch = owner.epoch;
    if expected != epoch {
        return Err(HubError::Unauthenticated("Token has expired"));
    }
    let issued = hub.tokens.issue(owner, replaced)?;
    sqlx::query("DELETE FROM refresh_token WHERE ends_at < unixepoch() - 60").execute(&mut *transaction).await?;
    sqlx::query("INSERT INTO refresh_token (id, family, ends_at) VALUES (?, ?, ?)")
        .bind(issued.refresh_id.to_string())
        .bind(issued.family.to_string())
        .bind(issued.ends_at)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    if let (Holder::Node(id, station), None) = (holder, replaced) {
        program::sign_in(hub, id, Program { epoch, family: issued.family, station }).await?;
    }
    let url = |resource: &str, id| Some(format!("{API_PATH}/{resource}/{id}"));
    let (user_url, node_url) = match holder {
        Holder::User(id) => (url("user", id), None),
        Holder::Node(id, _) => (None, url("node", id)),
    };
    Ok(Tokens {
        access_token: issued.access,
        refresh_token: issued.refresh,
        refresh_url: format!("{API_PATH}/token/refresh"),
        user_url,
        node_url,
        known_browser: None,
    })
}

/// Uses a refresh token, which is good once. One that comes a second time was stolen, or is in the hands of a thief
/// since it was used first: its family ends, and who had it signs in again.
async fn use_refresh_token(hub: &HubState, claims: &Claims) -> Result<(), HubError> {
    const OVER: HubError = HubError::Unauthenticated("Token has expired");
    let Some(family) = claims.family else { return Err(OVER) };
    let id = claims.jti.to_string();
    let mut transaction = hub.store.bookkeeping().begin().await?;
    let used = sqlx::query("UPDATE refresh_token SET used = 1 WHERE id = ? AND used = 0")
        .bind(&id)
        .execute(&mut *transaction)
        .await?;
    if used.rows_affected() == 1 {
        return Ok(transaction.commit().await?);
    }
    sqlx::query("INSERT OR IGNORE INTO ended_family (family, until) VALUES (?, ?)")
        .bind(family.to_string())
        .bind(claims.exp.unwrap_or_default() + REFRESH_SECONDS)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("DELETE FROM ended_family WHERE until < unixepoch()").execute(&mut *transaction).await?;
    let table = if claims.client_type == ClientType::Node { "node" } else { "user" };
    let organization: Option<i64> = match &claims.sub {
        Subject::Id(id) => {
            sqlx::query_scalar(&format!("SELECT organization_id FROM {table} WHERE id = ?"))
                .bind(id)
                .fetch_optional(&mut *transaction)
                .await?
        }
        Subject::Container(_) => None,
    };
    let entry = audit::reused_token(claims).of(organization);
    crate::audit::append(&mut transaction, &entry).await?;
    transaction.commit().await?;
    hub.tokens.end_family(family);
    // Connections of it end, too.
    hub.store.forget_authorities();
    Err(OVER)
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct NodeCredentials {
    #[garde(custom(check_api_key))]
    api_key: String,
}

fn check_api_key(key: &str, _: &()) -> garde::Result {
    Uuid::parse_str(key).map(drop).map_err(|_| garde::Error::new("API key is not a valid UUID"))
}

/// How an API key is stored.
pub fn hash_api_key(key: &str) -> Vec<u8> {
    Sha256::digest(key.trim().to_ascii_lowercase().as_bytes()).to_vec()
}

async fn sign_in_node(
    State(hub): State<Arc<HubState>>,
    headers: HeaderMap,
    Body(credentials): Body<NodeCredentials, SIGN_IN_LIMIT>,
) -> Result<Json<Tokens>, HubError> {
    let known: Option<(i64, i64)> = sqlx::query_as("SELECT id, token_epoch FROM node WHERE api_key_hash = ?")
        .bind(hash_api_key(&credentials.api_key))
        .fetch_optional(hub.store.reader())
        .await?;
    let Some((id, epoch)) = known else {
        // Anybody can come with keys: some a minute are noted, and not all.
        if hub.unknown_keys.check().is_ok() {
            audit::note_node_sign_in(&hub, None).await?;
        }
        return Err(HubError::Unauthenticated("Api key is not recognized!"));
    };
    let station = headers.get(STATION).and_then(|value| value.to_str().ok()?.parse().ok());
    if !hub.programs.may_sign_in(id, epoch, station) {
        return Err(program::second(&hub, id).await?);
    }
    audit::note_node_sign_in(&hub, Some(id)).await?;
    sqlx::query("UPDATE node SET last_seen = ? WHERE id = ?")
        .bind(timestamp::now())
        .bind(id)
        .execute(hub.store.bookkeeping())
        .await?;
    Ok(Json(issue(&hub, Holder::Node(id, station), None, epoch).await?))
}

async fn refresh(State(hub): State<Arc<HubState>>, headers: HeaderMap) -> Result<Json<Tokens>, HubError> {
    let claims: Claims = hub.tokens.check(authentication::bearer(&headers)?, Purpose::Refresh)?;
    // Somebody who was removed meanwhile gets no new token.
    if let Err(error) = authentication::caller_of(&hub, &claims).await {
        audit::note_ended(&hub, &claims).await?;
        return Err(error);
    }
    let Subject::Id(id) = claims.sub else { return Err(HubError::WrongClient("users and nodes")) };
    use_refresh_token(&hub, &claims).await?;
    let holder = match claims.client_type {
        ClientType::Node => Holder::Node(id, claims.station),
        _ => Holder::User(id),
    };
    Ok(Json(issue(&hub, holder, Some(&claims), claims.epoch).await?))
}

async fn validate_user(State(hub): State<Arc<HubState>>, caller: Caller) -> Result<Json<Value>, HubError> {
    let id = caller.require_user()?;
    let (username, email, organization_id): (String, String, i64) =
        sqlx::query_as("SELECT username, email, organization_id FROM user WHERE id = ?")
            .bind(id)
            .fetch_one(hub.store.reader())
            .await?;
    Ok(Json(json!({"msg": "Token is valid", "user_id": id, "username": username, "email": email,
        "organization_id": organization_id})))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct ContainerRequest {
    #[garde(range(min = 1))]
    task_id: i64,
    #[garde(length(min = 1))]
    image: String,
}

#[derive(sqlx::FromRow)]
struct ContainerTask {
    image: String,
    collaboration_id: i64,
    study_id: Option<i64>,
    store_id: Option<i64>,
    open_runs: i64,
    token_epoch: i64,
}

async fn container(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(request): Body<ContainerRequest, SIGN_IN_LIMIT>,
) -> Result<Json<ContainerToken>, HubError> {
    let node_id = caller.require_node()?;
    let organization_id = caller.authority.organization_id;
    let task: ContainerTask = sqlx::query_as(
        "SELECT image, collaboration_id, study_id, store_id, token_epoch,
                (SELECT COUNT(*) FROM run WHERE task_id = task.id AND organization_id = ? AND finished_at IS NULL
                    AND status IN ('pending', 'initializing', 'active')) AS open_runs
         FROM task WHERE id = ?",
    )
    .bind(organization_id)
    .bind(request.task_id)
    .fetch_optional(hub.store.reader())
    .await?
    .ok_or_else(|| HubError::bad("Parent task does not exist!"))?;
    if !caller.is_in_collaboration(task.collaboration_id) {
        return Err(HubError::Unauthenticated("You are not within the collaboration"));
    }
    if task.image != request.image {
        return Err(HubError::Unauthenticated("Image and task do no match"));
    }
    // Stricter than the original: the node itself must have a run of the task to do.
    if task.open_runs == 0 {
        return Err(HubError::bad("Task is already finished!"));
    }
    let labels: Vec<String> = sqlx::query_scalar("SELECT label FROM task_database WHERE task_id = ? ORDER BY position")
        .bind(request.task_id)
        .fetch_all(hub.store.reader())
        .await?;
    let subject = ContainerSubject {
        client_type: "container".to_owned(),
        node_id,
        organization_id,
        collaboration_id: task.collaboration_id,
        study_id: task.study_id,
        store_id: task.store_id,
        task_id: request.task_id,
        image: task.image,
        databases: labels.into_iter().map(|label| json!({"label": label})).collect(),
    };
    let epoch = container_epoch(caller.authority.token_epoch, task.token_epoch);
    let container_token = hub.tokens.sign_for_container(subject, epoch)?;
    Ok(Json(ContainerToken { container_token }))
}
