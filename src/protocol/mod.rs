//! The vantage6 wire format and how to speak it: plain serde types, payload encoding, the HTTP and the event
//! client. Knows no other room of this program.

pub mod account;
pub mod audit;
pub mod bounded;
pub mod brief;
pub mod client;
pub mod domain;
pub mod event;
pub mod image;
pub mod name;
pub mod payload;
pub mod pickle;
mod plain_http;
pub mod policy;
pub mod printable;
pub mod problem;
pub mod python_json;
pub mod review;
pub mod socket;
pub mod spreadsheet;
pub mod status;
pub mod timestamp;
pub mod wire;

pub use bounded::SmallValue;
pub use plain_http::is_unprotected;
