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
    Router,
    body::{Body, HttpBody, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
    routing::any,
};
use socketioxide::{
    ParserConfig, SocketIo,
    extract::{AckSender, SocketRef, TryData},
    socket::DisconnectReason,
};
use tokio::sync::OwnedSemaphorePermit;
use tower::ServiceExt;

use super::{
    lane::{Lane, LastTold},
    node::{self, Present},
    sender::{collaboration_room, log_room, organization_log_room, organization_room},
    told::{Facts, Told},
};
use crate::{
    hub::{
        HubError, authentication,
        permission::{Caller, CallerKind, Reach, Resource},
        program,
        server::HubState,
        token::{Claims, ClientType, Purpose, Subject},
    },
    protocol::{
        domain::Operation,
        event::{LogLines, NAMESPACE, StatusChange},
    },
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
    kind: Kind,
    /// Whether a message is being read: clients send one after the other.
    is_sending: Arc<AtomicBool>,
}

impl EventSession {
    fn limit(&self) -> u64 {
        match self.kind {
            Kind::Node => MESSAGE_LIMIT,
            Kind::User => USER_LIMIT,
        }
    }
}

/// The servers of Socket.IO: one for nodes, whose messages may be large, and one for everybody else.
pub struct EventServer {
    nodes: (Router, SocketIo),
    others: (Router, SocketIo),
}

impl EventServer {
    pub fn new() -> Self {
        let server = |limit: u64| {
            let (service, io) = SocketIo::builder()
                .ping_interval(Duration::from_secs(25))
                .ping_timeout(Duration::from_secs(60))
                .max_payload(limit)
                .ws_max_message_size(limit as usize)
                .ws_max_frame_size(limit as usize)
                // Nobody sends anything binary: parts of such an event would be kept until all have come.
                .with_parser(ParserConfig::common().max_incoming_binaries(0).max_incoming_binary_buf_size(0))
                // A client asks for the namespace as soon as it has connected.
                .connect_timeout(Duration::from_secs(5))
                .build_svc();
            // One service for all methods: a session that GET opened is known to POST.
            (Router::new().route_service(PATH, service), io)
        };
        EventServer { nodes: server(MESSAGE_LIMIT), others: server(USER_LIMIT) }
    }

    pub fn ios(&self) -> [SocketIo; 2] {
        [self.nodes.1.clone(), self.others.1.clone()]
    }
}

const PATH: &str = "/socket.io/";

/// What requests for events need.
#[derive(Clone)]
struct Doors {
    hub: Arc<HubState>,
    nodes: Router,
    others: Router,
}

impl Doors {
    async fn enter(&self, kind: Kind, request: Request) -> Response {
        let server = if kind == Kind::Node { &self.nodes } else { &self.others };
        match server.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// Who begins a session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Node,
    User,
}

/// What a request that begins a session leaves in its extensions, as long as the connection is there.
#[derive(Clone)]
struct Begun {
    node_id: Option<i64>,
    _place: Arc<OwnedSemaphorePermit>,
}

/// Lets nobody begin a connection without a token. With one that is not good, for example since it has ended, somebody may
/// connect to be told so; of these there are some a minute, who send nothing large. Clients send the token when they
/// begin, and not with what they send later: then the session's id tells.
async fn door(State(doors): State<Doors>, mut request: Request) -> Response {
    let hub = doors.hub.clone();
    let query = request.uri().query().unwrap_or_default();
    // Over a WebSocket nobody is asked for a token again: without a good one there is none.
    let is_web_socket = query.split('&').any(|pair| pair == "transport=websocket");
    if let Some(session) = query.split('&').find_map(|pair| pair.strip_prefix("sid=")) {
        let known = hub.event_sessions.get(session);
        if is_web_socket && known.is_none() {
            return HubError::Unauthenticated("Missing Authorization Header").into_response();
        }
        let kind = known.as_ref().map_or(Kind::User, |known| known.kind);
        if request.method() != Method::POST {
            return doors.enter(kind, request).await;
        }
        let bytes = request.body().size_hint().upper();
        let is_within = |limit| bytes.is_some_and(|bytes| bytes <= limit);
        // Each message, as the pings are, keeps it remembered.
        return match known {
            None if is_within(STRANGER_LIMIT) => doors.enter(kind, request).await,
            None => HubError::Unauthenticated("Missing Authorization Header").into_response(),
            Some(known) if !is_within(known.limit()) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
            Some(known) if known.is_sending.swap(true, Ordering::AcqRel) => HubError::TooMany.into_response(),
            Some(known) => {
                let _sending = Sending(known.is_sending);
                doors.enter(kind, request).await
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
    let claims = match checked {
        Err(error) if is_web_socket || hub.strangers.check_key(&address).is_err() => return error.into_response(),
        Err(_) => return doors.enter(Kind::User, request).await,
        Ok(claims) => claims,
    };
    // Each session is kept for a while after the last that was heard of it.
    let owner = format!("{:?} {:?}", claims.client_type, claims.sub);
    if hub.openings.check_key(&owner).is_err() {
        return HubError::TooMany.into_response();
    }
    let (kind, node_id, places) = match (claims.client_type, &claims.sub) {
        (ClientType::Node, Subject::Id(id)) => (Kind::Node, Some(*id), &hub.connections_of_nodes),
        _ => (Kind::User, None, &hub.connections_of_users),
    };
    // Here, and not when it is known who it is: before that a connection takes as much.
    let Some(place) = places.free_place(&owner) else { return HubError::TooMany.into_response() };
    request.extensions_mut().insert(Begun { node_id, _place: Arc::new(place) });
    remember_session(&hub, kind, doors.enter(kind, request).await).await
}

/// A message that is being read.
struct Sending(Arc<AtomicBool>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Remembers the id of a session that somebody with a good token has begun.
async fn remember_session(hub: &HubState, kind: Kind, response: Response) -> Response {
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
        hub.event_sessions.insert(session.to_owned(), EventSession { kind, is_sending: Arc::default() });
    }
    Response::from_parts(parts, Body::from(bytes))
}

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
    let doors = Doors { hub, nodes: server.nodes.0, others: server.others.0 };
    Router::new().route(PATH, any(door)).with_state(doors)
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
            socket.on($name, move |socket: SocketRef, TryData(told): TryData<$told>, ack: AckSender| {
                let hub = shared.clone();
                async move {
                    let Some(lane) = socket.extensions.get::<Arc<Lane>>() else { return };
                    let weight = told.as_ref().map_or(0, Told::weight);
                    let Some(_turn) = lane.turn(weight).await else { return end_flood(&hub, socket) };
                    let Some((caller, id)) = node_at(&socket, &hub).await else { return end_who_only_listens(socket) };
                    let done = match told {
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
