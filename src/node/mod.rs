//! The data station: it fetches the runs of its organization, checks them against its policy, and runs them beside
//! the data.

mod config;
mod database;
mod error;
mod log;
mod policy;
mod run;
mod runtime;
mod share;
mod station;

pub use config::NodeConfig;
pub use error::NodeError;
pub use station::Station;
