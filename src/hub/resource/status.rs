use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{delete, get},
};
use serde_json::{Value, json};

use crate::{
    hub::{
        HubError,
        listing::ListQuery,
        permission::{Caller, Reach, Resource},
        problem::{self, DISK_FULL, Kind},
        server::HubState,
    },
    protocol::{domain::Operation, problem::Problem},
};

/// The version of the API that this hub speaks: clients compare it with their own.
const API_VERSION: &str = "4.15.2";

pub fn routes() -> Router<Arc<HubState>> {
    Router::new()
        .route("/version", get(version))
        .route("/health", get(health))
        .route("/problem", get(problems))
        .route("/blobstream/status", get(blob_storage))
        .route("/port", delete(forget_ports))
}

async fn version() -> Json<Value> {
    // The second tells clients of ours that more works here than with the original.
    Json(json!({"version": API_VERSION, "atoll": env!("CARGO_PKG_VERSION")}))
}

/// Clients ask before each task whether inputs go to a separate storage.
async fn blob_storage(_: Caller) -> Json<Value> {
    Json(json!({"blob_store_enabled": false}))
}

/// The official node says after each run that its ports are gone. None are known here.
async fn forget_ports(caller: Caller) -> Result<Json<Value>, HubError> {
    caller.require_node()?;
    Ok(super::message("Ports removed from the database."))
}

/// `GET /health`: whether the database can be read and written. 507 if it cannot be written: the disk is full.
async fn health(State(hub): State<Arc<HubState>>) -> Result<(StatusCode, Json<Value>), HubError> {
    let _: i64 = sqlx::query_scalar("SELECT 1").fetch_one(hub.store.reader()).await?;
    Ok(match hub.problems.has(Kind::DiskFull) {
        false => (StatusCode::OK, Json(json!({"database": true}))),
        true => (StatusCode::INSUFFICIENT_STORAGE, Json(json!({"database": false, "msg": DISK_FULL}))),
    })
}

/// `GET /problem`, which vantage6 has not: what Root and auditors should know of.
async fn problems(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    query: ListQuery,
) -> Result<Json<Vec<Problem>>, HubError> {
    caller.require_user()?;
    query.only(&[])?;
    match caller.require(Resource::Audit, Operation::View)? {
        Reach::Everything => Ok(Json(problem::all(&hub).await?)),
        _ => Err(HubError::NotAllowed),
    }
}
