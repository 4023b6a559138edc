use jiff::Timestamp;
use serde_json::{Map, Value};

use super::id_of;
use crate::protocol::{
    payload::{self, PayloadError},
    review::RunReview,
    status::Status,
    timestamp,
    wire::v4,
};

/// A function and what it is called with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FunctionCall {
    pub function: String,
    /// Arguments by position; rare.
    pub args: Vec<Value>,
    /// Arguments by name.
    pub kwargs: Map<String, Value>,
    /// All of it as it was written, where that is JSON of Python only, as with `NaN`: it is shown as above, and passed on
    /// like this.
    pub written: Option<String>,
}

/// The part of a task that one organization runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub id: i64,
    pub task_id: Option<i64>,
    pub organization_id: Option<i64>,
    pub node: Option<RunNode>,
    pub status: Status,
    pub assigned_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub log: String,
    /// Its newest review; our hub only.
    pub review: Option<RunReview>,
    /// What is to be run, or why that cannot be read here; `None` where it was not asked for.
    pub call: Option<Result<FunctionCall, PayloadError>>,
}

/// The node of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunNode {
    pub id: i64,
    pub name: String,
    pub online: bool,
}

impl From<v4::Run> for Run {
    fn from(wire: v4::Run) -> Self {
        let time = |text: Option<String>| text.as_deref().and_then(timestamp::parse);
        Run {
            id: wire.id,
            task_id: wire.task.map(|task| task.id()),
            organization_id: id_of(wire.organization),
            node: wire.node.map(|node| RunNode {
                id: node.id,
                name: node.name,
                online: node.status.as_deref() == Some("online"),
            }),
            status: wire.status,
            assigned_at: time(wire.assigned_at),
            started_at: time(wire.started_at),
            finished_at: time(wire.finished_at),
            log: wire.log.unwrap_or_default(),
            review: wire.review,
            call: wire.input.map(|input| payload::decode_call(&input).map(|(call, _)| call)),
        }
    }
}

/// The key of an answer that was given before, which says when: `2026-11-26 16:37 UTC`.
pub const ANSWERED_AT: &str = "answered_at";

/// The result of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunResult {
    pub run_id: i64,
    pub task_id: Option<i64>,
    /// `None` while there is none; else the value, or why it cannot be read here.
    pub value: Option<Result<Value, PayloadError>>,
}

impl From<v4::ResultItem> for RunResult {
    fn from(wire: v4::ResultItem) -> Self {
        let payload = wire.result.filter(|payload| !payload.is_empty());
        RunResult {
            run_id: wire.id,
            task_id: id_of(wire.task),
            value: payload.map(|payload| payload::decode(&payload).map(|(value, _)| value)),
        }
    }
}
