//! Connections: who is at the other end, which rooms they are in, and for how long.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, HttpBody, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use socketioxide::{
    SocketIo,
    extract::{AckSender, Data, SocketRef},
    socket::DisconnectReason,
};

use super::{
    lane::Lane,
    node::{self, Present},
    sender::{collaboration_room, log_room, organization_log_room, organization_room},
};
use crate::{
    hub::{
        HubError, authentication,
        permission::{Caller, CallerKind, Reach, Resource},
        program,
        server::HubState,
        token::{Claims, ClientType, Purpose},
    },
    protocol::{bounded::EventPayload, domain::Operation, event::NAMESPACE},
    serve::ClientAddress,
};

/// How long a connection without a valid token stays: long enough for its client to read why.
const REFUSED_LIFETIME: Duration = Duration::from_secs(10);

/// The largest message, in bytes.
pub const MESSAGE_LIMIT: u64 = 1024 * 1024;
/// The most that an answer to the beginning of a session has.
const OPENING_LIMIT: usize = 16 * 1024;
/// The largest one of a user, who only listens: enough to ask for the namespace, with a token.
const USER_LIMIT: u64 = 16 * 1024;
/// The largest one of somebody whose token is not good: enough to ask for the namespace and to be told why not.
const STRANGER_LIMIT: u64 = 1024;

/// A session that somebody with a good token has begun.
#[derive(Clone)]
pub struct EventSession {
    limit: u64,
    /// Whether a message is being read: clients send one after the other.
    is_sending: Arc<AtomicBool>,
}

/// Lets nobody begin a connection without a token. With one that is not good, for example since it has ended, somebody may
/// connect to be told so; of these there are some a minute, who send nothing large. Clients send the token when they
/// begin, and not with what they send later: then the session's id tells.
pub async fn require_token(State(hub): State<Arc<HubState>>, request: Request, next: Next) -> Response {
    let query = request.uri().query().unwrap_or_default();
    // Over a WebSocket messages can be as long as a node's may be: without a good token there is none.
    let is_web_socket = query.split('&').any(|pair| pair == "transport=websocket");
    if let Some(session) = query.split('&').find_map(|pair| pair.strip_prefix("sid=")) {
        if is_web_socket && hub.event_sessions.get(session).is_none() {
            return HubError::Unauthenticated("Missing Authorization Header").into_response();
        }
        if request.method() != Method::POST {
            return next.run(request).await;
        }
        let bytes = request.body().size_hint().upper();
        let is_within = |limit| bytes.is_some_and(|bytes| bytes <= limit);
        // Each message, as the pings are, keeps it remembered.
        return match hub.event_sessions.get(session) {
            None if is_within(STRANGER_LIMIT) => next.run(request).await,
            None => HubError::Unauthenticated("Missing Authorization Header").into_response(),
            Some(known) if !is_within(known.limit) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
            Some(known) if known.is_sending.swap(true, Ordering::AcqRel) => HubError::TooMany.into_response(),
            Some(known) => {
                let _sending = Sending(known.is_sending);
                next.run(request).await
            }
        };
    }
    // Without one a test calls the router itself.
    let address =
        request.extensions().get::<ClientAddress>().map_or(IpAddr::from([0, 0, 0, 0]), ClientAddress::network);
    let checked = match authentication::bearer(request.headers()) {
        Ok(token) => hub.tokens.check(token, Purpose::Access),
        Err(error) => return error.into_response(),
    };
    match checked {
        Err(error) if is_web_socket || hub.strangers.check_key(&address).is_err() => error.into_response(),
        Err(_) => next.run(request).await,
        // Each session is kept for a while after the last that was heard of it.
        Ok(claims) if hub.openings.check_key(&format!("{:?} {:?}", claims.client_type, claims.sub)).is_err() => {
            HubError::TooMany.into_response()
        }
        Ok(claims) => {
            let limit = if claims.client_type == ClientType::Node { MESSAGE_LIMIT } else { USER_LIMIT };
            remember_session(&hub, limit, next.run(request).await).await
        }
    }
}

/// A message that is being read.
struct Sending(Arc<AtomicBool>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Remembers the id of a session that somebody with a good token has begun.
async fn remember_session(hub: &HubState, limit: u64, response: Response) -> Response {
    if response.status() != StatusCode::OK {
        return response;
    }
    let (parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, OPENING_LIMIT).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let text = String::from_utf8_lossy(&bytes);
    if let Some((_, rest)) = text.split_once(r#""sid":""#)
        && let Some((session, _)) = rest.split_once('"')
    {
        hub.event_sessions.insert(session.to_owned(), EventSession { limit, is_sending: Arc::default() });
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// Accepts connections to the namespace `/tasks`.
pub fn serve(io: &SocketIo, hub: Arc<HubState>) {
    tokio::spawn(review_on_changes(io.clone(), Arc::downgrade(&hub), hub.store.changes()));
    io.ns(NAMESPACE, move |socket: SocketRef| {
        let hub = hub.clone();
        // Before anything is awaited: a client may send as soon as it is connected.
        register(&socket, &hub);
        async move { connect(socket, &hub).await }
    });
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
    socket.extensions.insert(Arc::new(Lane::default()));
    macro_rules! on {
        ($name:expr, $handler:path) => {
            let shared = hub.clone();
            socket.on($name, move |socket: SocketRef, Data(EventPayload(payload)): Data<EventPayload>, ack: AckSender| {
                let hub = shared.clone();
                async move {
                    let Some(lane) = socket.extensions.get::<Arc<Lane>>() else { return };
                    let Some(_turn) = lane.turn(&payload).await else { return end_flood(socket) };
                    let Some((caller, id)) = node_at(&socket, &hub).await else { return end_who_only_listens(socket) };
                    if $name == INFO_UPDATE && !lane.is_new(&payload) {
                        let _ = ack.send(NO_ARGUMENT);
                        return;
                    }
                    if let Err(error) = $handler(&hub, &caller, id, payload).await {
                        tracing::warn!(%error, node_id = id, event = $name, "an event of a node was not accepted");
                    }
                    // For those who asked to be told that it was dealt with; they may have gone meanwhile.
                    let _ = ack.send(NO_ARGUMENT);
                }
            });
        };
    }
    on!(INFO_UPDATE, node::info_update);
    on!("algorithm_status_change", node::algorithm_status_change);
    on!("algorithm_log", node::algorithm_log);
    let shared = hub.clone();
    socket.on("ping", move |socket: SocketRef| {
        let hub = shared.clone();
        async move {
            let Some(lane) = socket.extensions.get::<Arc<Lane>>() else { return };
            if !lane.is_to_be_seen() {
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

const INFO_UPDATE: &str = "node_info_update";

/// Ends a connection over which more comes than can be dealt with.
fn end_flood(socket: SocketRef) {
    if socket.connected() {
        tracing::warn!("a connection sends more events than can be dealt with, and is ended");
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
            let expired = matches!(error, HubError::Unauthenticated(message) if message.contains("expired"));
            let _ = socket.emit(if expired { "expired_token" } else { "invalid_token" }, NO_ARGUMENT);
            tokio::time::sleep(REFUSED_LIFETIME).await;
            end(socket);
            return;
        }
    };
    let Some(place) = hub.event_connections.free_place(&caller.authority.actor) else {
        tracing::warn!(actor = caller.authority.actor, "too many connections for events at once");
        return end(socket);
    };
    socket.extensions.insert(Arc::new(place));
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
