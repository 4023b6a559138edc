//! One connection to the hub's events per signed-in session, shared by all its open pages.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{broadcast, watch},
    task::JoinHandle,
    time::{Instant, sleep},
};

use tokio_util::sync::CancellationToken;

use crate::{
    protocol::{
        client::HubClient,
        event::Event,
        socket::{Socket, SocketError},
    },
    session::SignedIn,
};

/// Events that a slow page may be behind before it is told to look anew.
const BACKLOG: usize = 64;
/// Pauses between attempts to connect, in seconds. A page is right soon after the hub is back, …
const ATTEMPT_PAUSES: [u64; 3] = [1, 2, 4];
/// … but while no events can be had at all, pages look by themselves less and less often.
const LOOK_PAUSES: [u64; 5] = [1, 2, 4, 8, 15];

/// Pause between two looks whether any page still uses a connection.
const LINGER: Duration = Duration::from_secs(10);

/// The connections of all sessions of this process.
#[derive(Default)]
pub struct Upstream {
    connections: Mutex<HashMap<String, Weak<Connection>>>,
}

/// The connection of one session; it ends when nobody holds it any more.
pub struct Connection {
    sender: broadcast::Sender<Event>,
    connected: watch::Receiver<bool>,
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

    /// Whether events arrive at the moment.
    pub fn is_connected(&self) -> bool {
        *self.connected.borrow()
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
        let (connecting, connected) = watch::channel(false);
        let task = tokio::spawn(keep_connected(signed_in.hub.clone(), sender.clone(), connecting));
        let connection = Arc::new(Connection { sender, connected, task });
        connections.insert(signed_in.session_id.clone(), Arc::downgrade(&connection));
        tokio::spawn(linger(connection.clone(), signed_in.ended.clone()));
        connection
    }
}

/// Holds a connection for a while after the last page has gone: the next one comes at once when a browser opens its stream
/// anew, or somebody goes from page to page.
async fn linger(connection: Arc<Connection>, ended: CancellationToken) {
    loop {
        tokio::select! {
            () = sleep(LINGER) => {}
            () = ended.cancelled() => return,
        }
        if Arc::strong_count(&connection) == 1 {
            return;
        }
    }
}

/// Why there are no events.
enum Silence {
    /// There was a connection; it has ended.
    Ended,
    /// The hub does not answer.
    Away(String),
    /// The hub answers, but not with events: a proxy between may not let them through.
    Blocked(String),
}

async fn keep_connected(hub: HubClient, sender: broadcast::Sender<Event>, connected: watch::Sender<bool>) {
    let mut attempts = 0;
    let mut looks = 0;
    let mut next_look = Instant::now();
    let mut was_away = false;
    loop {
        let silence = follow(&hub, &sender, &connected).await;
        connected.send_replace(false);
        let is_away = match silence {
            Silence::Ended => {
                (attempts, looks, next_look) = (0, 0, Instant::now());
                false
            }
            Silence::Away(reason) => {
                tracing::debug!(reason, "the hub does not answer");
                true
            }
            Silence::Blocked(reason) => {
                tracing::debug!(reason, "no events from the hub");
                if was_away {
                    // It is back: time to look at once.
                    (looks, next_look) = (0, Instant::now());
                }
                false
            }
        };
        was_away = is_away;
        if next_look <= Instant::now() {
            // Without receivers nobody needs to know; sending fails then, which is fine.
            let _ = sender.send(Event::Disconnected);
            next_look = Instant::now() + Duration::from_secs(LOOK_PAUSES[looks.min(LOOK_PAUSES.len() - 1)]);
            looks += 1;
        }
        sleep(Duration::from_secs(ATTEMPT_PAUSES[attempts.min(ATTEMPT_PAUSES.len() - 1)])).await;
        attempts += 1;
    }
}

/// After tokens were renewed that the hub does not take for events.
async fn renewed(hub: &HubClient) -> Silence {
    match hub.refresh(&hub.tokens()).await {
        Ok(()) => Silence::Ended,
        Err(error) => Silence::Blocked(error.to_string()),
    }
}

/// Passes events on until the connection breaks.
async fn follow(hub: &HubClient, sender: &broadcast::Sender<Event>, connected: &watch::Sender<bool>) -> Silence {
    let tokens = hub.tokens();
    if tokens.is_expiring()
        && let Err(error) = hub.refresh(&tokens).await
    {
        return if error.is_temporary() {
            Silence::Away(error.to_string())
        } else {
            Silence::Blocked(error.to_string())
        };
    }
    let tokens = hub.tokens();
    let mut socket = match Socket::connect(hub.transport().base(), &tokens.access).await {
        Ok(socket) => socket,
        Err(error @ (SocketError::Connection(_) | SocketError::Timeout)) => return Silence::Away(error.to_string()),
        Err(error @ SocketError::Refused(401)) => {
            // With other tokens it may be taken, after a pause: it may never be.
            return match renewed(hub).await {
                Silence::Ended => Silence::Blocked(error.to_string()),
                silence => silence,
            };
        }
        Err(error) => return Silence::Blocked(error.to_string()),
    };
    connected.send_replace(true);
    let _ = sender.send(Event::Connected);
    while let Ok((name, payload)) = socket.next().await {
        match Event::from_v4(&name, payload) {
            Some(Event::TokenRefused) => {
                // Without it there are no rooms and so no events, however long the connection stands.
                return renewed(hub).await;
            }
            Some(event) => {
                if let Some(event) = event.for_followers() {
                    let _ = sender.send(event);
                }
            }
            None => {}
        }
        // A server looks at the token only when a connection is made.
        if !hub.tokens().is_same(&tokens) {
            socket.close().await;
            return Silence::Ended;
        }
    }
    Silence::Ended
}
