//! Socket.IO: who is connected, who hears what (vantage6-protocol.md 1.9).

mod connection;
mod door;
mod lane;
mod message;
mod node;
mod sender;
mod told;

pub use connection::serve;
pub use door::{EventServer, EventSession};
pub use lane::Lanes;
pub use node::{LOG_LIMIT, note_second};
pub use sender::Events;
pub use told::CONFIG_BYTES;
