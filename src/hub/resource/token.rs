use std::sync::Arc;

use axum::{Json, Router, extract::State, http::HeaderMap, routing::post};
use garde::Validate;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::password::{check_credentials, forget_failures, uncount_failure};
use crate::{
    hub::{
        HubError, audit, authentication,
        body::Body,
        permission::Caller,
        second_factor,
        server::{API_PATH, HubState},
        token::{Claims, ClientType, ContainerSubject, Purpose, Subject},
    },
    protocol::{
        timestamp,
        wire::v4::{ContainerToken, SignInReply, Tokens},
    },
};

pub fn routes() -> Router<Arc<HubState>> {
    Router::new()
        .route("/token/user", post(sign_in_user))
        .route("/token/user/validate", post(validate_user))
        .route("/token/node", post(sign_in_node))
        .route("/token/refresh", post(refresh))
        .route("/token/container", post(container))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct UserCredentials {
    #[garde(length(chars, min = 1, max = 128))]
    username: String,
    #[garde(skip)]
    password: SecretString,
    #[garde(inner(length(chars, max = 20)))]
    #[serde(default, deserialize_with = "text_or_number")]
    mfa_code: Option<String>,
}

/// A code is a text, but clients may send it as a number.
fn text_or_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Value>::deserialize(deserializer)? {
        Some(Value::String(text)) => Some(text),
        Some(Value::Number(number)) => Some(format!("{:06}", number.as_u64().unwrap_or_default())),
        None | Some(Value::Null) => None,
        Some(_) => return Err(serde::de::Error::custom("Not a valid string.")),
    })
}

async fn sign_in_user(
    State(hub): State<Arc<HubState>>,
    Body(credentials): Body<UserCredentials>,
) -> Result<Json<SignInReply>, HubError> {
    let username = credentials.username.clone();
    let outcome = sign_in(&hub, credentials).await;
    let word = match &outcome {
        Ok(SignInReply::Tokens(_)) => "done",
        // The second factor is still to come: neither is true yet.
        Ok(_) => return outcome.map(Json),
        Err(HubError::Unauthenticated(_)) => "refused",
        Err(_) => "failed",
    };
    audit::note_sign_in(&hub, &username, word).await?;
    outcome.map(Json)
}

async fn sign_in(hub: &HubState, credentials: UserCredentials) -> Result<SignInReply, HubError> {
    let id = check_credentials(hub, &credentials.username, credentials.password).await?;
    if let Some(more) = second_factor::ask(hub, id, credentials.mfa_code.as_deref()).await? {
        uncount_failure(hub, id).await?;
        return Ok(more);
    }
    forget_failures(hub, id).await?;
    sqlx::query("UPDATE user SET last_seen = ?, password_by_mail = 0 WHERE id = ?")
        .bind(timestamp::now())
        .bind(id)
        .execute(hub.store.writer())
        .await?;
    Ok(SignInReply::Tokens(issue(hub, ClientType::User, id).await?))
}

/// A pair of tokens for a user or a node.
async fn issue(hub: &HubState, client_type: ClientType, id: i64) -> Result<Tokens, HubError> {
    let roles: Vec<String> = match client_type {
        ClientType::User => {
            sqlx::query_scalar("SELECT name FROM role JOIN user_role ON role_id = role.id WHERE user_id = ? ORDER BY 1")
                .bind(id)
                .fetch_all(hub.store.reader())
                .await?
        }
        _ => vec!["node".to_owned()],
    };
    let access = hub.tokens.sign(Subject::Id(id), client_type, Purpose::Access, roles.clone())?;
    let refresh = hub.tokens.sign(Subject::Id(id), client_type, Purpose::Refresh, roles)?;
    let url = |resource: &str| Some(format!("{API_PATH}/{resource}/{id}"));
    Ok(Tokens {
        access_token: access,
        refresh_token: refresh,
        refresh_url: format!("{API_PATH}/token/refresh"),
        user_url: if client_type == ClientType::User { url("user") } else { None },
        node_url: if client_type == ClientType::Node { url("node") } else { None },
    })
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
    Body(credentials): Body<NodeCredentials>,
) -> Result<Json<Tokens>, HubError> {
    let id: Option<i64> = sqlx::query_scalar("UPDATE node SET last_seen = ? WHERE api_key_hash = ? RETURNING id")
        .bind(timestamp::now())
        .bind(hash_api_key(&credentials.api_key))
        .fetch_optional(hub.store.writer())
        .await?;
    audit::note_node_sign_in(&hub, id).await?;
    let id = id.ok_or(HubError::Unauthenticated("Api key is not recognized!"))?;
    Ok(Json(issue(&hub, ClientType::Node, id).await?))
}

async fn refresh(State(hub): State<Arc<HubState>>, headers: HeaderMap) -> Result<Json<Tokens>, HubError> {
    let claims: Claims = hub.tokens.check(authentication::bearer(&headers)?, Purpose::Refresh)?;
    // Somebody who was removed meanwhile gets no new token.
    authentication::caller_of(&hub, &claims).await?;
    match claims.sub {
        Subject::Id(id) => Ok(Json(issue(&hub, claims.client_type, id).await?)),
        Subject::Container(_) => Err(HubError::WrongClient("users and nodes")),
    }
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
}

async fn container(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(request): Body<ContainerRequest>,
) -> Result<Json<ContainerToken>, HubError> {
    let node_id = caller.require_node()?;
    let organization_id = caller.authority.organization_id;
    let task: ContainerTask = sqlx::query_as(
        "SELECT image, collaboration_id, study_id, store_id,
                (SELECT COUNT(*) FROM run WHERE task_id = task.id AND organization_id = ? AND finished_at IS NULL)
                AS open_runs
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
    let container_token = hub.tokens.sign(
        Subject::Container(Box::new(subject)),
        ClientType::Container,
        Purpose::Access,
        vec!["container".to_owned()],
    )?;
    Ok(Json(ContainerToken { container_token }))
}
