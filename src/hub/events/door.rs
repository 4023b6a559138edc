//! The door to events: who gets in, with messages of which size, and for how many there is place.

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
    http::{
        HeaderName, Method, StatusCode,
        header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, UPGRADE},
    },
    response::{IntoResponse, Response},
    routing::any,
};
use socketioxide::{ParserConfig, SocketIo};
use tower::ServiceExt;

use crate::{
    hub::{
        HubError, authentication,
        server::HubState,
        token::{ClientType, Purpose, Subject},
    },
    serve::{ClientAddress, Place},
};

/// The largest message, in bytes.
const MESSAGE_LIMIT: u64 = 1024 * 1024;
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

    /// The route of Socket.IO, behind the door.
    pub fn route(self, hub: Arc<HubState>) -> Router {
        let doors = Doors { hub, nodes: self.nodes.0, others: self.others.0 };
        Router::new().route(PATH, any(door)).with_state(doors)
    }

    /// Both, for what is done with every connection.
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
pub struct Begun {
    /// Whose token it brought, if it is one of a node.
    pub node_id: Option<i64>,
    _place: Arc<Place>,
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
        Err(error)
            if is_web_socket || hub.strangers.check_key(&address).is_err() || hub.all_strangers.check().is_err() =>
        {
            return error.into_response();
        }
        Err(_) => return doors.enter(Kind::User, request).await,
        Ok(claims) => claims,
    };
    // Nothing is told to algorithms, and a node can have any number of their tokens.
    let Subject::Id(id) = claims.sub else {
        return HubError::WrongClient("Algorithms do not listen to events").into_response();
    };
    // Each session is kept for a while after the last that was heard of it.
    let owner = format!("{:?} {id}", claims.client_type);
    if hub.openings.check_key(&owner).is_err() {
        return HubError::TooMany.into_response();
    }
    let (kind, node_id, places) = match claims.client_type {
        ClientType::Node => (Kind::Node, Some(id), &hub.connections_of_nodes),
        _ => (Kind::User, None, &hub.connections_of_users),
    };
    // Here, and not when it is known who it is: before that a connection takes as much.
    let Some(place) = places.free_place(&owner) else { return HubError::TooMany.into_response() };
    request.extensions_mut().insert(Begun { node_id, _place: Arc::new(place) });
    // They are kept as long as the connection is there.
    for name in request.headers().keys().filter(|name| !is_needed(name)).cloned().collect::<Vec<_>>() {
        request.headers_mut().remove(name);
    }
    remember_session(&hub, kind, doors.enter(kind, request).await).await
}

/// Whether a connection begins with this header.
fn is_needed(name: &HeaderName) -> bool {
    let of_socket = name.as_str().starts_with("sec-websocket-");
    of_socket || [AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, UPGRADE].contains(name)
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
