//! Connections: who is at the other end, which rooms they are in, and for how long.

use std::{sync::Arc, time::Duration};

use axum::{Router, http::HeaderMap};
use socketioxide::{
    SocketIo,
    extract::{AckSender, SocketRef},
    socket::DisconnectReason,
};

use super::{
    door::{Begun, EventServer},
    lane::{Lane, LastTold},
    message::Message,
    node::{self, Present},
    sender::{collaboration_room, log_room, organization_log_room, organization_room},
    told::Facts,
};
use crate::{
    hub::{
        HubError, audit, authentication,
        permission::{Caller, CallerKind, Reach, Resource},
        program,
        server::HubState,
        token::{Claims, Purpose},
    },
    protocol::{
        domain::Operation,
        event::{LogLines, NAMESPACE, StatusChange},
    },
};

/// How long a connection without a valid token stays: long enough for its client to read why.
const REFUSED_LIFETIME: Duration = Duration::from_secs(10);

/// Accepts connections to the namespace `/tasks`.
pub fn serve(server: EventServer, hub: Arc<HubState>) -> Router {
    for io in server.ios() {
        tokio::spawn(review_on_changes(io.clone(), Arc::downgrade(&hub), hub.store.changes()));
        let hub = hub.clone();
        io.ns(NAMESPACE, move |socket: SocketRef| {
            let hub = hub.clone();
            // Before anything is awaited: a client may send as soon as it is connected.
            register(&socket, &hub);
            async move { connect(socket, &hub).await }
        });
    }
    server.route(hub)
}

/// Who is at the other end of a connection; in its extensions once it is known.
#[derive(Clone)]
struct Peer {
    kind: CallerKind,
    /// What the token of the connection says: sessions that were ended are over here too.
    claims: Arc<Claims>,
}

impl Peer {
    /// The peer with what it may do now; an error if it is not known any more or its sessions were ended.
    async fn caller(self, hub: &HubState) -> Result<Caller, HubError> {
        let caller = authentication::caller_of(hub, &self.claims).await?;
        program::require_place(hub, &caller).await?;
        Ok(caller)
    }
}

fn register(socket: &SocketRef, hub: &Arc<HubState>) {
    let node_id = socket.req_parts().extensions.get::<Begun>().and_then(|begun| begun.node_id);
    socket.extensions.insert(node_id.map_or_else(Arc::default, |id| hub.lanes.of(id)));
    socket.extensions.insert(Arc::new(LastTold::default()));
    macro_rules! on {
        ($name:expr, $told:ty, $is_new:expr, $handler:path) => {
            let shared = hub.clone();
            socket.on($name, move |socket: SocketRef, message: Message, ack: AckSender| {
                let hub = shared.clone();
                async move {
                    let Some(lane) = socket.extensions.get::<Arc<Lane>>() else { return };
                    let Some(_turn) = lane.turn(message.bytes()).await else { return end_flood(&hub, socket) };
                    let Some((caller, id)) = node_at(&socket, &hub).await else { return end_who_only_listens(socket) };
                    let done = match message.read::<$told>() {
                        Ok(told) if $is_new(&socket, &told) => $handler(&hub, &caller, id, told).await,
                        Ok(_) => Ok(()),
                        Err(error) => Err(HubError::bad(error.to_string())),
                    };
                    if let Err(error) = done {
                        // Of many the journal names some.
                        if hub.event_warnings.check_key(&caller.authority.actor).is_ok() {
                            tracing::warn!(%error, node_id = id, event = $name, "an event of a node was not accepted");
                        }
                    }
                    // For those who asked to be told that it was dealt with; they may have gone meanwhile.
                    let _ = ack.send(NO_ARGUMENT);
                }
            });
        };
    }
    let are_new = |socket: &SocketRef, facts: &Facts| {
        socket.extensions.get::<Arc<LastTold>>().is_none_or(|last_told| last_told.is_new(facts))
    };
    on!("node_info_update", Facts, are_new, node::info_update);
    on!("algorithm_status_change", StatusChange, |_: &SocketRef, _: &StatusChange| true, node::algorithm_status_change);
    on!("algorithm_log", LogLines, |_: &SocketRef, _: &LogLines| true, node::algorithm_log);
    let shared = hub.clone();
    socket.on("ping", move |socket: SocketRef| {
        let hub = shared.clone();
        async move {
            let Some(last_told) = socket.extensions.get::<Arc<LastTold>>() else { return };
            if !last_told.is_to_be_seen() {
                return;
            }
            let Some((_, id)) = node_at(&socket, &hub).await else { return };
            if let Err(error) = node::seen(&hub, id).await {
                tracing::warn!(%error, node_id = id, "a ping was not noted");
            }
        }
    });
    let shared = hub.clone();
    socket.on_disconnect(move |socket: SocketRef, reason: DisconnectReason| {
        let hub = shared.clone();
        async move {
            let Some(present) = socket.extensions.remove::<Present>() else { return };
            let said_goodbye = matches!(reason, DisconnectReason::ClientNSDisconnect);
            if let Err(error) = node::left(&hub, &present, said_goodbye).await {
                tracing::error!(%error, node_id = present.id, "a node could not be set offline");
            }
        }
    });
}

/// Ends a connection over which more comes than can be dealt with.
fn end_flood(hub: &HubState, socket: SocketRef) {
    if socket.connected() {
        if hub.event_warnings.check_key(&String::new()).is_ok() {
            tracing::warn!("a connection sends more events than can be dealt with, and is ended");
        }
        socket.extensions.remove::<Peer>();
        end(socket);
    }
}

/// At the other end somebody tells something, who is no node or not known yet.
#[derive(Clone)]
struct TellsSomething;

/// Ends a connection of somebody who has nothing to tell and does; as soon as it is known who that is.
fn end_who_only_listens(socket: SocketRef) {
    socket.extensions.insert(TellsSomething);
    if socket.extensions.get::<Peer>().is_some_and(|peer| !matches!(peer.kind, CallerKind::Node { .. })) {
        end(socket);
    }
}

/// The node at the other end, with what it may do now; `None` if it is none, or no longer.
async fn node_at(socket: &SocketRef, hub: &HubState) -> Option<(Caller, i64)> {
    let peer: Peer = socket.extensions.get()?;
    let CallerKind::Node { id } = peer.kind else { return None };
    Some((peer.caller(hub).await.ok()?, id))
}

/// An event without an argument: `()` would be sent as null, for which handlers of the official node have no place.
const NO_ARGUMENT: &[(); 0] = &[];

async fn connect(socket: SocketRef, hub: &Arc<HubState>) {
    let changes = hub.store.changes();
    let seen = *changes.borrow();
    let (caller, claims) = match caller_of(hub, &socket.req_parts().headers).await {
        Ok(known) => known,
        Err(error) => {
            let claims = authentication::bearer(&socket.req_parts().headers);
            if let Ok(claims) = claims.and_then(|token| hub.tokens.check(token, Purpose::Access))
                && let Err(error) = audit::note_ended(hub, &claims).await
            {
                tracing::error!(%error, "that a token has ended is not in the audit log");
            }
            let expired = matches!(error, HubError::Unauthenticated(message) if message.contains("expired"));
            let _ = socket.emit(if expired { "expired_token" } else { "invalid_token" }, NO_ARGUMENT);
            tokio::time::sleep(REFUSED_LIFETIME).await;
            end(socket);
            return;
        }
    };
    match rooms_of(hub, &caller).await {
        Ok(rooms) => socket.join(rooms),
        Err(error) => {
            tracing::error!(%error, "a connection got no rooms");
            end(socket);
            return;
        }
    }
    let family = claims.family.unwrap_or_default();
    socket.extensions.insert(Peer { kind: caller.kind.clone(), claims: Arc::new(claims) });
    if socket.extensions.get::<TellsSomething>().is_some() {
        end_who_only_listens(socket.clone());
    }
    if let CallerKind::Node { id } = caller.kind {
        let present = Present::new(id, family, &caller);
        let came = async {
            program::require_place(hub, &caller).await?;
            node::came(hub, &present).await
        };
        if let Err(error) = came.await {
            if let HubError::Conflict(message) = &error {
                let _ = socket.emit("second_program", message);
                socket.leave_all();
                socket.extensions.remove::<Peer>();
                tokio::time::sleep(REFUSED_LIFETIME).await;
            }
            tracing::error!(%error, node_id = id, "a node could not be set online");
            end(socket);
            return;
        }
        socket.extensions.insert(present.clone());
        // It may have left before it was known: its farewell found no connection to end then.
        if !socket.connected() && socket.extensions.remove::<Present>().is_some() {
            if let Err(error) = node::left(hub, &present, false).await {
                tracing::error!(%error, node_id = id, "a node could not be set offline");
            }
            return;
        }
        let _ = socket.emit("sync", NO_ARGUMENT);
    }
    // Something may have changed while this connection was not yet among those that are looked at.
    if *changes.borrow() != seen {
        review(&socket, hub).await;
    }
}

/// Ends a connection. One whose client reads slowly has to be told several times: its queue may be full.
fn end(socket: SocketRef) {
    if socket.clone().disconnect().is_ok() {
        return;
    }
    tokio::spawn(async move {
        while socket.connected() && socket.clone().disconnect().is_err() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
}

/// Who connects, and what their token says.
async fn caller_of(hub: &HubState, headers: &HeaderMap) -> Result<(Caller, Claims), HubError> {
    let claims = hub.tokens.check(authentication::bearer(headers)?, Purpose::Access)?;
    Ok((authentication::caller_of(hub, &claims).await?, claims))
}

/// The rooms in which somebody may be.
async fn rooms_of(hub: &HubState, caller: &Caller) -> Result<Vec<String>, HubError> {
    let authority = &caller.authority;
    let of_organization = |id: &i64| organization_room(*id, authority.organization_id);
    Ok(match caller.kind {
        CallerKind::Node { .. } => {
            let own = authority.collaborations.iter().flat_map(|id| [collaboration_room(*id), of_organization(id)]);
            std::iter::once("all_nodes".to_owned()).chain(own).collect()
        }
        CallerKind::User { .. } => {
            let Some(reach) = caller.reach(Resource::Event, Operation::Receive) else { return Ok(Vec::new()) };
            let heard = match reach {
                Reach::Everything => {
                    sqlx::query_scalar("SELECT id FROM collaboration").fetch_all(hub.store.reader()).await?
                }
                Reach::Own => Vec::new(),
                _ => authority.collaborations.clone(),
            };
            let room = |id: &i64| match reach {
                Reach::Organization => of_organization(id),
                _ => collaboration_room(*id),
            };
            // No further than the runs may be seen by themselves.
            let logs = |id: &i64| match caller.reach(Resource::Run, Operation::View) {
                Some(Reach::Everything) => Some(log_room(*id)),
                Some(Reach::Collaboration) if authority.collaborations.contains(id) => Some(log_room(*id)),
                Some(Reach::Organization | Reach::Collaboration) => {
                    Some(organization_log_room(*id, authority.organization_id))
                }
                _ => None,
            };
            heard.iter().map(room).chain(heard.iter().filter_map(logs)).collect()
        }
        CallerKind::Container(_) => Vec::new(),
    })
}

/// Looks at all connections whenever users, roles, nodes, organizations or collaborations changed.
async fn review_on_changes(
    io: SocketIo,
    hub: std::sync::Weak<HubState>,
    mut changes: tokio::sync::watch::Receiver<u64>,
) {
    while changes.changed().await.is_ok() {
        let (Some(hub), Some(namespace)) = (hub.upgrade(), io.of(NAMESPACE)) else { return };
        for socket in namespace.sockets() {
            review(&socket, &hub).await;
        }
    }
}

/// Puts a connection into the rooms where it belongs now; ends it if nobody is at its other end any more.
async fn review(socket: &SocketRef, hub: &HubState) {
    let Some(peer) = socket.extensions.get::<Peer>() else { return };
    let rooms = match peer.caller(hub).await {
        Ok(caller) => rooms_of(hub, &caller).await,
        Err(error) => Err(error),
    };
    match rooms {
        Ok(rooms) => {
            let present = socket.rooms();
            if present.len() != rooms.len() || !rooms.iter().all(|room| present.iter().any(|other| other == room)) {
                socket.leave_all();
                socket.join(rooms);
            }
        }
        Err(error) => {
            tracing::info!(%error, "a connection is ended: its owner is not known any more");
            socket.leave_all();
            socket.extensions.remove::<Peer>();
            end(socket.clone());
        }
    }
}
