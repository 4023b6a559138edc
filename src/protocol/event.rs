//! What a hub tells while it happens. Event names of the server (4.x: `algorithm_status_change`, `new_task`, …)
//! are mapped to one domain event each, so that the rest of the program knows one set of words.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{brief, review::ReviewChange, status::Status};

/// The Socket.IO namespace in which servers and nodes talk.
pub const NAMESPACE: &str = "/tasks";

/// `algorithm_status_change` on the wire, in both directions (nodes leave out `job_id`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusChange {
    pub status: Status,
    pub run_id: i64,
    pub task_id: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<i64>,
    pub collaboration_id: i64,
    #[serde(default)]
    pub node_id: Option<i64>,
    pub organization_id: i64,
    #[serde(default)]
    pub parent_id: Option<i64>,
}

/// `algorithm_log` on the wire, in both directions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLines {
    pub run_id: i64,
    pub task_id: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collaboration_id: Option<i64>,
    pub log: String,
}

/// One entry of `kill_containers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillItem {
    pub task_id: i64,
    pub run_id: i64,
    pub organization_id: i64,
}

/// `kill_containers` on the wire: single runs, or all of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kill {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill_list: Option<Vec<KillItem>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<i64>,
    pub collaboration_id: i64,
}

/// `node-online` and `node-offline` on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodePresence {
    pub id: i64,
    pub name: String,
    pub org_id: i64,
}

/// `new_task` on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewTask {
    pub id: i64,
    #[serde(default)]
    pub parent_id: Option<i64>,
}

/// Something happened at the hub.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The connection stands; whatever came before may have been missed.
    Connected,
    /// The connection is gone; it is being made again.
    Disconnected,
    /// The hub does not accept the token of this connection.
    TokenRefused,
    /// The hub asks a node to fetch its open runs.
    Sync,
    NewTask(NewTask),
    StatusChange(StatusChange),
    /// A run was changed; sent just before the change is stored.
    RunChanged {
        run_id: i64,
    },
    Log(LogLines),
    Kill(Kill),
    /// A review began, was decided, or ended (our hub only).
    ReviewChange(ReviewChange),
    NodeOnline(NodePresence),
    NodeOffline(NodePresence),
}

/// The most of a log that a follower sees of one event, in bytes.
const LOG_END: usize = 32 * 1024;
/// The longest text of anything else: names.
const TEXT: usize = 4 * 1024;
/// The longest list of runs that those who follow one are told of.
const KILLED: usize = 1_000;

impl Event {
    /// As it waits for those who follow: of a server that sends much, many can.
    pub fn for_followers(self) -> Option<Event> {
        match self {
            Event::Log(lines) => {
                let end = lines.log.ceil_char_boundary(lines.log.len().saturating_sub(LOG_END));
                Some(Event::Log(LogLines { log: lines.log[end..].to_owned(), ..lines }))
            }
            Event::Kill(kill) if kill.kill_list.as_ref().is_some_and(|list| list.len() > KILLED) => {
                // Everybody looks at once.
                Some(Event::Kill(Kill { kill_list: None, ..kill }))
            }
            Event::NodeOnline(node) | Event::NodeOffline(node) if node.name.len() > TEXT => None,
            Event::StatusChange(change) if change.status.as_str().len() > TEXT => None,
            event => Some(event),
        }
    }

    /// Maps a 4.x event. `None` for events that mean nothing here and for payloads that do not fit.
    pub fn from_v4(name: &str, payload: Value) -> Option<Event> {
        #[derive(Deserialize)]
        struct RunId {
            run_id: i64,
        }
        fn read<T: serde::de::DeserializeOwned>(payload: Value) -> Option<T> {
            brief::from_value(payload).ok()
        }
        match name {
            "sync" => Some(Event::Sync),
            "new_task" => read(payload).map(Event::NewTask),
            "algorithm_status_change" => read(payload).map(Event::StatusChange),
            "status_update" => read::<RunId>(payload).map(|run| Event::RunChanged { run_id: run.run_id }),
            "algorithm_log" => read(payload).map(Event::Log),
            "kill_containers" => read(payload).map(Event::Kill),
            "review_change" => read(payload).map(Event::ReviewChange),
            "node-online" => read(payload).map(Event::NodeOnline),
            "node-offline" => read(payload).map(Event::NodeOffline),
            "expired_token" | "invalid_token" => Some(Event::TokenRefused),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_followers_is_small() {
        let log = LogLines { run_id: 1, task_id: 1, collaboration_id: None, log: "x".repeat(1_000_000) };
        let Some(Event::Log(lines)) = Event::Log(log).for_followers() else { panic!("a log is a log") };
        assert_eq!(lines.log.len(), LOG_END);
        let item = KillItem { task_id: 1, run_id: 1, organization_id: 1 };
        let kill = |count| Kill { kill_list: Some(vec![item.clone(); count]), node_id: None, collaboration_id: 1 };
        assert_eq!(Event::Kill(kill(3)).for_followers(), Some(Event::Kill(kill(3))));
        let all = Kill { kill_list: None, ..kill(0) };
        assert_eq!(Event::Kill(kill(70_000)).for_followers(), Some(Event::Kill(all)));
        let node = |name: String| Event::NodeOnline(NodePresence { id: 1, name, org_id: 1 });
        assert!(node("a".into()).for_followers().is_some() && node("a".repeat(5_000)).for_followers().is_none());
    }
    use serde_json::json;

    #[test]
    fn events_of_the_protocol_become_domain_events() {
        let payload = json!({"status": "completed", "run_id": 7, "task_id": 3, "job_id": 2, "collaboration_id": 1,
            "node_id": 1, "organization_id": 2, "parent_id": null});
        let Some(Event::StatusChange(change)) = Event::from_v4("algorithm_status_change", payload) else { panic!() };
        assert_eq!((change.status, change.run_id, change.parent_id), (Status::Completed, 7, None));
        assert_eq!(
            Event::from_v4("new_task", json!({"id": 4, "parent_id": 3})),
            Some(Event::NewTask(NewTask { id: 4, parent_id: Some(3) }))
        );
        assert_eq!(Event::from_v4("message", json!("User <bob> joined")), None);
        assert_eq!(Event::from_v4("new_task", json!("nonsense")), None);
    }
}
