//! The dialect of vantage6 3.x clients: a layer around the API that puts their requests and its answers into the form
//! of the other side. Such clients are known by `include=metadata`, which 4.x clients never send, and by paths that
//! 4.x has not. See docs/compatibility.md.

use std::{
    collections::HashMap,
    io::{self, BufReader},
    sync::Arc,
};

use axum::{
    body::Body,
    extract::{OriginalUri, Query, Request, State},
    http::{Method, StatusCode, Uri},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::TryStreamExt;
use serde_json::{Map, Value, json};
use tokio::task::spawn_blocking;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::{
    HubError, audit, authentication,
    large_answer::{Kept, PAGE_BYTES, Turn, answer as answered, wider_turn},
    listing::comma_separated,
    permission::Caller,
    server::{API_PATH, HubState},
    token::Purpose,
};

/// How an answer of the 4.x API becomes one of 3.x.
struct Answer {
    /// Whose fields become lists of links.
    resource: &'static str,
    /// Only the items, without `links`.
    plain: bool,
}

/// Lists whose addresses 3.x clients expect as nested links: resource, field, resource of the links, and SQL for
/// pairs of the two ids. Fields that would tell more than the caller may see stay addresses.
const NESTED: [(&str, &str, &str, &str); 5] = [
    (
        "collaboration",
        "organizations",
        "organization",
        "SELECT collaboration_id, organization_id FROM collaboration_organization WHERE collaboration_id",
    ),
    ("collaboration", "nodes", "node", "SELECT collaboration_id, id FROM node WHERE collaboration_id"),
    ("user", "roles", "role", "SELECT user_id, role_id FROM user_role WHERE user_id"),
    ("user", "rules", "rule", "SELECT user_id, rule_id FROM user_rule WHERE user_id"),
    ("role", "rules", "rule", "SELECT role_id, rule_id FROM role_rule WHERE role_id"),
];

/// In the extensions of a request for runs of which the results are told, too: nodes see more runs than results.
#[derive(Clone)]
pub struct ForResults;

/// Bytes of an answer that are read at once.
const BUFFER: usize = 64 * 1024;

/// Resources that 3.x clients list.
const RESOURCES: [&str; 8] =
    ["collaboration", "organization", "user", "role", "rule", "node", "task", "algorithmstore"];

/// Answers 3.x clients in their dialect; everything else passes.
pub async fn adapt(State(hub): State<Arc<HubState>>, request: Request, next: Next) -> Response {
    match (request.method(), Query::<Vec<(String, String)>>::try_from_uri(request.uri())) {
        (&Method::GET, Ok(Query(pairs))) => match of_get(&hub, request, pairs, next).await {
            Ok(response) => response,
            Err(error) => error.into_response(),
        },
        _ => next.run(request).await,
    }
}

async fn of_get(
    hub: &HubState,
    request: Request,
    mut pairs: Vec<(String, String)>,
    next: Next,
) -> Result<Response, HubError> {
    let path = request.uri().path().trim_matches('/').to_owned();
    let segments: Vec<&str> = path.split('/').collect();
    let metadata = take_metadata(&mut pairs);
    let (to, answer) = match segments.as_slice() {
        ["organization", id, "collaboration"] => {
            pairs.push(("organization_id".to_owned(), (*id).to_owned()));
            ("collaboration".to_owned(), Answer { resource: "collaboration", plain: true })
        }
        ["result"] if metadata => ("run".to_owned(), Answer { resource: "result", plain: false }),
        ["result"] => match pairs.as_slice() {
            [(name, id)] if name == "task_id" && is_task_of_version3(hub, id).await? => {
                pairs.push(("per_page".to_owned(), "1000".to_owned()));
                ("run".to_owned(), Answer { resource: "result", plain: true })
            }
            _ => return Ok(next.run(request).await),
        },
        ["result", id] if is_run_of_version3(hub, id).await? => {
            (format!("run/{id}"), Answer { resource: "result", plain: true })
        }
        // The documentation's session takes `fields` of this list, which works on a plain one only.
        ["organization"] if metadata => (path.clone(), Answer { resource: "organization", plain: true }),
        [resource] if metadata => match RESOURCES.iter().find(|known| *known == resource) {
            Some(resource) => (path.clone(), Answer { resource, plain: false }),
            None => return Ok(next.run(request).await),
        },
        _ => return Ok(next.run(request).await),
    };
    if answer.resource == "result" && !pairs.iter().any(|(name, _)| name == "sort") {
        // In the order of the organizations.
        pairs.push(("sort".to_owned(), "id".to_owned()));
    }
    let caller = match authentication::bearer(request.headers()) {
        Ok(token) => match hub.tokens.check(token, Purpose::Access) {
            Ok(claims) => authentication::caller_of(hub, &claims).await.ok(),
            Err(_) => None,
        },
        Err(_) => None,
    };
    let mut request = rewritten(request, &to, &pairs)?;
    if answer.resource == "result" {
        request.extensions_mut().insert(ForResults);
    }
    let response = next.run(request).await;
    // Only callers who are known are answered with 200.
    let (StatusCode::OK, Some(caller)) = (response.status(), caller) else { return Ok(response) };
    let total = response.headers().get("total-count").and_then(|total| total.to_str().ok()?.parse::<usize>().ok());
    let (mut parts, body) = response.into_parts();
    // The answer is read whole and put into another form, when it is its turn again.
    let turn = match parts.extensions.remove::<Kept>() {
        Some(kept) => Some(kept.turn().await?),
        None => None,
    };
    let (mut body, mut turn) = parsed(body, turn).await?;
    match body.get_mut("data").and_then(Value::as_array_mut) {
        // Without links nobody would miss those of other pages.
        Some(items)
            if answer.plain && answer.resource == "result" && total.is_some_and(|total| total > items.len()) =>
        {
            return Err(HubError::PageTooLarge(PAGE_BYTES));
        }
        Some(items) => translate(hub, &caller, answer.resource, items, &mut turn).await?,
        None => translate(hub, &caller, answer.resource, std::slice::from_mut(&mut body), &mut turn).await?,
    }
    if answer.plain
        && let Some(items) = body.get_mut("data")
    {
        body = items.take();
    }
    if let Some(links) = body.get_mut("links") {
        *links = serde_json::from_str(
            &links.to_string().replace(&format!("{API_PATH}/run?"), &format!("{API_PATH}/{path}?")),
        )
        .unwrap_or(Value::Null);
    }
    let mut response = answered(body, turn).await?;
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    parts.headers.remove(axum::http::header::CONTENT_TYPE);
    *response.status_mut() = parts.status;
    response.headers_mut().extend(parts.headers);
    Ok(response)
}

/// Reads JSON out of a file, so that its text is never there as a whole; with its turn, also where nobody waits any more.
async fn parsed(body: Body, turn: Option<Turn>) -> Result<(Value, Option<Turn>), HubError> {
    let reader = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
    let reader = BufReader::with_capacity(BUFFER, SyncIoBridge::new(reader));
    let parsed = spawn_blocking(move || serde_json::from_reader(reader).map(|value| (value, turn)));
    let parsed = parsed.await.map_err(|error| HubError::Internal(error.to_string()))?;
    parsed.map_err(|error| HubError::Internal(error.to_string()))
}

/// Whether `include` asks for metadata, which is taken out.
fn take_metadata(pairs: &mut Vec<(String, String)>) -> bool {
    let mut found = false;
    for (_, value) in pairs.iter_mut().filter(|(name, _)| name == "include") {
        let kept: Vec<&str> = value.split(',').filter(|word| *word != "metadata").collect();
        found |= kept.len() < value.split(',').count();
        *value = kept.join(",");
    }
    pairs.retain(|(name, value)| name != "include" || !value.is_empty());
    found
}

/// The request at another path of the API with these parameters.
fn rewritten(mut request: Request, path: &str, pairs: &[(String, String)]) -> Result<Request, HubError> {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let uri = |prefix: &str| {
        format!("{prefix}/{path}?{query}").parse::<Uri>().map_err(|error| HubError::Internal(error.to_string()))
    };
    request.extensions_mut().insert(OriginalUri(uri(API_PATH)?));
    *request.uri_mut() = uri("")?;
    Ok(request)
}

async fn translate(
    hub: &HubState,
    caller: &Caller,
    resource: &str,
    items: &mut [Value],
    turn: &mut Option<Turn>,
) -> Result<(), HubError> {
    let ids: Vec<i64> = items.iter().filter_map(|item| item.get("id")?.as_i64()).collect();
    if resource == "result" {
        // A result of 3.x is a run of 4.x with its result.
        let mut results = results_of(hub, caller, &ids, turn).await?;
        let read: Vec<i64> = results.keys().copied().collect();
        audit::note_results(hub, caller, &read, false).await?;
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            let result = id_of(item).and_then(|id| results.remove(&id));
            item.insert("result".to_owned(), result.map_or(Value::Null, Value::String));
            item.remove("results");
        }
    }
    for (_, field, linked, sql) in NESTED.iter().filter(|(of, ..)| *of == resource) {
        let query = format!("{sql} IN ({}) ORDER BY 1, 2", comma_separated(&ids));
        let pairs: Vec<(i64, i64)> = sqlx::query_as(&query).fetch_all(hub.store.reader()).await?;
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            let own = pairs.iter().filter(|(owner, _)| Some(*owner) == id_of(item));
            let links: Vec<Value> = own
                .map(|(_, id)| json!({"id": id, "link": format!("{API_PATH}/{linked}/{id}"), "methods": ["GET", "PATCH"]}))
                .collect();
            item.insert((*field).to_owned(), Value::Array(links));
        }
    }
    Ok(())
}

fn id_of(item: &Map<String, Value>) -> Option<i64> {
    item.get("id")?.as_i64()
}

/// The results of these runs, when it is their turn.
async fn results_of(
    hub: &HubState,
    caller: &Caller,
    ids: &[i64],
    turn: &mut Option<Turn>,
) -> Result<HashMap<i64, String>, HubError> {
    let ids = comma_separated(ids);
    let sizes =
        format!("SELECT count(*), coalesce(sum(octet_length(text)), 0) FROM run_result WHERE run_id IN ({ids})");
    let (items, bytes): (i64, i64) = sqlx::query_as(&sizes).fetch_one(hub.store.reader()).await?;
    *turn = wider_turn(turn.take(), caller, items, bytes).await?;
    let query = format!("SELECT run_id, text FROM run_result WHERE run_id IN ({ids})");
    let rows: Vec<(i64, String)> = sqlx::query_as(&query).persistent(false).fetch_all(hub.store.reader()).await?;
    Ok(rows.into_iter().collect())
}

async fn is_task_of_version3(hub: &HubState, id: &str) -> Result<bool, HubError> {
    is_of_version3(hub, "SELECT is_of_version3 FROM task WHERE id = ?", id).await
}

async fn is_run_of_version3(hub: &HubState, id: &str) -> Result<bool, HubError> {
    let task = "SELECT is_of_version3 FROM task WHERE id = (SELECT task_id FROM run WHERE id = ?)";
    is_of_version3(hub, task, id).await
}

async fn is_of_version3(hub: &HubState, query: &str, id: &str) -> Result<bool, HubError> {
    let Ok(id) = id.parse::<i64>() else { return Ok(false) };
    Ok(sqlx::query_scalar(query).bind(id).fetch_optional(hub.store.reader()).await?.unwrap_or(false))
}
