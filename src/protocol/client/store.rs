use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use moka::{Expiry, future::Cache};
use reqwest::Method;
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use super::{
    ClientError, HubClient,
    transport::{Answer, parse},
};
use crate::protocol::{
    brief,
    domain::Algorithm,
    wire::v4::{Page, StoreAlgorithm, StoreLink},
};

/// How long a store may take: those that are slower must not keep the others waiting.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it is believed what a store has: it asks the server about the token at each request, and needs about a
/// second for some dozens of algorithms.
const LIFETIME: Duration = Duration::from_secs(30);
/// How long it is believed that a store is away: one that hangs must not hold up each page of the wizard.
const FAILURE_LIFETIME: Duration = Duration::from_secs(10);
/// The most algorithms that are read of a store.
const LIMIT: usize = 1000;
const PER_PAGE: usize = 100;

/// What stores have, by their address, for one signed-in user.
pub(super) type Algorithms = Cache<String, Answered>;
type Answered = Result<Arc<Vec<Algorithm>>, ClientError>;

/// An empty one.
pub(super) fn no_algorithms() -> Algorithms {
    Cache::builder().max_capacity(20).expire_after(ByOutcome).build()
}

struct ByOutcome;

impl Expiry<String, Answered> for ByOutcome {
    fn expire_after_create(&self, _: &String, answered: &Answered, _: Instant) -> Option<Duration> {
        Some(if answered.is_ok() { LIFETIME } else { FAILURE_LIFETIME })
    }
}

/// An algorithm store that is linked to a server, asked with the server's token.
pub struct StoreClient {
    hub: HubClient,
    /// The server's id of the link.
    pub id: i64,
    pub name: String,
    /// The address of its API.
    pub url: String,
}

impl StoreClient {
    pub(super) fn new(hub: &HubClient, link: StoreLink) -> Self {
        StoreClient { hub: hub.clone(), id: link.id, name: link.name, url: link.url }
    }

    /// The algorithms of the store that may be run.
    pub async fn algorithms(&self) -> Result<Arc<Vec<Algorithm>>, ClientError> {
        let read = async {
            let algorithms = timeout(PATIENCE, self.read()).await.map_err(|_| ClientError::Timeout)??;
            Ok(Arc::new(algorithms))
        };
        // Of several who ask at once one reads.
        self.hub.algorithms().get_with(self.url.clone(), read).await
    }

    async fn read(&self) -> Result<Vec<Algorithm>, ClientError> {
        let base: Url = self.url.parse().map_err(|_| ClientError::Unreadable(format!("{} is no address", self.url)))?;
        let transport = self.hub.transport().at(&base);
        // A store asks the server whether the token is good, at this address; it has to know it, letter by letter.
        let server = self.hub.transport().base().as_str().trim_end_matches('/').to_owned();
        let mut algorithms = Vec::new();
        for page in 1.. {
            let query = [("page".to_owned(), page.to_string()), ("per_page".to_owned(), PER_PAGE.to_string())];
            let answer: Answer = transport
                .send(
                    Method::GET,
                    "algorithm",
                    &query,
                    None::<&()>,
                    Some(&self.hub.tokens().access),
                    &[("Server-Url", server.clone())],
                )
                .await?;
            let read: Page<Value> = parse(answer).await?;
            let is_last = read.data.len() < PER_PAGE;
            algorithms.extend(read.data.into_iter().filter_map(|algorithm| self.understood(algorithm)));
            if is_last || algorithms.len() >= LIMIT {
                break;
            }
        }
        Ok(algorithms)
    }

    /// One algorithm that cannot be read must not hide the others.
    fn understood(&self, algorithm: Value) -> Option<Algorithm> {
        let read = brief::from_value::<StoreAlgorithm>(algorithm);
        read.inspect_err(|error| tracing::warn!(store = self.name, %error, "an algorithm is not understood"))
            .ok()
            .map(Algorithm::from)
    }
}
