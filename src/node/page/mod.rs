//! The node's own page for reviews, on loopback: the same decisions as at the hub and by the command line, without any
//! server. A one-time code of the command line opens it.

mod guard;
mod handlers;
mod sessions;
mod views;

use std::{net::SocketAddr, num::NonZeroU32, sync::Arc};

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
    routing::{get, post},
};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};
use tokio_util::sync::CancellationToken;
use tower_http::csrf::CsrfLayer;

use super::{config::DatabaseConfig, store::NodeStore};
use crate::serve::{in_one_piece, serve_few};
use sessions::Sessions;

/// The largest form, in bytes.
const FORM_LIMIT: usize = 16 * 1024;
/// Any local process can connect.
const CONNECTIONS: usize = 1_000;
/// How many wrong codes the log tells of.
const NOTED: Quota = Quota::per_minute(NonZeroU32::MIN.saturating_add(9));

/// What the page's handlers have at hand.
#[derive(Clone)]
pub struct PageState {
    store: NodeStore,
    /// For the state of the data when something is approved.
    databases: Arc<[DatabaseConfig]>,
    /// What the server is not told of them, in sentences.
    untold: watch::Receiver<Vec<String>>,
    sessions: Arc<Sessions>,
    /// One wrong code at a time.
    wrong_codes: Arc<Semaphore>,
    /// Of wrong codes some a minute are noted, and not all.
    noted_codes: Arc<DefaultDirectRateLimiter>,
    address: SocketAddr,
}

/// Serves the page for as long as it is polled. Fails if the address is taken.
pub async fn serve_page(
    store: NodeStore,
    databases: Vec<DatabaseConfig>,
    untold: watch::Receiver<Vec<String>>,
    address: SocketAddr,
) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "the node's page for reviews; `atoll node reviews code` gives the code that opens it");
    let state = PageState {
        store,
        databases: databases.into(),
        untold,
        sessions: Arc::default(),
        wrong_codes: Arc::new(Semaphore::new(1)),
        noted_codes: Arc::new(RateLimiter::direct(NOTED)),
        address,
    };
    let router = Router::new()
        .route("/", get(handlers::list))
        .route("/sign-in", get(handlers::sign_in_form).post(handlers::sign_in))
        .route("/sign-out", post(handlers::sign_out))
        .route("/reviews/{id}", get(handlers::show).post(handlers::decide))
        .fallback(handlers::not_found)
        .layer(from_fn(in_one_piece::<FORM_LIMIT>))
        .layer(CsrfLayer::new())
        .layer(from_fn_with_state(state.clone(), guard::protect))
        .with_state(state);
    serve_few(listener, router, CONNECTIONS, CancellationToken::new()).await;
    Ok(())
}
