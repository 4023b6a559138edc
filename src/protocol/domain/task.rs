use jiff::Timestamp;
use serde_json::json;

use super::{FunctionCall, id_of, text_of};
use crate::protocol::{payload, review::Subject, status::Status, timestamp, wire::v4};

/// A function that runs, or ran, at organizations.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    pub id: i64,
    pub name: String,
    pub description: String,
    pub image: String,
    pub status: Status,
    /// What admins still have to decide about before it, or a subtask of it, goes on; our hub only.
    pub awaits: Option<Subject>,
    pub created_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub collaboration_id: Option<i64>,
    pub study_id: Option<i64>,
    /// The task whose central function created this one.
    pub parent_id: Option<i64>,
    pub init_organization_id: Option<i64>,
    pub init_user_id: Option<i64>,
    pub store_id: Option<i64>,
    /// Database labels, in the order in which the function takes them.
    pub databases: Vec<String>,
}

impl From<v4::Task> for Task {
    fn from(wire: v4::Task) -> Self {
        Task {
            id: wire.id,
            name: wire.name,
            description: text_of(wire.description),
            image: wire.image,
            status: wire.status,
            awaits: wire.awaits,
            created_at: wire.created_at.as_deref().and_then(timestamp::parse),
            finished_at: wire.finished_at.as_deref().and_then(timestamp::parse),
            collaboration_id: id_of(wire.collaboration),
            study_id: id_of(wire.study),
            parent_id: id_of(wire.parent),
            init_organization_id: id_of(wire.init_org),
            init_user_id: id_of(wire.init_user),
            store_id: id_of(wire.algorithm_store),
            databases: wire.databases.into_iter().map(|database| database.label).collect(),
        }
    }
}

/// A task to be created.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskSpec {
    pub name: String,
    pub description: String,
    pub image: String,
    pub collaboration_id: i64,
    pub study_id: Option<i64>,
    /// The algorithm store that describes the function, by the server's id of it.
    pub store_id: Option<i64>,
    /// Database labels, in the order in which the function takes them.
    pub databases: Vec<String>,
    /// The organizations that run the function.
    pub organizations: Vec<i64>,
    pub call: FunctionCall,
}

impl From<&TaskSpec> for v4::NewTask {
    /// The body of `POST /task` for an unencrypted collaboration: the input is readable by the server.
    fn from(spec: &TaskSpec) -> Self {
        let input = payload::encode_call(&spec.call);
        v4::NewTask {
            name: spec.name.clone(),
            description: spec.description.clone(),
            image: spec.image.clone(),
            collaboration_id: Some(spec.collaboration_id),
            study_id: spec.study_id,
            store_id: spec.store_id,
            server_url: None,
            databases: spec.databases.iter().map(|label| json!({"label": label})).collect(),
            organizations: spec
                .organizations
                .iter()
                .map(|id| v4::NewTaskOrganization { id: *id, input: input.clone() })
                .collect(),
        }
    }
}
