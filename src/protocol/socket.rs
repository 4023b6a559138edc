//! A client of Socket.IO v5 (Engine.IO v4) over a WebSocket, for the one namespace that the protocol uses.
//!
//! Own code, because the one Rust client there is has had no release since 2024 and depends on crates with open
//! advisories. What is needed is small: open, join the namespace, answer pings, receive and emit events
//! (<https://socket.io/docs/v4/socket-io-protocol/>, <https://socket.io/docs/v4/engine-io-protocol/>).

use std::{collections::HashMap, time::Duration};

use futures::{SinkExt, StreamExt};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderValue, protocol::WebSocketConfig},
};
use url::Url;

use super::{bounded, event::NAMESPACE};

/// The largest message that is accepted, in bytes.
const MESSAGE_LIMIT: usize = 1024 * 1024;
/// How long a ping of the server may be late. The server's own word for it is a minute; whoever shows what is "live"
/// cannot wait so long.
const SILENCE_PATIENCE: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("no connection: {0}")]
    Connection(String),
    /// The server, or a proxy before it, answers the request for a WebSocket with this status.
    #[error("the server answers {0} instead of opening a WebSocket")]
    Refused(u16),
    #[error("the server did not answer in time")]
    Timeout,
    #[error("the server closed the connection")]
    Closed,
    #[error("the server's answer is not Socket.IO")]
    Protocol,
}

impl From<Error> for SocketError {
    fn from(error: Error) -> Self {
        match error {
            // A gateway whose server is away is no answer of the server.
            Error::Http(response) if !(502..=504).contains(&response.status().as_u16()) => {
                SocketError::Refused(response.status().as_u16())
            }
            error => SocketError::Connection(error.to_string()),
        }
    }
}

/// A connection to the namespace `/tasks` of a server.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The server pings within this time, or the connection is dead.
    silence_limit: Duration,
    last_heard: Instant,
    /// Who waits for the server to have taken an event, by the number that went with it.
    unacknowledged: HashMap<u64, oneshot::Sender<()>>,
    next_number: u64,
}

/// What the server says when the transport opens.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Opening {
    ping_interval: u64,
    ping_timeout: u64,
}

/// The address of Socket.IO beside an API: the same host, `/socket.io/` at its root.
fn address(api: &Url) -> Result<Url, SocketError> {
    let mut url = api.clone();
    let scheme = if api.scheme() == "https" { "wss" } else { "ws" };
    url.set_scheme(scheme).map_err(|()| SocketError::Protocol)?;
    url.set_path("/socket.io/");
    url.set_query(Some("EIO=4&transport=websocket"));
    Ok(url)
}

impl Socket {
    /// Connects to the server of the API at `api`, with an access token in the opening request.
    pub async fn connect(api: &Url, token: &SecretString) -> Result<Socket, SocketError> {
        let mut request = address(api)?.as_str().into_client_request()?;
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", token.expose_secret())).map_err(|_| SocketError::Protocol)?;
        bearer.set_sensitive(true);
        request.headers_mut().insert("authorization", bearer);
        let config =
            WebSocketConfig::default().max_message_size(Some(MESSAGE_LIMIT)).max_frame_size(Some(MESSAGE_LIMIT));
        let (stream, _) = timeout(CONNECT_TIMEOUT, connect_async_with_config(request, Some(config), true))
            .await
            .map_err(|_| SocketError::Timeout)??;
        let mut socket = Socket {
            stream,
            silence_limit: CONNECT_TIMEOUT,
            last_heard: Instant::now(),
            unacknowledged: HashMap::new(),
            next_number: 0,
        };
        let opening = timeout(CONNECT_TIMEOUT, socket.packet()).await.map_err(|_| SocketError::Timeout)??;
        let opening: Opening =
            opening.strip_prefix('0').and_then(|text| serde_json::from_str(text).ok()).ok_or(SocketError::Protocol)?;
        let patience = Duration::from_millis(opening.ping_timeout).min(SILENCE_PATIENCE);
        socket.silence_limit = Duration::from_millis(opening.ping_interval) + patience;
        socket.send(format!("40{NAMESPACE},")).await?;
        loop {
            let packet = timeout(CONNECT_TIMEOUT, socket.packet()).await.map_err(|_| SocketError::Timeout)??;
            if packet.starts_with(&format!("40{NAMESPACE}")) {
                return Ok(socket);
            }
            if packet.starts_with("44") {
                return Err(SocketError::Closed);
            }
            // Events can come before the answer to the request to join: there is nobody to take them yet.
        }
    }

    /// The next event: its name and its first argument (null if it has none). Answers pings meanwhile.
    pub async fn next(&mut self) -> Result<(String, Value), SocketError> {
        loop {
            // Counted from the last packet, since callers give up and call again.
            let end = self.last_heard + self.silence_limit;
            let packet = timeout_at(end, self.packet()).await.map_err(|_| SocketError::Timeout)??;
            self.last_heard = Instant::now();
            if let Some(event) = parse_event(&packet) {
                return Ok(event);
            }
            if let Some(number) = parse_acknowledgement(&packet) {
                // Whoever waited may have given up.
                let _ = self.unacknowledged.remove(&number).map(|taken| taken.send(()));
            }
            if packet.starts_with("41") || packet == "1" {
                return Err(SocketError::Closed);
            }
        }
    }

    /// Sends an event; one whose payload is null has no argument.
    pub async fn emit(&mut self, name: &str, payload: &Value) -> Result<(), SocketError> {
        self.send(format!("42{NAMESPACE},{}", event(name, payload))).await
    }

    /// Sends an event; `taken` is told when the server has dealt with it, as far as it does so while [`Socket::next`]
    /// is waited for.
    pub async fn emit_with(
        &mut self,
        name: &str,
        payload: &Value,
        taken: Option<oneshot::Sender<()>>,
    ) -> Result<(), SocketError> {
        let Some(taken) = taken else { return self.emit(name, payload).await };
        self.unacknowledged.retain(|_, taken| !taken.is_closed());
        let number = self.next_number;
        self.next_number += 1;
        self.unacknowledged.insert(number, taken);
        self.send(format!("42{NAMESPACE},{number}{}", event(name, payload))).await
    }

    /// Says goodbye, so that the server knows at once.
    pub async fn close(mut self) {
        // The connection ends in any case; a failed goodbye changes nothing.
        let _ = self.send(format!("41{NAMESPACE},")).await;
        let _ = self.stream.close(None).await;
    }

    async fn send(&mut self, text: String) -> Result<(), SocketError> {
        Ok(self.stream.send(Message::text(text)).await?)
    }

    /// The next Engine.IO packet as text; pings are answered on the way.
    async fn packet(&mut self) -> Result<String, SocketError> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) if text.as_str() == "2" => {
                    self.send("3".to_owned()).await?;
                    return Ok("2".to_owned());
                }
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Close(_))) | None => return Err(SocketError::Closed),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }
}

/// Name and argument as they are sent. Handlers of an official server that expect no argument fail when there is one,
/// also if it is null.
fn event(name: &str, payload: &Value) -> Value {
    if payload.is_null() { json!([name]) } else { json!([name, payload]) }
}

/// Reads `42/tasks,["name",payload]`, with or without an acknowledgement id.
fn parse_event(packet: &str) -> Option<(String, Value)> {
    let rest = packet.strip_prefix("42")?.strip_prefix(NAMESPACE)?.strip_prefix(',')?;
    let rest = rest.trim_start_matches(|character: char| character.is_ascii_digit());
    let Ok(Value::Array(mut parts)) = bounded::from_slice(rest.as_bytes()) else { return None };
    if parts.is_empty() {
        return None;
    }
    let Value::String(name) = parts.remove(0) else { return None };
    let payload = if parts.is_empty() { Value::Null } else { parts.remove(0) };
    Some((name, payload))
}

/// Reads the number of `43/tasks,7[]`.
fn parse_acknowledgement(packet: &str) -> Option<u64> {
    let rest = packet.strip_prefix("43")?.strip_prefix(NAMESPACE)?.strip_prefix(',')?;
    rest.split_once('[')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_without_payload_has_no_argument() {
        assert_eq!(event("ping", &Value::Null).to_string(), r#"["ping"]"#);
        assert_eq!(event("x", &json!({"id": 1})).to_string(), r#"["x",{"id":1}]"#);
    }

    #[test]
    fn acknowledgements_are_read() {
        assert_eq!(parse_acknowledgement("43/tasks,12[]"), Some(12));
        for packet in ["43/tasks,[]", "42/tasks,1[]", "43/other,1[]", "43/tasks,1"] {
            assert_eq!(parse_acknowledgement(packet), None, "{packet}");
        }
    }

    #[test]
    fn events_are_read_with_and_without_payload() {
        assert_eq!(parse_event(r#"42/tasks,["sync"]"#), Some(("sync".into(), Value::Null)));
        assert_eq!(parse_event(r#"42/tasks,7["new_task",{"id":1}]"#), Some(("new_task".into(), json!({"id": 1}))));
        for packet in ["2", "40/tasks,{}", "42[\"x\"]", "42/tasks,{}", "42/tasks,[]", "42/tasks,[1]"] {
            assert_eq!(parse_event(packet), None, "{packet}");
        }
    }

    #[test]
    fn the_address_is_at_the_root_of_the_host() {
        let api = Url::parse("https://hub.example:8443/some/api").unwrap();
        assert_eq!(address(&api).unwrap().as_str(), "wss://hub.example:8443/socket.io/?EIO=4&transport=websocket");
    }
}
