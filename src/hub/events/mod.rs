//! Socket.IO: who is connected, who hears what (vantage6-protocol.md 1.9).

mod connection;
mod lane;
mod node;
mod sender;

pub use connection::{EventSession, MESSAGE_LIMIT, require_token, serve};
pub use node::{CONFIG_BYTES, LOG_LIMIT, note_second};
pub use sender::Events;
