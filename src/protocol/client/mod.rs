//! The HTTP client of a vantage6 server: one connection pool, timeouts, retry of safe calls only, token refresh.

mod account;
mod administration;
mod audit;
mod calls;
mod error;
mod hub;
mod reviews;
mod server;
mod store;
mod tasks;
mod token;
mod transport;

pub use account::{Proof, lost_password, lost_second_factor, refusal, reset_password, reset_second_factor};
pub use administration::{Invitation, OrganizationDetails, UserDetails};
pub use audit::{AuditChain, AuditEntry, AuditQuery};
pub use calls::{FOR_DOWNLOAD, LARGEST_ANSWER, Listed, OpenContent, OpenRun};
pub use error::ClientError;
pub use hub::{BROWSER, HubClient, KNOWN_BROWSER, KeptTokens, SecondFactor, SignIn, sign_in_node, sign_in_user};
pub use reviews::{ListedReview, NewDecision, ReviewQuery};
pub use server::ServerInfo;
pub use store::StoreClient;
pub use tasks::TaskQuery;
pub use token::TokenPair;
pub use transport::Transport;
