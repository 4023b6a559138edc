//! The status of a run or a task, by the names of vantage6 4.x (`common/task_status.py`).

use serde::{Deserialize, Serialize};
use std::fmt;

/// What became of a run so far. A name that this version does not know is kept and shown as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Status {
    /// Waiting for its node.
    Pending,
    /// The node has taken it and prepares to start.
    Initializing,
    /// The function computes.
    Active,
    /// Ended with a result.
    Completed,
    /// Ended without a result, or a sibling ended so.
    Failed,
    /// The node could not start the function.
    StartFailed,
    /// The node cannot get the image.
    NoDockerImage,
    /// The function ended with an error.
    Crashed,
    /// Somebody stopped it.
    Killed,
    /// The node's policy refuses it.
    NotAllowed,
    /// The node lost track of it.
    UnknownError,
    /// A name that this version does not know.
    Unknown(String),
}

/// Every known status with its name on the wire.
const NAMES: [(Status, &str); 11] = [
    (Status::Pending, "pending"),
    (Status::Initializing, "initializing"),
    (Status::Active, "active"),
    (Status::Completed, "completed"),
    (Status::Failed, "failed"),
    (Status::StartFailed, "start failed"),
    (Status::NoDockerImage, "non-existing Docker image"),
    (Status::Crashed, "crashed"),
    (Status::Killed, "killed by user"),
    (Status::NotAllowed, "not allowed"),
    (Status::UnknownError, "unknown error"),
];

impl Status {
    /// The known statuses, in the order of a run's life.
    pub fn known() -> impl Iterator<Item = Status> {
        NAMES.iter().map(|(status, _)| status.clone())
    }

    /// The name on the wire and on screen.
    pub fn as_str(&self) -> &str {
        match self {
            Status::Unknown(name) => name,
            known => NAMES.iter().find(|(status, _)| status == known).map_or("", |(_, name)| name),
        }
    }

    /// Whether nothing more is to come. A status that is not known counts as unfinished: a page must go on
    /// watching it.
    pub fn is_final(&self) -> bool {
        self.is_failure() || *self == Status::Completed
    }

    /// Whether it ended without a result.
    pub fn is_failure(&self) -> bool {
        !matches!(
            self,
            Status::Pending | Status::Initializing | Status::Active | Status::Completed | Status::Unknown(_)
        )
    }

    /// The status of a task whose runs have these statuses (`server/model/task.py`): one failure hides running
    /// siblings, and a task without runs is completed. Unlike there, a run that its node does not allow hides none: the
    /// others go on.
    pub fn of_task<'a>(runs: impl IntoIterator<Item = &'a Status>) -> Status {
        let mut runs: Vec<&Status> = runs.into_iter().collect();
        if runs.iter().any(|status| !status.is_final()) {
            runs.retain(|status| **status != Status::NotAllowed);
        }
        let mut failures = runs.iter().filter(|status| status.is_failure());
        if let Some(first) = failures.next() {
            return if failures.all(|other| other == first) { (*first).clone() } else { Status::Failed };
        }
        for status in [Status::Active, Status::Initializing, Status::Pending] {
            if runs.contains(&&status) {
                return status;
            }
        }
        match runs.iter().find(|status| matches!(status, Status::Unknown(_))) {
            Some(unknown) => (*unknown).clone(),
            None => Status::Completed,
        }
    }
}

impl From<String> for Status {
    fn from(name: String) -> Self {
        match NAMES.iter().find(|(_, known)| *known == name) {
            Some((status, _)) => status.clone(),
            None => Status::Unknown(name),
        }
    }
}

impl From<&str> for Status {
    fn from(name: &str) -> Self {
        name.to_owned().into()
    }
}

impl From<Status> for String {
    fn from(status: Status) -> Self {
        status.as_str().to_owned()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_status_survives_the_wire() {
        for (status, name) in NAMES {
            assert_eq!(Status::from(name), status);
            assert_eq!(serde_json::to_value(&status).unwrap(), serde_json::json!(name));
        }
    }

    #[test]
    fn an_unknown_status_is_kept_as_it_is_and_is_not_final() {
        let status: Status = serde_json::from_str("\"awaiting moon\"").unwrap();
        assert_eq!(status, Status::Unknown("awaiting moon".into()));
        assert!(!status.is_final());
        assert_eq!(serde_json::to_string(&status).unwrap(), "\"awaiting moon\"");
    }

    #[test]
    fn a_task_has_the_status_of_its_runs() {
        use Status::*;
        let cases: [(&[Status], Status); 10] = [
            (&[], Completed),
            (&[Completed, Completed], Completed),
            (&[Completed, Pending], Pending),
            (&[Initializing, Pending], Initializing),
            (&[Active, Initializing], Active),
            (&[Crashed, Active], Crashed),
            (&[Crashed, Killed], Failed),
            (&[NotAllowed, Active], Active),
            (&[NotAllowed, Completed], NotAllowed),
            (&[Unknown("x".into()), Completed], Unknown("x".into())),
        ];
        for (runs, expected) in cases {
            assert_eq!(Status::of_task(runs), expected, "{runs:?}");
        }
    }
}
