use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    routing::{delete, get},
};
use serde_json::{Value, json};

use crate::hub::{HubError, permission::Caller, server::HubState};

/// The version of the API that this hub speaks: clients compare it with their own.
const API_VERSION: &str = "4.15.2";

pub fn routes() -> Router<Arc<HubState>> {
    Router::new()
        .route("/version", get(version))
        .route("/health", get(health))
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

async fn health(State(hub): State<Arc<HubState>>) -> Result<Json<Value>, HubError> {
    let _: i64 = sqlx::query_scalar("SELECT 1").fetch_one(hub.store.reader()).await?;
    Ok(Json(json!({"database": true})))
}
