use serde::{Deserialize, Serialize};

use super::{Link, Task};
use crate::protocol::{review::RunReview, status::Status};

/// The part of a task that one organization runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub id: i64,
    /// Base64 of the function call, or encrypted for the executing organization.
    #[serde(default)]
    pub input: Option<String>,
    #[serde(default)]
    pub assigned_at: Option<String>,
    #[serde(default)]
    pub started_at: Option<String>,
    #[serde(default)]
    pub finished_at: Option<String>,
    pub status: Status,
    #[serde(default)]
    pub log: Option<String>,
    #[serde(default)]
    pub cleanup_at: Option<String>,
    #[serde(default)]
    pub blob_storage_used: bool,
    #[serde(default)]
    pub organization: Option<Link>,
    #[serde(default)]
    pub task: Option<RunTask>,
    #[serde(default)]
    pub results: Option<Link>,
    #[serde(default)]
    pub node: Option<RunNode>,
    #[serde(default)]
    pub ports: Vec<serde_json::Value>,
    /// Of our hub only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<RunReview>,
}

/// The task of a run: a link, or the task itself with `include=task`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RunTask {
    Task(Box<Task>),
    Link(Link),
}

impl RunTask {
    /// The task's id, in either form.
    pub fn id(&self) -> i64 {
        match self {
            RunTask::Task(task) => task.id,
            RunTask::Link(link) => link.id,
        }
    }
}

/// The node of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunNode {
    pub id: i64,
    pub name: String,
    #[serde(default)]
    pub ip: Option<String>,
    #[serde(default)]
    pub status: Option<String>,
}

/// What a node reports of a run. On the official 4.x server a missing `log`, `result` or `finished_at` is set to
/// null, not kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RunPatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

/// The result of a run; its id is the run's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultItem {
    pub id: i64,
    /// Base64 of the result, or encrypted for the task's organization; null while there is none.
    #[serde(default)]
    pub result: Option<String>,
    #[serde(default)]
    pub cleanup_at: Option<String>,
    #[serde(default)]
    pub blob_storage_used: bool,
    #[serde(default)]
    pub run: Option<Link>,
    #[serde(default)]
    pub task: Option<Link>,
}
