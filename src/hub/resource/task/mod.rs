//! Tasks: reading in `read.rs`, creating in `create.rs` (the body in `new_task.rs`, what is checked in `check.rs`),
//! stopping and deleting in `stop.rs`.

mod check;
mod create;
mod new_task;
mod read;
mod stop;

use std::sync::Arc;

use axum::{Router, routing::get};
use serde_json::Value;
use sqlx::{FromRow, SqliteConnection};

use crate::{
    hub::{
        HubError,
        permission::{Caller, Reach, Resource},
        server::{API_PATH, HubState},
    },
    protocol::{
        domain::Operation,
        review::Subject,
        status::Status,
        timestamp,
        wire::v4::{Included, Link, Task, TaskDatabase},
    },
};

pub use check::is_readable;
pub use create::create_checked;
pub use read::BYTES;
pub use stop::{delete_runs_of, delete_where, hand_on_subtasks, kill, runs_of_node};

pub fn routes() -> Router<Arc<HubState>> {
    Router::new()
        .route("/task", get(read::list).post(create::create))
        .route("/task/{id}", get(read::show).delete(stop::remove))
        .route("/task/{id}/status", get(read::status))
}

/// A task as it is stored.
#[derive(FromRow)]
pub struct Row {
    pub id: i64,
    pub name: String,
    pub description: String,
    pub image: String,
    pub job_id: i64,
    pub status: String,
    pub created_at: String,
    pub finished_at: Option<String>,
    pub collaboration_id: i64,
    pub study_id: Option<i64>,
    pub parent_id: Option<i64>,
    pub init_organization_id: i64,
    pub init_user_id: Option<i64>,
    pub store_id: Option<i64>,
    /// JSON text: a list of objects with label and parameters.
    pub databases: String,
    /// Whether all its runs have ended.
    pub complete: bool,
    /// The subject of a review that waits.
    pub awaits: Option<String>,
}

/// The columns of [`Row`], for queries from `task`.
pub const COLUMNS: &str = "task.*, (SELECT json_group_array(json_object('label', label, 'parameters', parameters)) \
                           FROM (SELECT label, parameters FROM task_database WHERE task_id = task.id \
                           ORDER BY position)) AS databases, \
                           NOT EXISTS (SELECT 1 FROM run WHERE task_id = task.id AND finished_at IS NULL) AS complete, \
                           (SELECT max(subject) FROM review WHERE state = 'waiting' AND (review.task_id = task.id OR \
                           review.task_id IN (SELECT id FROM task AS part WHERE part.parent_id = task.id))) AS awaits";

impl From<Row> for Task {
    fn from(row: Row) -> Task {
        let link = |resource: &str, id: i64, methods: &[&str]| Link::new(API_PATH, resource, id, methods);
        let address = |resource: &str, parameter: &str| format!("{API_PATH}/{resource}?{parameter}={}", row.id);
        let all = &["GET", "PATCH", "DELETE"];
        let databases: Vec<TaskDatabase> = serde_json::from_str(&row.databases).unwrap_or_default();
        Task {
            complete: Some(row.complete),
            // Of both it is the start: "run" is the greater text.
            awaits: row.awaits.as_deref().and_then(Subject::from_name),
            status: Status::from(row.status),
            finished_at: row.finished_at,
            collaboration: Some(link("collaboration", row.collaboration_id, all)),
            runs: Included::Address(address("run", "task_id")),
            results: Included::Address(address("result", "task_id")),
            parent: row.parent_id.map(|id| link("task", id, &["GET", "DELETE"])),
            children: address("task", "parent_id"),
            init_org: Some(link("organization", row.init_organization_id, all)),
            init_user: row.init_user_id.map(|id| link("user", id, all)),
            databases,
            study: row.study_id.map(|id| link("study", id, all)),
            algorithm_store: row.store_id.map(|id| link("algorithmstore", id, all)),
            id: row.id,
            name: row.name,
            description: Some(row.description),
            image: row.image,
            job_id: Some(row.job_id),
            created_at: Some(row.created_at),
        }
    }
}

/// One task, if there is one.
pub async fn load(hub: &HubState, id: i64) -> Result<Row, HubError> {
    let row: Option<Row> = sqlx::query_as(&format!("SELECT {COLUMNS} FROM task WHERE id = ?"))
        .bind(id)
        .fetch_optional(hub.store.reader())
        .await?;
    row.ok_or_else(|| HubError::NotFound(format!("task id={id} is not found")))
}

/// Whether the caller may do this to a task, or to something that belongs to it.
pub fn may(caller: &Caller, resource: Resource, operation: Operation, task: &Row) -> bool {
    match caller.reach(resource, operation) {
        Some(Reach::Everything) => true,
        Some(Reach::Collaboration) => caller.is_in_collaboration(task.collaboration_id),
        Some(Reach::Organization) => task.init_organization_id == caller.authority.organization_id,
        Some(Reach::Own) => task.init_user_id.is_some() && task.init_user_id == caller.user_id(),
        None => false,
    }
}

/// Writes down the status of a task after its runs have changed.
pub async fn update_status(connection: &mut SqliteConnection, task_id: i64) -> Result<(), HubError> {
    let statuses: Vec<String> = sqlx::query_scalar("SELECT status FROM run WHERE task_id = ?")
        .bind(task_id)
        .fetch_all(&mut *connection)
        .await?;
    let (present, finished_at, deleted): (String, Option<String>, String) =
        sqlx::query_as("SELECT status, finished_at, deleted_statuses FROM task WHERE id = ?")
            .bind(task_id)
            .fetch_one(&mut *connection)
            .await?;
    let deleted: Vec<String> = serde_json::from_str(&deleted).unwrap_or_default();
    let statuses: Vec<Status> = statuses.into_iter().chain(deleted).map(Status::from).collect();
    // What has ended has ended as it did and when it did, whatever becomes of its runs.
    let status = match (statuses.is_empty(), Status::from(present)) {
        (true, present) if present.is_final() => return Ok(()),
        (true, _) => Status::Killed,
        (false, _) => Status::of_task(&statuses),
    };
    let finished = (status == Status::Completed).then(|| finished_at.unwrap_or_else(timestamp::now));
    sqlx::query("UPDATE task SET status = ?, finished_at = ? WHERE id = ?")
        .bind(status.as_str())
        .bind(finished)
        .bind(task_id)
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// The parameters of a database in the form in which they are stored: JSON text without the label.
fn parameters_of(database: &Value) -> String {
    let mut parameters = database.as_object().cloned().unwrap_or_default();
    parameters.remove("label");
    Value::Object(parameters).to_string()
}
