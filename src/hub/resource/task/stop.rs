use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{Json, extract::State};
use serde_json::{Value, json};
use sqlx::SqliteConnection;

use super::{COLUMNS, Row, load, may, update_status};
use crate::{
    audit::{self, Entry},
    hub::{
        HubError,
        permission::{Caller, Resource},
        resource::{Id, message, review},
        server::HubState,
    },
    protocol::{
        domain::Operation,
        event::{Kill, KillItem},
        status::Status,
        timestamp,
    },
};

/// One task by itself.
const BY_ID: &str = "id = ?";

/// `DELETE /task/{id}`: stops what still runs and deletes the task with its subtasks, runs and results.
pub async fn remove(State(hub): State<Arc<HubState>>, caller: Caller, Id(id): Id) -> Result<Json<Value>, HubError> {
    caller.require_user()?;
    let task = load(&hub, id).await?;
    if !may(&caller, Resource::Task, Operation::Delete, &task) {
        return Err(HubError::NotAllowed);
    }
    let mut change = hub.change(&caller).await?;
    let entry = caller.did("task.delete", "task", id).of(task.init_organization_id);
    note_for_those_who_computed(&mut change, &entry, &task).await?;
    let stopped = delete_where(&mut change, &caller, BY_ID, id).await?;
    change.commit(&entry).await?;
    stopped.tell(&hub).await;
    Ok(message(format!("task id={id} and its algorithm run data have been successfully deleted")))
}

/// Sets every open run of a task and of all tasks below it to `killed by user` and tells the nodes.
pub async fn kill(hub: &HubState, caller: &Caller, task_id: i64, collaboration_id: i64) -> Result<(), HubError> {
    let mut change = hub.change(caller).await?;
    let killed = kill_runs(&mut change, task_id).await?;
    let asked_by: i64 = sqlx::query_scalar("SELECT init_organization_id FROM task WHERE id = ?")
        .bind(task_id)
        .fetch_one(&mut *change)
        .await?;
    let entry = caller.did("task.stop", "task", task_id);
    // For each that it concerns: who asked, who computed, and whose user stops it.
    let concerned: BTreeSet<i64> = killed.iter().map(|item| item.organization_id).chain([asked_by]).collect();
    for organization_id in concerned.iter().filter(|id| **id != caller.authority.organization_id) {
        audit::append(&mut change, &entry.clone().of(*organization_id)).await?;
    }
    change.commit(&entry).await?;
    Stopped(BTreeMap::from([(collaboration_id, killed)])).tell(hub).await;
    Ok(())
}

/// Runs that were stopped, by collaboration. To be told after the change is stored, so that who hears of it finds it.
#[derive(Default)]
pub struct Stopped(BTreeMap<i64, Vec<KillItem>>);

impl Stopped {
    /// Tells nodes and pages.
    pub async fn tell(self, hub: &HubState) {
        for (collaboration_id, kill_list) in self.0 {
            if !kill_list.is_empty() {
                let event = Kill { kill_list: Some(kill_list), node_id: None, collaboration_id };
                hub.events.to_collaboration(collaboration_id, "kill_containers", &event).await;
            }
            // Whoever looks at a list or at a task learns that something has changed.
            hub.events.to_collaboration(collaboration_id, "status_update", &json!({"run_id": 0})).await;
        }
    }
}

/// Deletes the tasks for which a condition with one `?` holds, with their subtasks, runs and database labels; stops
/// what still runs. An error unless the caller may delete each of them by itself, whatever it is that they belong to.
pub async fn delete_where(
    connection: &mut SqliteConnection,
    caller: &Caller,
    condition: &str,
    id: i64,
) -> Result<Stopped, HubError> {
    let tasks: Vec<Row> = sqlx::query_as(&format!("SELECT {COLUMNS} FROM task WHERE {condition}"))
        .bind(id)
        .fetch_all(&mut *connection)
        .await?;
    if !tasks.iter().all(|task| may(caller, Resource::Task, Operation::Delete, task)) {
        return Err(HubError::Unauthenticated("You lack the permission to delete all tasks that belong to this!"));
    }
    let mut stopped = Stopped::default();
    for task in &tasks {
        let killed = kill_runs(&mut *connection, task.id).await?;
        stopped.0.entry(task.collaboration_id).or_default().extend(killed);
        if condition != BY_ID {
            // What belongs to something else that is deleted has an entry of its own.
            let entry = caller.did("task.delete", "task", task.id).of(task.init_organization_id);
            note_for_those_who_computed(connection, &entry, task).await?;
            audit::append(connection, &entry).await?;
        }
    }
    // Subtasks, runs and database labels go with them by their foreign keys.
    sqlx::query(&format!("DELETE FROM task WHERE {condition}")).bind(id).execute(&mut *connection).await?;
    Ok(stopped)
}

/// Each other organization that computed a part of a task reads that it was deleted, too.
async fn note_for_those_who_computed(
    connection: &mut SqliteConnection,
    entry: &Entry,
    task: &Row,
) -> Result<(), HubError> {
    let computed: Vec<i64> = sqlx::query_scalar(
        "WITH RECURSIVE family (id) AS (
             SELECT ?1 UNION SELECT task.id FROM task JOIN family ON task.parent_id = family.id)
         SELECT DISTINCT organization_id FROM run WHERE organization_id <> ?2 AND task_id IN (SELECT id FROM family)",
    )
    .bind(task.id)
    .bind(task.init_organization_id)
    .fetch_all(&mut *connection)
    .await?;
    for organization_id in computed {
        audit::append(connection, &entry.clone().of(organization_id)).await?;
    }
    Ok(())
}

/// Hands the subtasks that an organization created for tasks of others on to those: they are a part of what was asked by
/// them, with results of others in them.
pub async fn hand_on_subtasks(connection: &mut SqliteConnection, organization_id: i64) -> Result<(), HubError> {
    sqlx::query(
        "UPDATE task SET init_organization_id = parent.init_organization_id FROM task AS parent
         WHERE parent.id = task.parent_id AND task.init_organization_id = ?1 AND parent.init_organization_id <> ?1",
    )
    .bind(organization_id)
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes the runs of an organization in tasks of others; stops what still runs. The tasks go on without them, and remember
/// how they had ended.
pub async fn delete_runs_of(connection: &mut SqliteConnection, organization_id: i64) -> Result<Stopped, HubError> {
    let runs: Vec<(i64, i64, i64, bool)> = sqlx::query_as(
        "SELECT run.id, task_id, collaboration_id, run.finished_at IS NULL FROM run JOIN task ON task.id = task_id
         WHERE run.organization_id = ?",
    )
    .bind(organization_id)
    .fetch_all(&mut *connection)
    .await?;
    // A run that is still open ends with its organization, and tells nothing of the others.
    sqlx::query(
        "UPDATE task SET deleted_statuses = (SELECT json_group_array(value) FROM (
             SELECT value FROM json_each(deleted_statuses) UNION SELECT status FROM run
             WHERE task_id = task.id AND organization_id = ?1 AND finished_at IS NOT NULL))
         WHERE id IN (SELECT task_id FROM run WHERE organization_id = ?1)",
    )
    .bind(organization_id)
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM run WHERE organization_id = ?").bind(organization_id).execute(&mut *connection).await?;
    let mut stopped = Stopped::default();
    for (run_id, task_id, collaboration_id, open) in runs {
        let of_collaboration = stopped.0.entry(collaboration_id).or_default();
        if open {
            of_collaboration.push(KillItem { task_id, run_id, organization_id });
            update_status(&mut *connection, task_id).await?;
        }
    }
    review::end_those_without_run(connection).await?;
    Ok(stopped)
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
    review::end_those_without_run(connection).await?;
    let items = killed.into_iter();
    Ok(items.map(|(task_id, run_id, organization_id)| KillItem { task_id, run_id, organization_id }).collect())
}

/// Asks one node to stop everything that it runs; the node reports what became of it.
pub async fn runs_of_node(hub: &HubState, node_id: i64, collaboration_id: i64) {
    let event = Kill { kill_list: None, node_id: Some(node_id), collaboration_id };
    hub.events.to_collaboration(collaboration_id, "kill_containers", &event).await;
}
