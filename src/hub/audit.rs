//! What the hub writes into its audit log. Whatever changes something at its API is noted in one place, here, after it
//! was answered, with what came of it; reviews write their entries in the transactions of the decisions themselves.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode, header::CONTENT_TYPE},
    middleware::Next,
    response::Response,
};
use serde_json::Value;

use super::{
    HubError, authentication,
    permission::{Caller, CallerKind},
    server::HubState,
    token::{Claims, ClientType, Purpose, Subject as TokenSubject},
};
use crate::audit::{self, Broken, Entry, Head};

/// The largest answer in which is looked for what was created, in bytes.
const ANSWER_LIMIT: usize = 256 * 1024;
/// How long it is believed that the chain holds, …
const VERIFIED_LIFETIME: Duration = Duration::from_secs(10);
/// … and that what was read of it is not changed behind.
const WHOLE_LIFETIME: Duration = Duration::from_secs(60);

/// First parts of paths with the names of what they are about, and where its organization stands.
const SUBJECTS: [(&str, &str, Option<&str>); 12] = [
    ("user", "user", Some("SELECT organization_id FROM user WHERE id = ?")),
    ("role", "role", Some("SELECT organization_id FROM role WHERE id = ?")),
    ("organization", "organization", Some("SELECT id FROM organization WHERE id = ?")),
    ("node", "node", Some("SELECT organization_id FROM node WHERE id = ?")),
    ("task", "task", Some("SELECT init_organization_id FROM task WHERE id = ?")),
    ("collaboration", "collaboration", None),
    ("study", "study", None),
    ("kill", "kill", None),
    ("password", "user", None),
    ("account", "user", None),
    ("review", "review", Some("SELECT organization_id FROM review WHERE id = ?")),
    ("column", "column", None),
];

/// What a handler adds to the entry of what it did, in its answer's extensions: which things were changed, and no
/// values of them.
#[derive(Debug, Clone)]
pub struct Details(pub String);

/// What a handler did something to, if its path does not say it, in its answer's extensions.
#[derive(Debug, Clone)]
pub struct Subject(pub String);

impl Details {
    /// Of what there is to say.
    pub fn of(parts: impl IntoIterator<Item = Option<String>>) -> Self {
        Details(parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
    }
}

/// The name of a text that is another one now.
pub fn changed(name: &str, before: &str, after: &Option<String>) -> Option<String> {
    after.as_deref().filter(|after| *after != before).map(|_| name.to_owned())
}

/// "roles +3 -2": which ids were added and taken away; nothing if none were.
pub fn difference(what: &str, before: &[i64], after: &[i64]) -> Option<String> {
    let only = |these: &[i64], others: &[i64], sign: &str| -> Vec<String> {
        let mut ids: Vec<i64> = these.iter().filter(|id| !others.contains(id)).copied().collect();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().map(|id| format!("{sign}{id}")).collect()
    };
    let changes = [only(after, before, "+"), only(before, after, "-")].concat();
    (!changes.is_empty()).then(|| format!("{what} {}", changes.join(" ")))
}

/// Notes what changes something. Requests without a valid token are not: anybody could fill the log with them.
pub async fn note(State(hub): State<Arc<HubState>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().trim_matches('/').to_owned();
    let mut parts = path.split('/');
    let first = parts.next().unwrap_or_default();
    let changes = matches!(*request.method(), Method::POST | Method::PATCH | Method::PUT | Method::DELETE);
    let subject = SUBJECTS.iter().find(|(known, ..)| *known == first);
    let (Some((_, noun, of_organization)), true) = (subject, changes) else { return next.run(request).await };
    let claims = authentication::bearer(request.headers()).and_then(|token| hub.tokens.check(token, Purpose::Access));
    let caller = match claims {
        Ok(claims) => authentication::caller_of(&hub, &claims).await.ok(),
        Err(_) => None,
    };
    let Some(caller) = caller else { return next.run(request).await };
    let rest: Vec<&str> = parts.collect();
    let id = match first {
        "account" | "password" => caller.user_id(),
        _ => rest.iter().find_map(|part| part.parse::<i64>().ok()),
    };
    let action = action(request.method(), first, &rest);
    // Before it may be gone.
    let organization_id = match (of_organization, id) {
        (Some(query), Some(id)) => {
            let found = sqlx::query_scalar(query).bind(id).fetch_optional(hub.store.reader()).await;
            found.ok().flatten().unwrap_or(Some(caller.authority.organization_id))
        }
        _ => Some(caller.authority.organization_id),
    };
    let run_of_review: Option<i64> = match (first, id) {
        ("review", Some(id)) => {
            let query = sqlx::query_scalar("SELECT run_id FROM review WHERE id = ?").bind(id);
            query.fetch_optional(hub.store.reader()).await.ok().flatten()
        }
        _ => None,
    };
    let response = next.run(request).await;
    let status = response.status();
    // Decisions that were taken note themselves, in their transactions, and nodes report what they are told to.
    if first == "review" && (status.is_success() || caller.user_id().is_none()) {
        return response;
    }
    let (response, created) = if id.is_none() { answer(response).await } else { (response, Value::Null) };
    let id = id.or_else(|| created["id"].as_i64());
    let organization_id = created["organization"]["id"].as_i64().or(organization_id);
    let subject = match (response.extensions().get(), id, run_of_review) {
        (Some(Subject(subject)), ..) => subject.clone(),
        // As all other entries about reviews.
        (_, _, Some(run)) => format!("run {run}"),
        (_, Some(id), _) => format!("{noun} {id}"),
        (_, None, _) => noun.to_string(),
    };
    let details = match response.extensions().get() {
        Some(Details(details)) => details.clone(),
        None if status.is_success() => String::new(),
        None => status.as_u16().to_string(),
    };
    let entry = Entry::done(actor(&hub, &caller).await, action, subject)
        .outcome(outcome(status))
        .details(details)
        .of(organization_id);
    if let Err(error) = record(&hub, &entry).await {
        tracing::error!(%error, action, "an audit entry was not written");
    }
    response
}

/// The names of actions, so that each is there once.
fn action(method: &Method, first: &str, rest: &[&str]) -> &'static str {
    for (part, action) in [
        ("invitation", "user.invite"),
        ("end-sessions", "user.end_sessions"),
        ("reset-second-factor", "second_factor.reset"),
        ("confirm", "second_factor.set"),
        ("remove", "second_factor.remove"),
        ("second-factor", "second_factor.begin"),
        ("recovery-codes", "recovery_code.create"),
        ("decision", "review.decide"),
    ] {
        if rest.contains(&part) {
            return action;
        }
    }
    let verb = match *method {
        Method::POST => "create",
        Method::DELETE => "delete",
        _ => "edit",
    };
    let member = rest.iter().any(|part| matches!(*part, "organization" | "node"));
    match (first, verb) {
        ("user", "create") => "user.create",
        ("user", "edit") => "user.edit",
        ("user", "delete") => "user.delete",
        ("role", "create") => "role.create",
        ("role", "edit") => "role.edit",
        ("role", "delete") => "role.delete",
        ("organization", "create") => "organization.create",
        ("organization", "edit") => "organization.edit",
        ("organization", "delete") => "organization.delete",
        ("node", "create") => "node.create",
        ("node", "edit") => "node.edit",
        ("node", "delete") => "node.delete",
        ("task", "create") => "task.create",
        ("task", "delete") => "task.delete",
        ("collaboration" | "study", "create") if member => "member.add",
        ("collaboration" | "study", "delete") if member => "member.remove",
        ("collaboration", "create") => "collaboration.create",
        ("collaboration", "edit") => "collaboration.edit",
        ("collaboration", "delete") => "collaboration.delete",
        ("study", "create") => "study.create",
        ("study", "edit") => "study.edit",
        ("study", "delete") => "study.delete",
        ("kill", _) => "task.stop",
        ("password", _) => "password.change",
        ("account", _) => "account.edit",
        ("column", _) => "column.ask",
        _ => "other",
    }
}

/// How something ended.
fn outcome(status: StatusCode) -> &'static str {
    match status {
        status if status.is_success() => "done",
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "refused",
        _ => "failed",
    }
}

/// An answer with its JSON, if it is short.
async fn answer(response: Response) -> (Response, Value) {
    let is_json =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let length =
        response.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if !is_json || length.is_some_and(|length| length > ANSWER_LIMIT) {
        return (response, Value::Null);
    }
    let (parts, body) = response.into_parts();
    match to_bytes(body, usize::MAX).await {
        Ok(bytes) => {
            let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            (Response::from_parts(parts, Body::from(bytes)), value)
        }
        // It never fails for an answer that is in memory.
        Err(_) => (Response::from_parts(parts, Body::empty()), Value::Null),
    }
}

/// A caller as the log names them.
async fn actor(hub: &HubState, caller: &Caller) -> String {
    match &caller.kind {
        CallerKind::User { id } => {
            let name: Option<String> = sqlx::query_scalar("SELECT username FROM user WHERE id = ?")
                .bind(id)
                .fetch_optional(hub.store.reader())
                .await
                .unwrap_or_default();
            name.map_or_else(|| format!("user {id}"), |name| format!("user {id} ({name})"))
        }
        CallerKind::Node { id } => format!("node {id}"),
        CallerKind::Container(subject) => format!("algorithm of task {}", subject.task_id),
    }
}

/// Notes that the key of a node was replaced.
pub async fn note_new_key(hub: &HubState, caller: &Caller, node_id: i64) -> Result<(), HubError> {
    let organization_id: Option<i64> = sqlx::query_scalar("SELECT organization_id FROM node WHERE id = ?")
        .bind(node_id)
        .fetch_optional(hub.store.reader())
        .await?;
    let entry = Entry::done(actor(hub, caller).await, "node.new_key", format!("node {node_id}"));
    record(hub, &entry.of(organization_id)).await
}

/// Notes that a password or a second factor was replaced by mail, or a recovery code was used.
pub async fn note_recovery(hub: &HubState, user_id: i64, action: &'static str) -> Result<(), HubError> {
    let organization_id: Option<i64> = sqlx::query_scalar("SELECT organization_id FROM user WHERE id = ?")
        .bind(user_id)
        .fetch_optional(hub.store.reader())
        .await?;
    let user = format!("user {user_id}");
    record(hub, &Entry::done(user.clone(), action, user).of(organization_id)).await
}

/// Adds an entry by itself.
async fn record(hub: &HubState, entry: &Entry) -> Result<(), HubError> {
    let mut transaction = hub.store.writer().begin().await?;
    audit::append(&mut transaction, entry).await?;
    Ok(transaction.commit().await?)
}

/// Notes that somebody signed in, or did not. A name that nobody has is not written down: people type passwords there.
/// The same work is done for every name, so that the time tells nothing (CVE-2024-21671).
pub async fn note_sign_in(hub: &HubState, username: &str, outcome: &'static str) -> Result<(), HubError> {
    let known: Option<(i64, i64)> = sqlx::query_as("SELECT id, organization_id FROM user WHERE username = ?")
        .bind(username)
        .fetch_optional(hub.store.reader())
        .await?;
    let entry = match known {
        Some((id, organization_id)) => {
            Entry::done(format!("user {id} ({username})"), "sign_in", format!("user {id}")).of(organization_id)
        }
        None => Entry::done("somebody", "sign_in", "an unknown name"),
    };
    record(hub, &entry.outcome(outcome)).await
}

/// Notes that a node signed in with its key, or that somebody came with a key that no node has.
pub async fn note_node_sign_in(hub: &HubState, node_id: Option<i64>) -> Result<(), HubError> {
    let Some(id) = node_id else {
        return record(hub, &Entry::done("somebody", "node.sign_in", "an unknown key").outcome("refused")).await;
    };
    let organization_id: Option<i64> = sqlx::query_scalar("SELECT organization_id FROM node WHERE id = ?")
        .bind(id)
        .fetch_optional(hub.store.reader())
        .await?;
    let node = format!("node {id}");
    record(hub, &Entry::done(node.clone(), "node.sign_in", node).of(organization_id)).await
}

/// Notes that somebody reads the results of runs: each time they are downloaded, and the first time in a while that they
/// are shown.
pub async fn note_results(hub: &HubState, caller: &Caller, runs: &[i64], downloads: bool) -> Result<(), HubError> {
    let CallerKind::User { id } = caller.kind else { return Ok(()) };
    let is_new = |run: &i64| downloads || !hub.results_read.contains_key(&(id, *run));
    let runs: Vec<i64> = runs.iter().copied().filter(is_new).collect();
    if runs.is_empty() {
        return Ok(());
    }
    let actor = actor(hub, caller).await;
    let action = if downloads { "result.download" } else { "result.read" };
    // One write for all of a page.
    let mut transaction = hub.store.writer().begin().await?;
    for run in &runs {
        let organization_id: Option<i64> = sqlx::query_scalar("SELECT organization_id FROM run WHERE id = ?")
            .bind(run)
            .fetch_optional(&mut *transaction)
            .await?;
        let entry = Entry::done(actor.clone(), action, format!("run {run}")).of(organization_id);
        audit::append(&mut transaction, &entry).await?;
    }
    transaction.commit().await?;
    for run in runs {
        hub.results_read.insert((id, run), ());
    }
    Ok(())
}

/// What is known of the chain.
pub struct Verified {
    at: Instant,
    /// When it was read from its beginning.
    whole_at: Instant,
    outcome: Result<Head, Broken>,
}

/// Whether the chain holds, as of some seconds ago at most: how many entries there are, or where it breaks. What was read
/// within the last minutes is not read again, but for its end.
pub async fn verified(hub: &HubState) -> Result<Result<i64, Broken>, HubError> {
    let mut kept = hub.verified.clone().lock_owned().await;
    if let Some(verified) = kept.as_ref().filter(|verified| verified.at.elapsed() < VERIFIED_LIFETIME) {
        return Ok(verified.outcome.clone().map(|head| head.id));
    }
    let pool = hub.store.reader().clone();
    // A long log takes a while: it is read to its end also when whoever asked has gone.
    let reading = tokio::spawn(async move {
        let at = Instant::now();
        let recent = kept.as_ref().filter(|verified| verified.whole_at.elapsed() < WHOLE_LIFETIME);
        let (whole_at, from) = match recent {
            Some(Verified { whole_at, outcome: Ok(head), .. }) => (*whole_at, head.clone()),
            _ => (at, Head::default()),
        };
        let outcome = audit::verify_from(&pool, from, None).await?;
        *kept = Some(Verified { at: Instant::now(), whole_at, outcome: outcome.clone() });
        Ok::<_, sqlx::Error>(outcome.map(|head| head.id))
    });
    Ok(reading.await.map_err(|error| HubError::Internal(error.to_string()))??)
}

/// A refresh token came a second time.
pub fn reused_token(claims: &Claims) -> Entry {
    let owner = match (&claims.sub, claims.client_type) {
        (TokenSubject::Id(id), ClientType::Node) => format!("node {id}"),
        (TokenSubject::Id(id), _) => format!("user {id}"),
        (TokenSubject::Container(subject), _) => format!("algorithm of task {}", subject.task_id),
    };
    Entry::done("somebody", "token.reuse", owner).outcome("refused")
}
