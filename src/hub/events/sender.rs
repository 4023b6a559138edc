use serde::Serialize;
use socketioxide::SocketIo;

use crate::protocol::event::NAMESPACE;

/// Sends events to those who may hear them.
pub struct Events {
    io: SocketIo,
}

impl Events {
    pub fn new(io: SocketIo) -> Self {
        Events { io }
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
