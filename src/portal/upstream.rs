//! One connection to the hub's events per signed-in session, shared by all its open pages.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::broadcast, task::JoinHandle, time::sleep};

use crate::{
    protocol::{client::HubClient, event::Event, socket::Socket},
    session::SignedIn,
};

/// Events that a slow page may be behind before it is told to look anew.
const BACKLOG: usize = 256;
/// Pauses between attempts to connect, in seconds; after each, pages are told to look by themselves.
const PAUSES: [u64; 5] = [1, 2, 4, 8, 15];

/// The connections of all sessions of this process.
#[derive(Default)]
pub struct Upstream {
    connections: Mutex<HashMap<String, Weak<Connection>>>,
}

/// The connection of one session; it ends when nobody holds it any more.
pub struct Connection {
    sender: broadcast::Sender<Event>,
    task: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// Events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }
}

impl Upstream {
    /// The connection of this session, made if there is none.
    pub fn of(&self, signed_in: &SignedIn) -> Arc<Connection> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = connections.get(&signed_in.session_id).and_then(Weak::upgrade) {
            return connection;
        }
        connections.retain(|_, connection| connection.strong_count() > 0);
        let (sender, _) = broadcast::channel(BACKLOG);
        let task = tokio::spawn(keep_connected(signed_in.hub.clone(), sender.clone()));
        let connection = Arc::new(Connection { sender, task });
        connections.insert(signed_in.session_id.clone(), Arc::downgrade(&connection));
        connection
    }
}

async fn keep_connected(hub: HubClient, sender: broadcast::Sender<Event>) {
    let mut failures = 0;
    loop {
        // Without receivers nobody needs to know; sending fails then, which is fine.
        match follow(&hub, &sender).await {
            Ok(()) => failures = 0,
            Err(reason) => tracing::debug!(reason, "no events from the hub"),
        }
        let _ = sender.send(Event::Disconnected);
        sleep(Duration::from_secs(PAUSES[failures.min(PAUSES.len() - 1)])).await;
        failures += 1;
    }
}

/// Passes events on until the connection breaks (`Ok`) or if there is none (`Err`).
async fn follow(hub: &HubClient, sender: &broadcast::Sender<Event>) -> Result<(), String> {
    let tokens = hub.tokens();
    if tokens.is_expiring() {
        hub.refresh(&tokens).await.map_err(|error| error.to_string())?;
    }
    let tokens = hub.tokens();
    let mut socket =
        Socket::connect(hub.transport().base(), &tokens.access).await.map_err(|error| error.to_string())?;
    let _ = sender.send(Event::Connected);
    while let Ok((name, payload)) = socket.next().await {
        match Event::from_v4(&name, payload) {
            Some(Event::TokenRefused) => {
                hub.refresh(&hub.tokens()).await.map_err(|error| error.to_string())?;
                return Ok(());
            }
            Some(event) => {
                let _ = sender.send(event);
            }
            None => {}
        }
        // A server looks at the token only when a connection is made.
        if !hub.tokens().is_same(&tokens) {
            socket.close().await;
            return Ok(());
        }
    }
    Ok(())
}
