use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use ipnet::IpNet;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer, CompressionLevel,
        predicate::{NotForContentType, Predicate, SizeAbove},
    },
    csrf::CsrfLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    timeout::TimeoutLayer,
    trace::TraceLayer,
};
use tower_sessions::{Expiry, SessionManagerLayer, cookie::SameSite, cookie::time};
use url::Url;

use super::{
    assets::{self, AssetsError},
    carry_through, error_pages, headers,
    live::{self, Live, STREAMS},
    static_files, whole_form,
};
use crate::{
    pages::{self, DemoAccount, PageState},
    protocol::client::{ClientError, Transport},
    serve::{self, Addresses, AttemptLimits, Shares},
    session::{Registry, Sessions, SessionsAt},
};

/// A session ends after this time without a request.
const INACTIVITY: time::Duration = time::Duration::hours(8);
/// The largest form in bytes.
pub(super) const FORM_LIMIT: usize = 256 * 1024;
/// How long a page may take.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// How a portal is made.
pub struct PortalOptions {
    /// The API of the hub.
    pub hub: Url,
    /// The address under which the hub is known outside, if it answers beside this portal.
    pub public_hub: Option<Url>,
    /// Where sessions are stored.
    pub sessions: SessionsAt,
    /// The built site.
    pub site: PathBuf,
    /// Whether browsers reach this server over HTTPS.
    pub https: bool,
    pub demo_accounts: Vec<DemoAccount>,
    /// Proxies before this server whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How often one address may try to sign in; the hub beside it has the same.
    pub limits: Arc<AttemptLimits>,
    /// Ends event streams, so that the server can stop.
    pub stop: CancellationToken,
}

/// Why there is no portal.
#[derive(Debug, thiserror::Error)]
pub enum PortalError {
    #[error(transparent)]
    Assets(#[from] AssetsError),
    #[error("the session store (--sessions, ATOLL_SESSIONS) cannot be opened: {0}")]
    Sessions(#[from] sqlx::Error),
    #[error("the hub's address is of no use: {0}")]
    Hub(#[from] ClientError),
}

/// The web application.
pub struct Portal {
    router: Router,
    addresses: Addresses,
    https: bool,
}

impl Portal {
    /// Opens the session store and puts pages and layers together.
    pub async fn new(options: PortalOptions) -> Result<Portal, PortalError> {
        // An error says that it was done before in this process.
        let _ = any_spawner::Executor::init_tokio();
        let transport = Transport::new(&options.hub)?;
        let hub_is_beside = options.public_hub.is_some();
        let transport = match options.public_hub {
            Some(public) => {
                let (name, key) = options.limits.inside();
                let mut key = HeaderValue::from_str(key).unwrap_or(HeaderValue::from_static(""));
                key.set_sensitive(true);
                transport.known_as(public).with_header(HeaderName::from_static(name), key)
            }
            None => transport,
        };
        let store = Sessions::open(&options.sessions).await?;
        let state = PageState {
            assets: assets::find(&options.site)?,
            registry: Arc::new(Registry::new(transport, store.clone())),
            limits: options.limits,
            hub_is_beside,
            https: options.https,
            demo_accounts: options.demo_accounts.into(),
        };
        let addresses = Addresses { trusted_proxies: options.trusted_proxies.into(), limits: state.limits.clone() };
        store.keep_tidy(state.registry.clone(), options.stop.clone());
        let sessions = SessionManagerLayer::new(store.clone())
            // The prefix binds the cookie to this host and to HTTPS; browsers refuse it without.
            .with_name(if options.https { "__Host-atoll" } else { "atoll" })
            .with_secure(options.https)
            .with_http_only(true)
            // Strict would lose the session when somebody follows a link in an e-mail.
            .with_same_site(SameSite::Lax)
            .with_expiry(Expiry::OnInactivity(INACTIVITY));
        tokio::spawn(tell_version(state.registry.transport().clone(), options.stop.clone()));
        let followed =
            Live { upstream: Arc::default(), streams: Arc::new(Shares::without_queue(STREAMS)), stop: options.stop };
        let pages = pages::routes()
            .route("/events", get(live::events))
            .fallback(|| async { StatusCode::NOT_FOUND })
            .layer(Extension(followed))
            .layer(from_fn_with_state(state.clone(), whole_form::read_first))
            .layer(DefaultBodyLimit::max(FORM_LIMIT))
            .layer(
                ServiceBuilder::new()
                    .layer(from_fn_with_state(state.clone(), error_pages::for_lost_sessions))
                    .layer(sessions)
                    .layer(from_fn_with_state(state.clone(), error_pages::show))
                    .layer(CsrfLayer::new())
                    .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, PAGE_TIMEOUT))
                    .layer(CatchPanicLayer::new()),
            )
            .with_state(state.clone());
        // Streams and files that are compressed already go as they are.
        let compressible = SizeAbove::new(512).and(NotForContentType::SSE).and(NotForContentType::IMAGES);
        let router = Router::new()
            .route("/healthz", get(health).layer(Extension(store)))
            .with_state(state)
            .merge(static_files::routes(&options.site))
            .merge(pages)
            .layer(CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(compressible));
        Ok(Portal { router, addresses, https: options.https })
    }

    /// The web server of the pages, with others that answer beside them, in the layers for everything that a server
    /// answers.
    pub fn router(self, beside: Router) -> Router {
        beside.merge(self.router).layer(
            ServiceBuilder::new()
                .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
                .layer(TraceLayer::new_for_http())
                .layer(PropagateRequestIdLayer::x_request_id())
                .layer(from_fn_with_state(self.https, headers::secure))
                .layer(from_fn_with_state(self.addresses, serve::note))
                .layer(from_fn(carry_through::to_the_end)),
        )
    }
}

/// Tells what the hub is as soon as it answers, and whether that was tested.
async fn tell_version(hub: Transport, stop: CancellationToken) {
    let mut told_away = false;
    loop {
        match hub.ask_server().await {
            Ok(server) if server.is_tested() => return tracing::info!(version = server.version, "the hub answers"),
            Ok(server) => {
                return tracing::warn!(
                    version = server.version,
                    "the hub answers; Atoll was not tested with this version"
                );
            }
            Err(error) if !told_away => {
                told_away = true;
                tracing::warn!(%error, address = %hub.base(), "the hub does not answer yet; pages say so until it does");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// `GET /healthz`: whether this process serves, and whether it reaches its sessions and the hub. 503 without sessions:
/// another portal may do better; and while the hub cannot store anything: its disk is full. Without the hub no portal does
/// better, and this one says so.
async fn health(State(state): State<PageState>, Extension(sessions): Extension<Sessions>) -> Response {
    let transport = state.registry.transport();
    let (server, stores, sessions) = tokio::join!(transport.ask_server(), transport.stores(), sessions.is_up());
    let version = server.ok().map(|server| server.version);
    let body = json!({
        "portal": true, "sessions": sessions, "hub": version.is_some(), "hub_version": version, "hub_stores": stores,
    });
    let status = if sessions && stores { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
