use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};
use serde_json::{Value, json};

use crate::hub::{HubError, server::HubState};

/// The version of the API that this hub speaks: clients compare it with their own.
const API_VERSION: &str = "4.15.2";

pub fn routes() -> Router<Arc<HubState>> {
    Router::new().route("/version", get(version)).route("/health", get(health))
}

async fn version() -> Json<Value> {
    Json(json!({"version": API_VERSION}))
}

async fn health(State(hub): State<Arc<HubState>>) -> Result<Json<Value>, HubError> {
    let _: i64 = sqlx::query_scalar("SELECT 1").fetch_one(hub.store.reader()).await?;
    Ok(Json(json!({"database": true})))
}
