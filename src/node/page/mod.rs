//! The node's own page for reviews, on loopback: the same decisions as at the hub and by the command line, without any
//! server. A one-time code of the command line opens it.

mod guard;
mod handlers;
mod sessions;
mod views;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    routing::{get, post},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::csrf::CsrfLayer;

use super::store::NodeStore;
use crate::serve::serve;
use sessions::Sessions;

/// What the page's handlers have at hand.
#[derive(Clone)]
pub struct PageState {
    store: NodeStore,
    sessions: Arc<Sessions>,
    /// One attempt to sign in at a time.
    attempts: Arc<tokio::sync::Mutex<()>>,
    address: SocketAddr,
}

/// Serves the page for as long as it is polled. Fails if the address is taken.
pub async fn serve_page(store: NodeStore, address: SocketAddr) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "the node's page for reviews; `atoll node reviews code` gives the code that opens it");
    let state = PageState { store, sessions: Arc::default(), attempts: Arc::default(), address };
    let router = Router::new()
        .route("/", get(handlers::list))
        .route("/sign-in", get(handlers::sign_in_form).post(handlers::sign_in))
        .route("/sign-out", post(handlers::sign_out))
        .route("/reviews/{id}", get(handlers::show).post(handlers::decide))
        .fallback(handlers::not_found)
        .layer(DefaultBodyLimit::max(64 * 1024))
        .layer(CsrfLayer::new())
        .layer(from_fn_with_state(state.clone(), guard::protect))
        .with_state(state);
    serve(listener, router, CancellationToken::new()).await;
    Ok(())
}
