//! Listening: what every web server of this program has in common, before anything of a request is looked at. Slow
//! clients hold no connection, and an address is written in one way.

mod attempts;
mod client_address;
mod listen;
mod paced_body;
mod paced_stream;
mod path;
mod places;
mod shares;
mod spooled;

pub use attempts::{AttemptLimits, Attempts, Limited, TOO_MANY, limit_nodes, limit_users};
pub use client_address::{Addresses, ClientAddress, note};
pub use listen::{listen, serve};
pub use shares::{NoPlace, Place, Shares};
pub use spooled::{Spooled, spool, spooled};
