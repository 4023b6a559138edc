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
mod whole_body;

pub use attempts::{AttemptLimits, Attempts, Limited, TOO_MANY, limit_nodes, limit_users};
pub use client_address::{Addresses, ClientAddress, note};
pub use listen::{listen, serve, serve_few};
pub use shares::{NoPlace, Place, Shares};
pub use spooled::{Spooled, spool, spooled};
pub use whole_body::{in_one_piece, whole_body};
