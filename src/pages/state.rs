use std::sync::Arc;

use leptos::config::LeptosOptions;

use crate::session::{Registry, SignInLimiter};

/// What every page has at hand.
#[derive(Clone)]
pub struct PageState {
    pub assets: Assets,
    pub registry: Arc<Registry>,
    pub limiter: Arc<SignInLimiter>,
    /// Whether browsers come over HTTPS.
    pub https: bool,
    /// Accounts of the demo, shown on its sign-in page; empty otherwise.
    pub demo_accounts: Arc<[DemoAccount]>,
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
