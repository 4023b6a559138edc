use std::{collections::BTreeSet, sync::Arc};

use axum::{Json, extract::State};
use serde_json::{Value, json};
use sqlx::SqliteConnection;

use super::{load, may, update_status};
use crate::{
    hub::{
        HubError,
        permission::{Caller, Resource},
        resource::{Id, message},
        server::HubState,
    },
    protocol::{
        domain::Operation,
        event::{Kill, KillItem},
        status::Status,
        timestamp,
    },
};

/// `DELETE /task/{id}`: stops what still runs and deletes the task with its subtasks, runs and results.
pub async fn remove(State(hub): State<Arc<HubState>>, caller: Caller, Id(id): Id) -> Result<Json<Value>, HubError> {
    caller.require_user()?;
    let task = load(&hub, id).await?;
    if !may(&caller, Resource::Task, Operation::Delete, &task) {
        return Err(HubError::NotAllowed);
    }
    let mut transaction = hub.store.writer().begin().await?;
    let killed = kill_runs(&mut transaction, id).await?;
    // Subtasks, runs and database labels go with it by their foreign keys.
    sqlx::query("DELETE FROM task WHERE id = ?").bind(id).execute(&mut *transaction).await?;
    transaction.commit().await?;
    tell_killed(&hub, killed, task.collaboration_id).await;
    // Whoever looks at lists learns that something has changed.
    hub.events.to_collaboration(task.collaboration_id, "status_update", &json!({"run_id": 0})).await;
    Ok(message(format!("task id={id} and its algorithm run data have been successfully deleted")))
}

/// Sets every open run of a task and of all tasks below it to `killed by user` and tells the nodes.
pub async fn kill(hub: &HubState, task_id: i64, collaboration_id: i64) -> Result<(), HubError> {
    let mut transaction = hub.store.writer().begin().await?;
    let killed = kill_runs(&mut transaction, task_id).await?;
    transaction.commit().await?;
    tell_killed(hub, killed, collaboration_id).await;
    Ok(())
}

async fn kill_runs(connection: &mut SqliteConnection, task_id: i64) -> Result<Vec<KillItem>, HubError> {
    let killed: Vec<(i64, i64, i64)> = sqlx::query_as(
        "WITH RECURSIVE family (id) AS (
             SELECT ?1 UNION SELECT task.id FROM task JOIN family ON task.parent_id = family.id)
         UPDATE run SET status = ?2, finished_at = ?3
         WHERE task_id IN (SELECT id FROM family) AND finished_at IS NULL
         RETURNING task_id, id, organization_id",
    )
    .bind(task_id)
    .bind(Status::Killed.as_str())
    .bind(timestamp::now())
    .fetch_all(&mut *connection)
    .await?;
    for task_id in killed.iter().map(|(task_id, ..)| *task_id).collect::<BTreeSet<_>>() {
        update_status(connection, task_id).await?;
    }
    let items = killed.into_iter();
    Ok(items.map(|(task_id, run_id, organization_id)| KillItem { task_id, run_id, organization_id }).collect())
}

/// After the change is stored: who hears of it finds it.
async fn tell_killed(hub: &HubState, kill_list: Vec<KillItem>, collaboration_id: i64) {
    if !kill_list.is_empty() {
        let event = Kill { kill_list: Some(kill_list), node_id: None, collaboration_id };
        hub.events.to_collaboration(collaboration_id, "kill_containers", &event).await;
    }
}

/// Asks one node to stop everything that it runs; the node reports what became of it.
pub async fn runs_of_node(hub: &HubState, node_id: i64, collaboration_id: i64) {
    let event = Kill { kill_list: None, node_id: Some(node_id), collaboration_id };
    hub.events.to_collaboration(collaboration_id, "kill_containers", &event).await;
}
