//! The cookie by which a browser is known in which somebody was signed in before: strangers who try passwords of theirs
//! do not keep them out of it. The hub beside tells by what a browser is known; for another one the portal remembers it.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tower_sessions::cookie::time::Duration;
use uuid::Uuid;

use crate::{
    pages::{
        cookie::{cookie_value, set_cookie},
        state::PageState,
    },
    protocol::client::{BROWSER, ClientError, KNOWN_BROWSER, TokenPair},
    serve::ClientAddress,
};

const LIFETIME: Duration = Duration::days(180);

fn name(https: bool) -> &'static str {
    if https { "__Host-atoll-browser" } else { "atoll-browser" }
}

/// The header that sets it for somebody who has signed in, if there is something to be known by.
pub async fn set(
    state: &PageState,
    headers: &HeaderMap,
    username: &str,
    tokens: &TokenPair,
) -> Option<[(HeaderName, HeaderValue); 1]> {
    let mut known = tokens.known_browser.clone();
    if !state.hub_is_beside {
        let value = known.get_or_insert_with(|| Uuid::new_v4().to_string().into());
        let before = cookie_value(headers, name(state.https));
        let store = state.registry.store();
        if let Err(error) = store.remember_browser(value.expose_secret(), &before, username, LIFETIME).await {
            tracing::warn!(%error, "a browser was not remembered");
        }
    }
    known.map(|known: SecretString| set_cookie(name(state.https), Some(&known), LIFETIME, state.https))
}

/// An attempt to sign in as it goes to the hub.
pub struct Attempt {
    /// That it is counted, or is to be, and by what the browser is known.
    pub headers: Vec<(&'static str, String)>,
    /// Whether this page counts it: not where the browser is known, lest strangers at the same address keep it out. There
    /// the hub counts wrong passwords of the account.
    pub is_counted_here: bool,
}

/// An attempt of this user from this address; `None` if there were too many.
pub async fn attempt(
    state: &PageState,
    address: ClientAddress,
    headers: &HeaderMap,
    username: &str,
) -> Option<Attempt> {
    let known = Some(cookie_value(headers, name(state.https))).filter(|known| !known.is_empty());
    let is_known = match &known {
        // The hub beside can tell whether it is, and applies the limits.
        Some(_) if state.hub_is_beside => true,
        // Where nobody can tell, it is one like others.
        Some(known) => state.registry.store().knows_browser(known, username).await.unwrap_or(false),
        None => false,
    };
    if !is_known && !state.limits.users.allows(address) {
        return None;
    }
    let counted = match is_known {
        false => state.counted_headers(address),
        true => state.headers_to_be_counted(address),
    };
    let known = known.map(|known| (KNOWN_BROWSER, known));
    Some(Attempt {
        headers: counted.into_iter().chain([(BROWSER, "1".to_owned())]).chain(known).collect(),
        is_counted_here: !is_known,
    })
}

impl Attempt {
    /// What became of it; one that was refused counts against the address.
    pub fn ended<T>(
        &self,
        state: &PageState,
        address: ClientAddress,
        outcome: Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        if self.is_counted_here { state.counted(address, outcome) } else { outcome }
    }
}
