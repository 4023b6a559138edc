//! The vantage6 wire format and how to speak it: plain serde types, payload encoding, the HTTP and the event
//! client. Knows no other room of this program.

pub mod status;

#[cfg(feature = "ssr")]
pub mod client;
#[cfg(feature = "ssr")]
pub mod domain;
#[cfg(feature = "ssr")]
pub mod event;
#[cfg(feature = "ssr")]
pub mod payload;
#[cfg(feature = "ssr")]
pub mod socket;
#[cfg(feature = "ssr")]
pub mod timestamp;
#[cfg(feature = "ssr")]
pub mod wire;
