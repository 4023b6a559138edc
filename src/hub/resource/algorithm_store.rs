//! The hub's own algorithm store (read part of the 4.x store API), and the link that makes it known to every
//! collaboration.

use std::sync::Arc;

use axum::{Json, Router, extract::State, response::Response, routing::get};
use serde_json::{Value, json};

use super::Id;
use crate::{
    hub::{
        HubError,
        listing::ListQuery,
        permission::{Caller, Reach, Resource},
        server::{HubState, STORE_PATH},
    },
    protocol::{
        domain::Operation,
        wire::v4::{StoreAlgorithm, StoreLink},
    },
};

/// The id of the link to the own store. It is the only one, and it is for all collaborations.
const OWN_STORE: i64 = 1;

pub fn link_routes() -> Router<Arc<HubState>> {
    Router::new().route("/algorithmstore", get(list_links)).route("/algorithmstore/{id}", get(show_link))
}

pub fn store_routes() -> Router<Arc<HubState>> {
    Router::new()
        .route("/version", get(version))
        .route("/algorithm", get(list_algorithms))
        .route("/algorithm/{id}", get(show_algorithm))
}

fn own_link(hub: &HubState) -> StoreLink {
    StoreLink {
        id: OWN_STORE,
        name: "Built-in algorithms".to_owned(),
        url: format!("{}{STORE_PATH}", hub.public_url),
        collaborations: None,
    }
}

/// The image of an algorithm of a store; an error if the store does not have it.
pub fn image_in_store(hub: &HubState, store_id: i64, image: &str) -> Result<String, HubError> {
    if store_id != OWN_STORE {
        return Err(HubError::field("store_id", format!("Algorithm store id={store_id} not found!")));
    }
    match hub.algorithms.iter().find(|algorithm| algorithm.image == image) {
        Some(algorithm) => Ok(algorithm.image.clone()),
        None => Err(HubError::field("image", "The algorithm store has no algorithm with this image.")),
    }
}

async fn list_links(State(hub): State<Arc<HubState>>, caller: Caller, query: ListQuery) -> Result<Response, HubError> {
    caller.refuse_containers()?;
    let reach = caller.require(Resource::Collaboration, Operation::View)?;
    if let Some(id) = query.integer("collaboration_id")? {
        let known: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM collaboration WHERE id = ?")
            .bind(id)
            .fetch_one(hub.store.reader())
            .await?;
        if known == 0 {
            return Err(HubError::NotFound("Collaboration not found".to_owned()));
        }
        if reach < Reach::Everything && !caller.is_in_collaboration(id) {
            return Err(HubError::NotAllowed);
        }
    }
    let own = own_link(&hub);
    // As the original filters: a name with `%`, an address as it is.
    let is_asked_for = query.text("name").is_none_or(|name| is_like(&own.name, name))
        && query.text("url").is_none_or(|url| url.trim_end_matches('/') == own.url.trim_end_matches('/'));
    query.answer_all(if is_asked_for { vec![own] } else { Vec::new() }).await
}

/// Whether a text is like a pattern of SQL, whose `%` stands for anything; capitals do not count.
fn is_like(text: &str, pattern: &str) -> bool {
    let (text, pattern) = (text.to_lowercase(), pattern.to_lowercase());
    let parts: Vec<&str> = pattern.split('%').collect();
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return false };
    if parts.len() == 1 {
        return text == *first;
    }
    let Some(mut rest) = text.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else { return false };
    parts[1..parts.len() - 1].iter().all(|part| match rest.find(part) {
        Some(place) => {
            rest = &rest[place + part.len()..];
            true
        }
        None => false,
    })
}

async fn show_link(State(hub): State<Arc<HubState>>, caller: Caller, Id(id): Id) -> Result<Json<StoreLink>, HubError> {
    caller.refuse_containers()?;
    match id {
        OWN_STORE => Ok(Json(own_link(&hub))),
        _ => Err(HubError::NotFound(format!("Algorithm store id={id} not found"))),
    }
}

async fn version() -> Json<Value> {
    Json(json!({"version": "4.15.2"}))
}

async fn list_algorithms(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    query: ListQuery,
) -> Result<Response, HubError> {
    caller.refuse_containers()?;
    let matching: Vec<StoreAlgorithm> = hub
        .algorithms
        .iter()
        .filter(|algorithm| query.text("image").is_none_or(|image| algorithm.image == image))
        .filter(|algorithm| query.text("name").is_none_or(|name| is_like(&algorithm.name, name)))
        .cloned()
        .collect();
    query.answer_all(matching).await
}

async fn show_algorithm(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<StoreAlgorithm>, HubError> {
    caller.refuse_containers()?;
    let algorithm = hub.algorithms.iter().find(|algorithm| algorithm.id == id);
    algorithm.cloned().map(Json).ok_or_else(|| HubError::NotFound(format!("Algorithm id={id} not found")))
}
