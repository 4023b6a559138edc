//! Socket.IO: who is connected, who hears what (vantage6-protocol.md 1.9).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::http::HeaderMap;
use serde::Serialize;
use serde_json::{Value, json};
use socketioxide::{
    SocketIo,
    extract::{Data, SocketRef},
};

use super::{
    HubError, authentication,
    permission::{Caller, CallerKind, Reach, Resource},
    server::HubState,
    token::Purpose,
};
use crate::protocol::{
    domain::Operation,
    event::{LogLines, NAMESPACE, NodePresence, StatusChange},
    timestamp,
};

/// The most facts that a node may share of itself.
const CONFIG_LIMIT: usize = 10_000;
/// The longest single fact, in bytes.
const CONFIG_VALUE_LIMIT: usize = 1_000;
/// The longest log of a run, in bytes; what comes after is dropped.
pub const LOG_LIMIT: usize = 1024 * 1024;

/// Sends events to those who may hear them.
pub struct Events {
    io: SocketIo,
    /// How many connections each node has.
    connections: Mutex<HashMap<i64, usize>>,
}

impl Events {
    pub fn new(io: SocketIo) -> Self {
        Events { io, connections: Mutex::default() }
    }

    /// To everybody who may hear a collaboration.
    pub async fn to_collaboration(&self, collaboration_id: i64, name: &str, payload: &impl Serialize) {
        self.to_rooms(vec![collaboration_room(collaboration_id)], name, payload).await;
    }

    async fn to_rooms(&self, rooms: Vec<String>, name: &str, payload: &impl Serialize) {
        let Some(namespace) = self.io.of(NAMESPACE) else { return };
        // A failure concerns a connection that is going away; its owner asks again after it has connected anew.
        if let Err(error) = namespace.to(rooms).emit(name, payload).await {
            tracing::debug!(%error, name, "an event did not reach everybody");
        }
    }

    /// Notes one more connection of a node; whether it is the first.
    fn connected(&self, node_id: i64) -> bool {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let count = connections.entry(node_id).or_default();
        *count += 1;
        *count == 1
    }

    /// Notes one connection less; whether it was the last.
    fn disconnected(&self, node_id: i64) -> bool {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = connections.get_mut(&node_id) else { return false };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        connections.remove(&node_id);
        true
    }
}

fn collaboration_room(collaboration_id: i64) -> String {
    format!("collaboration_{collaboration_id}")
}

fn organization_room(collaboration_id: i64, organization_id: i64) -> String {
    format!("collaboration_{collaboration_id}_organization_{organization_id}")
}

/// Accepts connections to the namespace `/tasks`.
pub fn serve(io: &SocketIo, hub: Arc<HubState>) {
    io.ns(NAMESPACE, move |socket: SocketRef| {
        let hub = hub.clone();
        // Before anything is awaited: a client may send as soon as it is connected.
        register(&socket, &hub);
        async move { connect(socket, &hub).await }
    });
}

fn register(socket: &SocketRef, hub: &Arc<HubState>) {
    macro_rules! on {
        ($name:literal, $handler:ident) => {
            let shared = hub.clone();
            socket.on($name, move |socket: SocketRef, Data(payload): Data<Value>| {
                let hub = shared.clone();
                async move {
                    let Some(NodeConnection(caller, node_id)) = socket.extensions.get() else { return };
                    if let Err(error) = $handler(&hub, &caller, node_id, payload).await {
                        tracing::warn!(%error, node_id, event = $name, "an event of a node was not accepted");
                    }
                }
            });
        };
    }
    on!("node_info_update", node_info_update);
    on!("algorithm_status_change", algorithm_status_change);
    on!("algorithm_log", algorithm_log);
    let shared = hub.clone();
    socket.on("ping", move |socket: SocketRef| {
        let hub = shared.clone();
        async move {
            let Some(NodeConnection(_, node_id)) = socket.extensions.get() else { return };
            if let Err(error) = seen(&hub, node_id).await {
                tracing::warn!(%error, node_id, "a ping was not noted");
            }
        }
    });
    let shared = hub.clone();
    socket.on_disconnect(move |socket: SocketRef| {
        let hub = shared.clone();
        async move {
            let Some(NodeConnection(caller, node_id)) = socket.extensions.remove() else { return };
            if let Err(error) = node_left(&hub, &caller, node_id).await {
                tracing::error!(%error, node_id, "a node could not be set offline");
            }
        }
    });
}

/// Stands in a socket's extensions once it is known to be a node's.
#[derive(Clone)]
struct NodeConnection(Caller, i64);

async fn connect(socket: SocketRef, hub: &Arc<HubState>) {
    let caller = match caller_of(hub, &socket.req_parts().headers).await {
        Ok(caller) => caller,
        Err(error) => {
            let expired = matches!(error, HubError::Unauthenticated(message) if message.contains("expired"));
            let _ = socket.emit(if expired { "expired_token" } else { "invalid_token" }, &());
            return;
        }
    };
    let authority = &caller.authority;
    let rooms: Vec<String> = match caller.kind {
        CallerKind::Node { .. } => std::iter::once("all_nodes".to_owned())
            .chain(
                authority
                    .collaborations
                    .iter()
                    .flat_map(|id| [collaboration_room(*id), organization_room(*id, authority.organization_id)]),
            )
            .collect(),
        CallerKind::User { .. } => match caller.reach(Resource::Event, Operation::Receive) {
            Some(Reach::Everything) => match all_collaborations(hub).await {
                Ok(ids) => ids.into_iter().map(collaboration_room).collect(),
                Err(error) => {
                    tracing::error!(%error, "a connection got no rooms");
                    return;
                }
            },
            Some(Reach::Collaboration) => authority.collaborations.iter().copied().map(collaboration_room).collect(),
            Some(Reach::Organization) => {
                authority.collaborations.iter().map(|id| organization_room(*id, authority.organization_id)).collect()
            }
            _ => Vec::new(),
        },
        CallerKind::Container(_) => Vec::new(),
    };
    socket.join(rooms);
    if let CallerKind::Node { id } = caller.kind {
        if let Err(error) = node_came(hub, &caller, id).await {
            tracing::error!(%error, node_id = id, "a node could not be set online");
            return;
        }
        socket.extensions.insert(NodeConnection(caller.clone(), id));
        // It may have left before it was known: its farewell found no connection to end then.
        if !socket.connected() && socket.extensions.remove::<NodeConnection>().is_some() {
            if let Err(error) = node_left(hub, &caller, id).await {
                tracing::error!(%error, node_id = id, "a node could not be set offline");
            }
            return;
        }
        let _ = socket.emit("sync", &());
    }
}

async fn caller_of(hub: &HubState, headers: &HeaderMap) -> Result<Caller, HubError> {
    let claims = hub.tokens.check(authentication::bearer(headers)?, Purpose::Access)?;
    authentication::caller_of(hub, &claims).await
}

async fn all_collaborations(hub: &HubState) -> Result<Vec<i64>, HubError> {
    Ok(sqlx::query_scalar("SELECT id FROM collaboration").fetch_all(hub.store.reader()).await?)
}

async fn node_came(hub: &HubState, caller: &Caller, node_id: i64) -> Result<(), HubError> {
    if hub.events.connected(node_id) {
        set_online(hub, caller, node_id, true).await?;
    }
    Ok(())
}

async fn node_left(hub: &HubState, caller: &Caller, node_id: i64) -> Result<(), HubError> {
    if hub.events.disconnected(node_id) {
        set_online(hub, caller, node_id, false).await?;
    }
    Ok(())
}

async fn set_online(hub: &HubState, caller: &Caller, node_id: i64, online: bool) -> Result<(), HubError> {
    let mut transaction = hub.store.writer().begin().await?;
    let name: Option<String> =
        sqlx::query_scalar("UPDATE node SET online = ?, last_seen = ? WHERE id = ? RETURNING name")
            .bind(online)
            .bind(timestamp::now())
            .bind(node_id)
            .fetch_optional(&mut *transaction)
            .await?;
    sqlx::query("DELETE FROM node_config WHERE node_id = ?").bind(node_id).execute(&mut *transaction).await?;
    transaction.commit().await?;
    let organization_id = caller.authority.organization_id;
    let presence = NodePresence { id: node_id, name: name.unwrap_or_default(), org_id: organization_id };
    let rooms = caller.authority.collaborations.iter();
    let rooms = rooms.flat_map(|id| [collaboration_room(*id), organization_room(*id, organization_id)]).collect();
    hub.events.to_rooms(rooms, if online { "node-online" } else { "node-offline" }, &presence).await;
    Ok(())
}

async fn seen(hub: &HubState, node_id: i64) -> Result<(), HubError> {
    sqlx::query("UPDATE node SET last_seen = ? WHERE id = ?")
        .bind(timestamp::now())
        .bind(node_id)
        .execute(hub.store.writer())
        .await?;
    Ok(())
}

/// `{"key": value or list of values}` becomes one row a value.
async fn node_info_update(hub: &HubState, caller: &Caller, node_id: i64, payload: Value) -> Result<(), HubError> {
    let Value::Object(facts) = payload else { return Err(HubError::bad("node_info_update is no object")) };
    let mut rows: Vec<(String, String)> = Vec::new();
    for (key, value) in facts {
        let values = match value {
            Value::Array(values) => values,
            Value::Null => Vec::new(),
            value => vec![value],
        };
        for value in values {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if key.len() > CONFIG_VALUE_LIMIT || value.len() > CONFIG_VALUE_LIMIT || rows.len() == CONFIG_LIMIT {
                return Err(HubError::bad("a node's configuration is too large"));
            }
            rows.push((key.clone(), value));
        }
    }
    let mut transaction = hub.store.writer().begin().await?;
    sqlx::query("DELETE FROM node_config WHERE node_id = ?").bind(node_id).execute(&mut *transaction).await?;
    for (key, value) in rows {
        sqlx::query("INSERT INTO node_config (node_id, key, value) VALUES (?, ?, ?)")
            .bind(node_id)
            .bind(key)
            .bind(value)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    // Pages that show nodes learn of the new databases in the same way as of the node itself.
    let presence = json!({"id": node_id, "name": "", "org_id": caller.authority.organization_id});
    for id in &caller.authority.collaborations {
        hub.events.to_collaboration(*id, "node-online", &presence).await;
    }
    Ok(())
}

/// Task and job of a run, if it is one of this node's.
async fn own_run(hub: &HubState, caller: &Caller, run_id: i64) -> Result<(i64, i64, i64, Option<i64>), HubError> {
    let collaborations = super::listing::comma_separated(&caller.authority.collaborations);
    sqlx::query_as(&format!(
        "SELECT task.id, job_id, collaboration_id, parent_id FROM run JOIN task ON task.id = run.task_id
         WHERE run.id = ? AND run.organization_id = ? AND collaboration_id IN ({collaborations})"
    ))
    .bind(run_id)
    .bind(caller.authority.organization_id)
    .fetch_optional(hub.store.reader())
    .await?
    .ok_or(HubError::NotAllowed)
}

async fn algorithm_status_change(
    hub: &HubState,
    caller: &Caller,
    node_id: i64,
    payload: Value,
) -> Result<(), HubError> {
    let told: StatusChange = serde_json::from_value(payload).map_err(|error| HubError::bad(error.to_string()))?;
    let (task_id, job_id, collaboration_id, parent_id) = own_run(hub, caller, told.run_id).await?;
    let change = StatusChange {
        task_id,
        job_id: Some(job_id),
        collaboration_id,
        node_id: Some(node_id),
        organization_id: caller.authority.organization_id,
        parent_id,
        ..told
    };
    hub.events.to_collaboration(collaboration_id, "algorithm_status_change", &change).await;
    Ok(())
}

async fn algorithm_log(hub: &HubState, caller: &Caller, _node_id: i64, payload: Value) -> Result<(), HubError> {
    let lines: LogLines = serde_json::from_value(payload).map_err(|error| HubError::bad(error.to_string()))?;
    let (task_id, _, collaboration_id, _) = own_run(hub, caller, lines.run_id).await?;
    // `finished_at`: the full log has already replaced the streamed one.
    sqlx::query("UPDATE run SET log = substr(coalesce(log, '') || ?, 1, ?) WHERE id = ? AND finished_at IS NULL")
        .bind(&lines.log)
        .bind(LOG_LIMIT as i64)
        .bind(lines.run_id)
        .execute(hub.store.writer())
        .await?;
    let lines = LogLines { task_id, collaboration_id: None, ..lines };
    hub.events.to_collaboration(collaboration_id, "algorithm_log", &lines).await;
    Ok(())
}
