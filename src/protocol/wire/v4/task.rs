use serde::{Deserialize, Serialize};

use super::{Included, Link, ResultItem, Run};
use crate::protocol::{review::Subject, status::Status};

/// A function to run, with the runs that belong to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub id: i64,
    pub name: String,
    #[serde(default)]
    pub description: Option<String>,
    pub image: String,
    #[serde(default)]
    pub job_id: Option<i64>,
    #[serde(default)]
    pub created_at: Option<String>,
    pub status: Status,
    /// What of it, or of a subtask, waits for an admin; our hub only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<Subject>,
    #[serde(default)]
    pub finished_at: Option<String>,
    /// Whether all runs have ended, well or not: what clients of vantage6 3.x wait for. 4.x servers do not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    #[serde(default)]
    pub collaboration: Option<Link>,
    #[serde(default)]
    pub study: Option<Link>,
    #[serde(default)]
    pub parent: Option<Link>,
    #[serde(default)]
    pub children: String,
    #[serde(default)]
    pub init_org: Option<Link>,
    #[serde(default)]
    pub init_user: Option<Link>,
    #[serde(default)]
    pub algorithm_store: Option<Link>,
    #[serde(default)]
    pub databases: Vec<TaskDatabase>,
    /// Left out where a run holds its task.
    #[serde(default, skip_serializing_if = "Included::is_absent")]
    pub runs: Included<Run>,
    #[serde(default)]
    pub results: Included<ResultItem>,
}

/// A database that a task uses, by its label at every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDatabase {
    pub label: String,
    /// JSON text of further parameters (query, sheet name, preprocessing).
    #[serde(default)]
    pub parameters: Option<String>,
}

/// The body of `POST /task`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewTask {
    pub name: String,
    pub description: String,
    pub image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collaboration_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub study_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_url: Option<String>,
    pub databases: Vec<serde_json::Value>,
    pub organizations: Vec<NewTaskOrganization>,
}

/// One organization of a new task with its input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewTaskOrganization {
    pub id: i64,
    pub input: String,
}

/// The answer to `GET /task/{id}/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskStatus {
    pub status: Status,
}
