use reqwest::Method;
use url::Url;

use super::{
    ClientError, HubClient,
    transport::{Answer, parse},
};
use crate::protocol::{
    domain::Algorithm,
    wire::v4::{Page, StoreAlgorithm, StoreLink},
};

/// An algorithm store that is linked to a server, asked with the server's token.
pub struct StoreClient {
    hub: HubClient,
    /// The server's id of the link.
    pub id: i64,
    pub name: String,
    url: String,
}

impl StoreClient {
    pub(super) fn new(hub: &HubClient, link: StoreLink) -> Self {
        StoreClient { hub: hub.clone(), id: link.id, name: link.name, url: link.url }
    }

    /// The algorithms of the store that may be run.
    pub async fn algorithms(&self) -> Result<Vec<Algorithm>, ClientError> {
        let base: Url = self.url.parse().map_err(|_| ClientError::Unreadable(format!("{} is no address", self.url)))?;
        let transport = self.hub.transport().at(&base);
        // A store asks the server whether the token is good, at this address.
        let server = self.hub.transport().base().as_str().trim_end_matches('/').to_owned();
        let query = [("per_page".to_owned(), "100".to_owned())];
        let answer: Answer = transport
            .send(
                Method::GET,
                "algorithm",
                &query,
                None::<&()>,
                Some(&self.hub.tokens().access),
                &[("Server-Url", server)],
            )
            .await?;
        let page: Page<StoreAlgorithm> = parse(&answer)?;
        Ok(page.data.into_iter().map(Algorithm::from).collect())
    }
}
