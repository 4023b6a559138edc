//! The embedded server: the REST API of vantage6 4.x, its Socket.IO events, and an algorithm store, over SQLite.

mod audit;
mod authentication;
mod body;
mod error;
mod events;
mod hashing;
mod job;
mod large;
mod large_answer;
mod listing;
mod mail;
mod notice;
mod page_sizes;
mod permission;
mod problem;
mod program;
mod resource;
mod second_factor;
mod secret;
mod seed;
mod server;
mod store;
mod token;
mod version3;

pub use error::HubError;
pub use mail::MailOptions;
pub use notice::NoticeOptions;
pub use secret::SecretKey;
pub use seed::{NewNode, NewUser, Seed};
pub use server::{Hub, HubOptions};
pub use store::own_schema;
