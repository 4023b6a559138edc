//! How often one address may try to sign in. Failures are limited; what succeeds is only bounded in its rate, so that a
//! hundred stations behind one proxy come back at once.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    extract::{FromRequestParts, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use moka::sync::Cache;
use serde_json::json;
use tokio::sync::Semaphore;

use super::{ClientAddress, Shares};

/// Failures that one address may have at once, and each minute after that. Whole hospitals share an address; accounts
/// are limited by themselves.
const FAILURES: u32 = 20;
/// How long an address that had more waits.
const PAUSE: Duration = Duration::from_secs(60);
/// Attempts of any outcome: passwords take time to check, …
const USER_ATTEMPTS: u32 = 120;
/// … keys do not.
const NODE_ATTEMPTS: u32 = 1_200;
/// Addresses remembered before those at rest are forgotten.
const REMEMBERED: usize = 10_000;
/// Requests of one address that are worked on at a time; its others wait, so that it keeps nobody else waiting.
const UNDER_WAY: usize = 16;
/// … and of all addresses together.
const ALL_UNDER_WAY: usize = 64;
/// The header of [`AttemptLimits::inside`].
const INSIDE: &str = "x-atoll-inside";
/// The header of [`AttemptLimits::counted`].
const COUNTED: &str = "x-atoll-counted";

/// What is said to an address that made too many attempts.
pub const TOO_MANY: &str = "Too many attempts from this address. Wait a minute, then try again.";

/// Limits attempts by address.
pub struct Attempts {
    failures: DefaultKeyedRateLimiter<IpAddr>,
    all: DefaultKeyedRateLimiter<IpAddr>,
    paused: Cache<IpAddr, ()>,
    /// Whether what fails is limited before it is looked at: where looking costs nothing, right keys are never refused.
    pauses_all: bool,
    /// Who was refused since that was last looked at, and how often.
    limited: Mutex<BTreeMap<IpAddr, u64>>,
}

/// The limits of this process.
pub struct AttemptLimits {
    /// Of users: passwords, codes, recovery.
    pub users: Attempts,
    /// Of nodes: one that signs in again and again must not keep the people beside it out.
    pub nodes: Attempts,
    /// The requests of an address that are worked on; those that only look whether a server is well by themselves.
    pub(super) under_way: Shares<(IpAddr, bool)>,
    /// Those of all addresses together.
    pub(super) all_under_way: Semaphore,
    /// Random; known to this process only.
    key: String,
    /// The same, for [`AttemptLimits::inside`].
    inside: String,
}

impl Default for AttemptLimits {
    fn default() -> Self {
        AttemptLimits {
            users: Attempts::new(USER_ATTEMPTS, true),
            nodes: Attempts::new(NODE_ATTEMPTS, false),
            // Connections that wait give way to others.
            under_way: Shares::with_queue(UNDER_WAY, usize::MAX),
            all_under_way: Semaphore::new(ALL_UNDER_WAY),
            key: uuid::Uuid::new_v4().simple().to_string(),
            inside: uuid::Uuid::new_v4().simple().to_string(),
        }
    }
}

impl AttemptLimits {
    /// Goes with an attempt that a page sends on to the hub: the API beside it, if there is one, has the same limits and
    /// must not count it again, for this server's own address.
    pub fn counted(&self, client: ClientAddress) -> (&'static str, String) {
        (COUNTED, format!("{} {}", self.key, client.0))
    }

    /// Goes with what a page asks of the hub beside it: it is part of a request that has its place.
    pub fn inside(&self) -> (&'static str, &str) {
        (INSIDE, &self.inside)
    }

    /// Whether a page of this process asks.
    pub(super) fn is_inside(&self, headers: &HeaderMap) -> bool {
        headers.get(INSIDE).is_some_and(|key| key.as_bytes() == self.inside.as_bytes())
    }

    /// Addresses that were refused since this was last asked, the one that tried most often first.
    pub fn take_limited(&self) -> Vec<(IpAddr, u64)> {
        let mut all = self.users.take_limited();
        for (address, times) in self.nodes.take_limited() {
            *all.entry(address).or_default() += times;
        }
        let mut all: Vec<(IpAddr, u64)> = all.into_iter().collect();
        all.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
        all
    }

    /// Goes with an attempt of a browser that says that it is known. The hub beside can tell, and applies the limits.
    pub fn to_be_counted(&self, client: ClientAddress) -> (&'static str, String) {
        (COUNTED, format!("{} {} by the hub", self.key, client.0))
    }

    /// For whom a page of this process asks, if one does, and whether it has counted the attempt.
    pub(super) fn of_page(&self, headers: &HeaderMap) -> Option<(IpAddr, bool)> {
        let mut words = headers.get(COUNTED)?.to_str().ok()?.splitn(3, ' ');
        let is_ours = words.next()? == self.key;
        let client = words.next()?.parse().ok()?;
        is_ours.then_some((client, words.next().is_none()))
    }
}

/// The limits that a handler applies by itself, and for whom; nothing where a page has counted the attempt.
pub struct Limited(pub Option<(Arc<AttemptLimits>, ClientAddress)>);

impl<S: Send + Sync> FromRequestParts<S> for Limited {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let limits = parts.extensions.get::<Arc<AttemptLimits>>().cloned();
        Ok(Limited(limits.zip(parts.extensions.get().copied())))
    }
}

impl Attempts {
    fn new(all: u32, pauses_all: bool) -> Self {
        let quota = |number| Quota::per_minute(NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN));
        Attempts {
            failures: RateLimiter::keyed(quota(FAILURES)),
            all: RateLimiter::keyed(quota(all)),
            paused: Cache::builder().max_capacity(REMEMBERED as u64).time_to_live(PAUSE).build(),
            pauses_all,
            limited: Mutex::default(),
        }
    }

    /// Notes that this address was limited, for the audit log.
    pub fn note_limited(&self, client: ClientAddress) {
        let network = client.network();
        let mut limited = self.limited.lock().unwrap_or_else(PoisonError::into_inner);
        if limited.len() < REMEMBERED || limited.contains_key(&network) {
            *limited.entry(network).or_default() += 1;
        }
    }

    fn take_limited(&self) -> BTreeMap<IpAddr, u64> {
        std::mem::take(&mut *self.limited.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether this address may try now; counts the attempt.
    pub fn allows(&self, client: ClientAddress) -> bool {
        let network = client.network();
        if self.all.len() > REMEMBERED {
            self.all.retain_recent();
        }
        // Where looking costs nothing, wrong keys use up nothing that right ones need.
        let allows = !self.pauses_all || self.all.check_key(&network).is_ok() && !self.paused.contains_key(&network);
        if !allows {
            self.note_limited(client);
        }
        allows
    }

    /// Counts what succeeded without having been counted before; whether it is one too many.
    fn succeeded(&self, client: ClientAddress) -> bool {
        let too_many = !self.pauses_all && self.all.check_key(&client.network()).is_err();
        if too_many {
            self.note_limited(client);
        }
        too_many
    }

    /// Counts a failure; whether it is one too many.
    pub fn failed(&self, client: ClientAddress) -> bool {
        let network = client.network();
        if self.failures.len() > REMEMBERED {
            self.failures.retain_recent();
        }
        let too_many = self.failures.check_key(&network).is_err();
        if too_many {
            self.paused.insert(network, ());
            self.note_limited(client);
        }
        too_many
    }
}

/// Limits what users try at a route.
pub async fn limit_users(request: Request, next: Next) -> Response {
    limit(request, next, |limits| &limits.users).await
}

/// Limits what nodes try at a route.
pub async fn limit_nodes(request: Request, next: Next) -> Response {
    limit(request, next, |limits| &limits.nodes).await
}

async fn limit(request: Request, next: Next, which: fn(&AttemptLimits) -> &Attempts) -> Response {
    let (limits, client) = (request.extensions().get::<Arc<AttemptLimits>>(), request.extensions().get());
    let (Some(limits), Some(client)) = (limits.cloned(), client.copied()) else { return next.run(request).await };
    if !which(&limits).allows(client) {
        return too_many();
    }
    let response = next.run(request).await;
    let is_too_many = match response.status() {
        StatusCode::UNAUTHORIZED => which(&limits).failed(client),
        status if status.is_success() => which(&limits).succeeded(client),
        _ => false,
    };
    if is_too_many { too_many() } else { response }
}

fn too_many() -> Response {
    let body = Json(json!({"msg": TOO_MANY}));
    (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "60")], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> ClientAddress {
        ClientAddress(address.parse().unwrap())
    }

    #[test]
    fn failures_of_one_address_are_limited_and_what_succeeds_is_not() {
        let limits = AttemptLimits::default();
        let (one, other) = (client("192.0.2.1"), client("192.0.2.2"));
        assert!((0..60).all(|_| limits.users.allows(one)));
        assert!((0..FAILURES).all(|_| !limits.users.failed(one)));
        assert!(limits.users.failed(one));
        assert!(!limits.users.allows(one) && limits.users.allows(other));
        assert_eq!(limits.take_limited(), [(one.0, 2)]);
        assert!(limits.take_limited().is_empty());
        // A right key is let in whatever wrong ones come from beside it.
        assert!((0..FAILURES + 1).any(|_| limits.nodes.failed(one)));
        assert!((0..5_000).all(|_| limits.nodes.allows(one) && limits.nodes.failed(one)));
        assert!((0..200).all(|_| limits.nodes.allows(one) && !limits.nodes.succeeded(one)));
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_count_as_one() {
        let limits = AttemptLimits::default();
        let failed = (0..100).filter(|n| !limits.users.failed(client(&format!("2001:db8::{n:x}")))).count();
        assert_eq!(failed, FAILURES as usize);
    }
}
