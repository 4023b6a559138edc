use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::Visitor};

use super::{Link, Task};
use crate::protocol::{payload::CALL_LIMIT, review::RunReview, status::Status};

/// The part of a task that one organization runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub id: i64,
    /// Base64 of the function call, or encrypted for the executing organization. What is longer than [`CALL_LIMIT`] is
    /// read so far that this shows.
    #[serde(default, deserialize_with = "read_input")]
    pub input: Option<String>,
    #[serde(default)]
    pub assigned_at: Option<String>,
    #[serde(default)]
    pub started_at: Option<String>,
    #[serde(default)]
    pub finished_at: Option<String>,
    pub status: Status,
    /// Of a long one the end.
    #[serde(default, deserialize_with = "read_log")]
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

/// What is read of a log, in bytes: pages show less.
const LOG_LIMIT: usize = 32 * 1024;

fn read_log<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let log = Option::<String>::deserialize(deserializer)?;
    Ok(log.map(|log| match log.len().checked_sub(LOG_LIMIT) {
        Some(more) if more > 0 => log[log.ceil_char_boundary(more)..].to_owned(),
        _ => log,
    }))
}

fn read_input<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    deserializer.deserialize_option(Input)
}

/// Reads an input without a copy of one that is too long.
struct Input;

impl<'de> Visitor<'de> for Input {
    type Value = Option<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a text or nothing")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text[..text.floor_char_boundary(CALL_LIMIT + 1)].to_owned()))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_input_no_more_is_kept_than_shows_that_it_is_too_long() {
        let read = |input: &str| {
            let run: Run =
                serde_json::from_str(&format!(r#"{{"id": 1, "status": "pending", "input": {input}}}"#)).unwrap();
            run.input
        };
        assert_eq!(read("null"), None);
        assert_eq!(read(r#""e30=""#).as_deref(), Some("e30="));
        assert_eq!(read(&format!("\"{}\"", "A".repeat(2 * CALL_LIMIT))).map(|text| text.len()), Some(CALL_LIMIT + 1));
        assert_eq!(read(&format!("\"{}\"", "é".repeat(CALL_LIMIT))).map(|text| text.len()), Some(CALL_LIMIT));
    }
}
