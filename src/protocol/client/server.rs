//! What a server is and can do, so that callers ask for an ability and never for a version.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde::Deserialize;

use super::{ClientError, Transport, transport::parse};

/// Versions of the vantage6 server with which Atoll is tested.
pub const TESTED_VERSIONS: [&str; 1] = ["4.15.2"];
/// How long it is believed what a server is: it may be replaced while this process runs.
const LIFETIME: Duration = Duration::from_secs(300);

/// A server, as it presents itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// The version of the vantage6 API.
    pub version: String,
    /// Whether lists of tasks can be filtered by status, sorted, and searched for `%` and `_`. vantage6 4.x fails at
    /// the first, ignores the second and takes the third for wildcards.
    pub filters_tasks: bool,
    /// Whether who may delete a task may also stop it. In vantage6 4.x that is another permission, which researchers
    /// do not have.
    pub deleting_permits_stopping: bool,
    /// Whether it knows of reviews, and tells nodes the names of those who ask them. vantage6 4.x has no reviews and
    /// fails when a node asks for a user.
    pub has_reviews: bool,
    /// Whether users can be invited, deactivated, and their sessions ended.
    pub has_invitations: bool,
    /// Whether users see to their second factor themselves, with recovery codes, and say which notices they want.
    pub has_own_account: bool,
}

impl ServerInfo {
    /// Whether this version was tried.
    pub fn is_tested(&self) -> bool {
        TESTED_VERSIONS.contains(&self.version.as_str())
    }
}

#[derive(Deserialize)]
struct Version {
    version: String,
    /// Only Atoll's own hub says this.
    #[serde(default)]
    atoll: Option<String>,
}

impl Transport {
    /// What the server is, as far as that was asked lately.
    pub async fn server(&self) -> Result<ServerInfo, ClientError> {
        match self.known_server().lock().await.as_ref() {
            Some((since, info)) if since.elapsed() < LIFETIME => return Ok(info.clone()),
            _ => {}
        }
        self.ask_server().await
    }

    /// What the server is at this moment.
    pub async fn ask_server(&self) -> Result<ServerInfo, ClientError> {
        let answer = self.send(Method::GET, "version", &[], None::<&()>, None, &[]).await?;
        let Version { version, atoll } = parse(answer).await?;
        let is_ours = atoll.is_some();
        let info = ServerInfo {
            version,
            filters_tasks: is_ours,
            deleting_permits_stopping: is_ours,
            has_reviews: is_ours,
            has_invitations: is_ours,
            has_own_account: is_ours,
        };
        *self.known_server().lock().await = Some((Instant::now(), info.clone()));
        Ok(info)
    }

    /// Whether the server can store something, as far as it says: our hub tells of a full disk.
    pub async fn stores(&self) -> bool {
        let health = self.send(Method::GET, "health", &[], None::<&()>, None, &[]).await;
        !matches!(health, Err(ClientError::Rejected { status: 507, .. }))
    }
}
