use std::{net::IpAddr, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderName, HeaderValue, Method},
    middleware,
};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use moka::sync::Cache;
use sqlx::{Sqlite, pool::PoolConnection};
use tokio::sync::Mutex;
use tower::Layer;
use tower_http::cors::CorsLayer;

use super::{
    HubError, audit, authentication,
    events::{self, EventServer, EventSession, Events, Lanes},
    hashing::Hashing,
    job::{self, Jobs},
    mail::{MailOptions, Mailer},
    notice::{NoticeOptions, Notices},
    permission::Caller,
    problem::Problems,
    program::Programs,
    resource,
    secret::SecretKey,
    store::{Change, Store},
    token::Tokens,
    version3,
};
use crate::{
    audit::{Head, HeadFile},
    protocol::wire::v4::StoreAlgorithm,
    serve::{AttemptLimits, Shares},
};

/// How a hub is opened.
pub struct HubOptions {
    /// The SQLite file.
    pub database: PathBuf,
    /// With which secrets in it are encrypted.
    pub secret_key: SecretKey,
    /// The address under which others reach this server, without a path (`http://127.0.0.1:3000`).
    pub public_url: String,
    /// The algorithms that the hub's own store describes.
    pub algorithms: Vec<StoreAlgorithm>,
    /// Whether every user needs a second factor.
    pub two_factor: bool,
    /// How mail is sent; without, nobody can recover an account.
    pub mail: Option<MailOptions>,
    /// Who is told of waiting reviews and ended tasks.
    pub notices: NoticeOptions,
    /// A second file that gets every entry of the audit log.
    pub audit_file: Option<PathBuf>,
    /// How often one address may try to sign in: those of the web server around it.
    pub limits: Arc<AttemptLimits>,
    /// Other web interfaces whose pages may use the API, such as `https://ui.example`.
    pub allowed_origins: Vec<HeaderValue>,
}

/// An open hub. Clones are the same hub.
#[derive(Clone)]
pub struct Hub {
    pub(super) state: Arc<HubState>,
    events: Router,
    allowed_origins: Vec<HeaderValue>,
}

/// What every request handler has at hand.
pub struct HubState {
    pub store: Store,
    pub secret_key: SecretKey,
    pub tokens: Tokens,
    pub events: Events,
    pub programs: Programs,
    pub public_url: String,
    pub algorithms: Vec<StoreAlgorithm>,
    pub two_factor: bool,
    pub mailer: Option<Mailer>,
    pub notices: Notices,
    pub jobs: Jobs,
    /// Who has read which result lately: user and run.
    pub results_read: Cache<(String, i64), ()>,
    pub limits: Arc<AttemptLimits>,
    pub problems: Problems,
    pub audit_file: Option<PathBuf>,
    /// What somebody did again and again within this minute.
    pub repeated: audit::Repeated,
    /// Sessions of Socket.IO that were begun with a good token.
    pub event_sessions: Cache<String, EventSession>,
    /// How many connections for events each address may begin with a token that is not good.
    pub strangers: DefaultKeyedRateLimiter<IpAddr>,
    /// The same of all addresses together.
    pub all_strangers: DefaultDirectRateLimiter,
    /// Connections for events that each user, node or algorithm begins.
    pub openings: DefaultKeyedRateLimiter<String>,
    /// Attempts to sign in of each user from browsers that are known.
    pub known_browsers: DefaultKeyedRateLimiter<i64>,
    /// How many keys that nobody has are noted.
    pub unknown_keys: DefaultDirectRateLimiter,
    /// The end of the audit log that was signed last, and where it is kept beside the database.
    pub signed_head: tokio::sync::Mutex<Option<Head>>,
    pub head_file: HeadFile,
    /// The last entry that the second file has.
    pub shipped: tokio::sync::Mutex<Option<i64>>,
    /// Whether the audit log's chain held when that was looked at.
    pub verified: Arc<Mutex<Option<audit::Verified>>>,
    /// What nodes tell of themselves.
    pub told_by_nodes: DefaultKeyedRateLimiter<i64>,
    /// The connections for events of each user, …
    pub connections_of_users: Shares<String>,
    /// … and of each node, which has one or two.
    pub connections_of_nodes: Shares<String>,
    pub lanes: Lanes,
    /// How often the journal says of a node that what it tells is not accepted.
    pub event_warnings: DefaultKeyedRateLimiter<String>,
    pub hashing: Hashing,
}

/// How long a session of Socket.IO is remembered that sends nothing: its pings come more often.
const SESSION_IDLE: Duration = Duration::from_secs(600);
/// The most connections for events of one user, and of one node: those that were cut off are there for a while.
const EVENT_CONNECTIONS: usize = 50;
const EVENT_CONNECTIONS_OF_NODE: usize = 16;
/// After this time it is noted anew that somebody reads a result.
const READ_AGAIN: Duration = Duration::from_secs(3600);

/// The path of the REST API.
pub const API_PATH: &str = "/api";
/// The path of the algorithm store's API.
pub const STORE_PATH: &str = "/store/api";

impl HubState {
    /// Begins a change that somebody makes, if they may still do what they might when their request began.
    pub async fn change(&self, caller: &Caller) -> Result<Change, HubError> {
        let change = self.store.change().await?;
        authentication::require_unchanged(self, caller).await?;
        Ok(change)
    }

    /// Forgets those who have done nothing for a while, in what counts what each does.
    pub fn forget_idle(&self) {
        self.strangers.retain_recent();
        self.openings.retain_recent();
        self.known_browsers.retain_recent();
        self.told_by_nodes.retain_recent();
        self.event_warnings.retain_recent();
    }
}

impl Hub {
    /// Opens the database and prepares the event server.
    pub async fn open(options: HubOptions) -> Result<Hub, HubError> {
        let store = Store::open(&options.database).await?;
        let (head_file, head_key) = (HeadFile::beside(&options.database), options.secret_key.head_key());
        let last_head = head_file.read(&head_key).map(|last| last.head);
        // An error if the key is another one.
        let mut secret = store.signing_secret(&options.secret_key).await?;
        if audit::is_from_backup(&store, last_head.as_ref()).await? {
            store.forget_signing_secret().await?;
            secret = store.signing_secret(&options.secret_key).await?;
        }
        let tokens = Tokens::new(&secret);
        store.encrypt_second_factors(&options.secret_key).await?;
        for family in store.ended_families().await? {
            tokens.end_family(family);
        }
        let event_server = EventServer::new();
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let programs = Programs::of(&store).await?;
        let state = Arc::new(HubState {
            store,
            secret_key: options.secret_key,
            tokens,
            events: Events::new(event_server.ios()),
            programs,
            public_url: options.public_url,
            algorithms: options.algorithms,
            two_factor: options.two_factor,
            mailer: options.mail.as_ref().map(Mailer::new).transpose()?,
            notices: Notices::new(&options.notices),
            jobs: Jobs::default(),
            results_read: Cache::builder().max_capacity(100_000).time_to_live(READ_AGAIN).build(),
            repeated: audit::Repeated::default(),
            problems: Problems::default(),
            audit_file: options.audit_file,
            limits: options.limits,
            event_sessions: Cache::builder().max_capacity(100_000).time_to_idle(SESSION_IDLE).build(),
            openings: RateLimiter::keyed(Quota::per_minute(NonZeroU32::MIN.saturating_add(119))),
            known_browsers: RateLimiter::keyed(Quota::per_minute(NonZeroU32::MIN.saturating_add(19))),
            strangers: RateLimiter::keyed(Quota::per_minute(NonZeroU32::MIN.saturating_add(119))),
            all_strangers: RateLimiter::direct(Quota::per_minute(NonZeroU32::MIN.saturating_add(599))),
            signed_head: tokio::sync::Mutex::new(last_head),
            head_file,
            shipped: tokio::sync::Mutex::default(),
            unknown_keys: RateLimiter::direct(Quota::per_minute(NonZeroU32::MIN.saturating_add(19))),
            verified: Arc::default(),
            told_by_nodes: RateLimiter::keyed(Quota::per_minute(NonZeroU32::MIN.saturating_add(29))),
            connections_of_users: Shares::without_queue(EVENT_CONNECTIONS),
            connections_of_nodes: Shares::without_queue(EVENT_CONNECTIONS_OF_NODE),
            lanes: Lanes::default(),
            event_warnings: RateLimiter::keyed(Quota::per_minute(NonZeroU32::MIN.saturating_add(9))),
            hashing: Hashing::new(processors.saturating_sub(1).max(1)),
        });
        tokio::spawn(job::do_all(Arc::downgrade(&state), options.notices.webhook));
        audit::begin(&state).await?;
        audit::keep(&state);
        let events = events::serve(event_server, state.clone());
        Ok(Hub { state, events, allowed_origins: options.allowed_origins })
    }

    /// The web server: `/api`, `/store/api` and `/socket.io`.
    pub fn router(&self) -> Router {
        let api = resource::routes().with_state(self.state.clone());
        let api = middleware::from_fn_with_state(self.state.clone(), audit::note_refused).layer(api);
        // Around the whole router, since it changes paths.
        let api = middleware::from_fn_with_state(self.state.clone(), version3::adapt).layer(api);
        let store = resource::store_routes().with_state(self.state.clone());
        let rest = Router::new().nest_service(API_PATH, api).nest(STORE_PATH, store);
        if self.allowed_origins.is_empty() {
            return rest.merge(self.events.clone());
        }
        let others = self.for_other_origins();
        // Clients of Socket.IO in browsers ask for credentials, though the hub looks at no cookies.
        rest.layer(others.clone()).merge(self.events.clone().layer(others.allow_credentials(true)))
    }

    /// Lets pages of the allowed origins use the API: they bring their tokens along.
    fn for_other_origins(&self) -> CorsLayer {
        let headers = ["authorization", "content-type", "server-url", "server_url", "store_url"];
        CorsLayer::new()
            .allow_origin(self.allowed_origins.clone())
            .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
            .allow_headers(headers.map(HeaderName::from_static))
            .expose_headers([HeaderName::from_static("total-count")])
            .max_age(Duration::from_secs(600))
    }

    /// Ends all event connections, so that the web server can stop.
    pub async fn close(&self) {
        self.state.events.close().await;
    }

    /// Ends the audit log, when no request is under way any more: nothing is written as long as what is returned is held.
    pub async fn end(&self) -> Option<PoolConnection<Sqlite>> {
        audit::end(&self.state).await
    }
}
