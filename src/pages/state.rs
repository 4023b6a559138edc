use std::sync::Arc;

use leptos::config::LeptosOptions;

use crate::{
    protocol::client::ClientError,
    serve::{AttemptLimits, ClientAddress},
    session::Registry,
};

/// What every page has at hand.
#[derive(Clone)]
pub struct PageState {
    pub assets: Assets,
    pub registry: Arc<Registry>,
    pub limits: Arc<AttemptLimits>,
    /// Whether the hub answers beside these pages, in this process.
    pub hub_is_beside: bool,
    /// Whether browsers come over HTTPS.
    pub https: bool,
    /// Accounts of the demo, shown on its sign-in page; empty otherwise.
    pub demo_accounts: Arc<[DemoAccount]>,
}

impl PageState {
    /// Goes with an attempt of this address that is sent on to the hub: it must not count for this server's own address. A
    /// hub beside believes that the attempt is counted; another one believes the address if this portal is one of its
    /// trusted proxies.
    pub fn counted_headers(&self, address: ClientAddress) -> Vec<(&'static str, String)> {
        vec![if self.hub_is_beside { self.limits.counted(address) } else { forwarded_for(address) }]
    }

    /// As [`PageState::counted_headers`], for one that the hub is to count, which knows whose browser it is.
    pub fn headers_to_be_counted(&self, address: ClientAddress) -> Vec<(&'static str, String)> {
        vec![if self.hub_is_beside { self.limits.to_be_counted(address) } else { forwarded_for(address) }]
    }

    /// What became of an attempt of this address; one that was refused counts against it.
    pub fn counted<T>(&self, address: ClientAddress, outcome: Result<T, ClientError>) -> Result<T, ClientError> {
        let refused = |error: &ClientError| {
            matches!(error, ClientError::NotAllowed(_) | ClientError::Rejected { .. } | ClientError::NotFound(_))
        };
        if outcome.as_ref().is_err_and(refused) {
            self.limits.users.failed(address);
        }
        outcome
    }
}

fn forwarded_for(address: ClientAddress) -> (&'static str, String) {
    ("x-forwarded-for", address.0.to_string())
}

/// Names of the files that pages load.
#[derive(Clone)]
pub struct Assets {
    /// For the scripts that start the islands.
    pub leptos: LeptosOptions,
    /// Address of the stylesheet.
    pub stylesheet: Arc<str>,
}

/// An account of the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoAccount {
    pub username: String,
    pub password: String,
    pub description: String,
}
