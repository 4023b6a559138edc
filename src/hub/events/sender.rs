use serde::Serialize;
use socketioxide::SocketIo;

use crate::protocol::event::NAMESPACE;

/// Sends events to those who may hear them.
pub struct Events {
    /// Users and nodes are at servers of their own.
    ios: [SocketIo; 2],
}

impl Events {
    pub fn new(ios: [SocketIo; 2]) -> Self {
        Events { ios }
    }

    /// Ends all connections.
    pub async fn close(&self) {
        for io in &self.ios {
            io.close().await;
        }
    }

    /// To everybody who may hear a collaboration.
    pub async fn to_collaboration(&self, collaboration_id: i64, name: &str, payload: &impl Serialize) {
        self.to_rooms(vec![collaboration_room(collaboration_id)], name, payload).await;
    }

    /// To everybody in one of these rooms.
    pub(super) async fn to_rooms(&self, rooms: Vec<String>, name: &str, payload: &impl Serialize) {
        for io in &self.ios {
            let Some(namespace) = io.of(NAMESPACE) else { continue };
            // A failure concerns a connection that is going away; its owner asks again after it has connected anew.
            if let Err(error) = namespace.to(rooms.clone()).emit(name, payload).await {
                tracing::debug!(%error, name, "an event did not reach everybody");
            }
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
