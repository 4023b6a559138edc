//! The HTTP client of a vantage6 server: one connection pool, timeouts, retry of safe calls only, token refresh.

mod calls;
mod error;
mod hub;
mod store;
mod token;
mod transport;

pub use calls::{Listed, TaskQuery};
pub use error::ClientError;
pub use hub::{Capabilities, HubClient, SignIn, reachable, sign_in_node, sign_in_user};
pub use store::StoreClient;
pub use token::TokenPair;
pub use transport::Transport;
