use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use serde::Serialize;
use socketioxide::SocketIo;

use uuid::Uuid;

use crate::protocol::event::NAMESPACE;

/// Sends events to those who may hear them.
pub struct Events {
    io: SocketIo,
    /// How many connections each node has, and of which family their tokens are: a program that signs in has one of its
    /// own.
    connections: Mutex<HashMap<i64, (usize, Option<Uuid>)>>,
}

impl Events {
    pub fn new(io: SocketIo) -> Self {
        Events { io, connections: Mutex::default() }
    }

    /// To everybody who may hear a collaboration.
    pub async fn to_collaboration(&self, collaboration_id: i64, name: &str, payload: &impl Serialize) {
        self.to_rooms(vec![collaboration_room(collaboration_id)], name, payload).await;
    }

    /// To everybody in one of these rooms.
    pub(super) async fn to_rooms(&self, rooms: Vec<String>, name: &str, payload: &impl Serialize) {
        let Some(namespace) = self.io.of(NAMESPACE) else { return };
        // A failure concerns a connection that is going away; its owner asks again after it has connected anew.
        if let Err(error) = namespace.to(rooms).emit(name, payload).await {
            tracing::debug!(%error, name, "an event did not reach everybody");
        }
    }

    /// Whether a node is connected.
    pub fn is_connected(&self, node_id: i64) -> bool {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&node_id)
    }

    /// Notes one more connection of a node; whether it is the first. `None` if another program is connected with the
    /// same key: both would compute every run.
    pub(super) fn connected(&self, node_id: i64, family: Option<Uuid>) -> Option<bool> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, of) = connections.entry(node_id).or_insert((0, family));
        if *of != family {
            return None;
        }
        *count += 1;
        Some(*count == 1)
    }

    /// Notes one connection less; whether it was the last.
    pub(super) fn disconnected(&self, node_id: i64) -> bool {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((count, _)) = connections.get_mut(&node_id) else { return false };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        connections.remove(&node_id);
        true
    }
}

/// Whoever may hear a whole collaboration.
pub(super) fn collaboration_room(collaboration_id: i64) -> String {
    format!("collaboration_{collaboration_id}")
}

/// Users who may see all runs of a collaboration.
pub(super) fn log_room(collaboration_id: i64) -> String {
    format!("collaboration_{collaboration_id}_logs")
}

/// Users who may see the runs of one organization in a collaboration, and those that it asked for.
pub(super) fn organization_log_room(collaboration_id: i64, organization_id: i64) -> String {
    format!("collaboration_{collaboration_id}_organization_{organization_id}_logs")
}

/// Whoever may hear one organization of a collaboration.
pub(super) fn organization_room(collaboration_id: i64, organization_id: i64) -> String {
    format!("collaboration_{collaboration_id}_organization_{organization_id}")
}
