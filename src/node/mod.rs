//! The data station: it fetches the runs of its organization, checks them against its policy, and runs them beside
//! the data.

mod check;
mod computing;
mod config;
mod database;
mod error;
mod large;
mod log;
mod page;
mod parent;
mod request;
mod review;
mod room;
mod run;
mod runtime;
mod share;
mod station;
mod store;
mod witness;

pub use check::{Checked, check};
pub use config::NodeConfig;
pub use error::NodeError;
pub use review::{CommandError, Decide, decide, end_of_day, list, page_code, show};
pub use station::Station;
pub use store::own_schema;
pub use witness::head_key;
