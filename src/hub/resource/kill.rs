use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::post};
use serde_json::Value;

use super::{members::ById, message, task};
use crate::{
    hub::{
        HubError,
        body::Body,
        permission::{Caller, Reach, Resource},
        server::HubState,
    },
    protocol::{domain::Operation, status::Status},
};

pub fn routes() -> Router<Arc<HubState>> {
    Router::new().route("/kill/task", post(kill_task)).route("/kill/node/tasks", post(kill_node_tasks))
}

async fn kill_task(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(ById { id }): Body<ById>,
) -> Result<Json<Value>, HubError> {
    caller.require_user()?;
    let task = task::load(&hub, id).await?;
    let may_send = match caller.reach(Resource::Event, Operation::Send) {
        Some(Reach::Everything) => true,
        Some(Reach::Collaboration) => caller.is_in_collaboration(task.collaboration_id),
        _ => false,
    };
    // Wider than the original, where a researcher cannot stop their own task but can delete it, which stops it.
    if !may_send && !task::may(&caller, Resource::Task, Operation::Delete, &task) {
        return Err(HubError::NotAllowed);
    }
    let status = Status::from(task.status.as_str());
    let open: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM run WHERE task_id = ? AND finished_at IS NULL")
        .bind(id)
        .fetch_one(hub.store.reader())
        .await?;
    if status.is_final() && open == 0 {
        return Err(HubError::bad(format!("Task {id} already finished with status '{status}', so cannot kill it!")));
    }
    task::kill(&hub, &caller, id, task.collaboration_id).await?;
    Ok(message(format!("Nodes have been instructed to kill any containers running for task {id}.")))
}

async fn kill_node_tasks(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(ById { id }): Body<ById>,
) -> Result<Json<Value>, HubError> {
    caller.require_user()?;
    let node: Option<(i64, i64, bool)> =
        sqlx::query_as("SELECT organization_id, collaboration_id, online FROM node WHERE id = ?")
            .bind(id)
            .fetch_optional(hub.store.reader())
            .await?;
    let (organization_id, collaboration_id, online) =
        node.ok_or_else(|| HubError::NotFound(format!("Node id={id} not found")))?;
    let may = match caller.require(Resource::Event, Operation::Send)? {
        Reach::Everything => true,
        Reach::Collaboration => caller.is_in_collaboration(collaboration_id),
        Reach::Organization => organization_id == caller.authority.organization_id,
        Reach::Own => false,
    };
    if !may {
        return Err(HubError::NotAllowed);
    }
    if !online {
        return Err(HubError::bad(format!("Node {id} is not online so cannot kill its tasks!")));
    }
    // The node reports what becomes of it: here nothing changes.
    hub.change(&caller).await?.commit(&caller.did("task.stop", "node", id).of(organization_id)).await?;
    task::runs_of_node(&hub, id, collaboration_id).await;
    Ok(message(format!("Node {id} has been instructed to kill all containers running on it.")))
}
