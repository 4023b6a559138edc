//! `POST /column`: which columns a database has. The official web interface asks for them.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use garde::Validate;
use serde::Deserialize;
use serde_json::{Value, json};

use super::task;
use crate::{
    hub::{
        HubError,
        body::{Body, checked},
        listing::comma_separated,
        permission::{Caller, Reach, Resource},
        server::HubState,
    },
    protocol::{domain::Operation, wire::v4::NewTaskOrganization},
};

/// The image that vantage6 nodes have for reading column names (`common/globals.py`).
const BASICS_IMAGE: &str = "ghcr.io/vantage6/algorithm-basics:latest";

pub fn routes() -> Router<Arc<HubState>> {
    Router::new().route("/column", post(columns))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Question {
    #[garde(length(chars, min = 1, max = 128))]
    db_label: String,
    #[garde(range(min = 1))]
    collaboration_id: i64,
    /// With the input for the task that has to ask them.
    #[garde(length(min = 1))]
    organizations: Vec<NewTaskOrganization>,
    #[garde(skip)]
    #[serde(default)]
    sheet_name: Option<String>,
    #[garde(skip)]
    #[serde(default)]
    query: Option<String>,
}

/// 200 with the columns, if a node of these organizations tells them; else 201 with a task that finds them out, as far
/// as the nodes have vantage6's image for it.
async fn columns(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(question): Body<Question>,
) -> Result<Response, HubError> {
    caller.require_user()?;
    let id = question.collaboration_id;
    let known: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM collaboration WHERE id = ?")
        .bind(id)
        .fetch_one(hub.store.reader())
        .await?;
    if known == 0 {
        return Err(HubError::NotFound(format!("Collaboration id={id} not found!")));
    }
    match caller.require(Resource::Task, Operation::Create)? {
        // As for a task: who asks must belong to one of the organizations that agreed to compute together.
        Reach::Everything | Reach::Collaboration if caller.is_in_collaboration(id) => {}
        _ => return Err(HubError::NotAllowed),
    }
    let organizations: Vec<i64> = question.organizations.iter().map(|organization| organization.id).collect();
    // One node answers for all, as in vantage6: which columns are shared shows when the task runs.
    let columns: Vec<String> = sqlx::query_scalar(&format!(
        "SELECT value FROM node_config WHERE key = ?1 AND node_id = (
             SELECT node.id FROM node JOIN node_config ON node_id = node.id AND key = ?1
             WHERE collaboration_id = ?2 ORDER BY organization_id IN ({}) DESC, node.id LIMIT 1)
         ORDER BY node_config.rowid",
        comma_separated(&organizations)
    ))
    .bind(format!("columns_{}", question.db_label))
    .bind(id)
    .fetch_all(hub.store.reader())
    .await?;
    if !columns.is_empty() {
        return Ok(Json(json!({"columns": columns})).into_response());
    }
    let mut database = json!({"label": question.db_label});
    for (name, value) in [("sheet_name", question.sheet_name), ("query", question.query)] {
        if let Some(value) = value {
            database[name] = Value::String(value);
        }
    }
    let task = json!({
        "name": "get_column_names",
        "image": BASICS_IMAGE,
        "collaboration_id": id,
        "organizations": question.organizations,
        "databases": [database],
    });
    let task = serde_json::from_value(task).map_err(|error| HubError::Internal(error.to_string()))?;
    let created: (StatusCode, Json<_>) = task::create_checked(hub, caller, checked(task)?).await?;
    Ok(created.into_response())
}
