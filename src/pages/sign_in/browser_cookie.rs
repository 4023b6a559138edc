//! The cookie by which a browser is known in which somebody was signed in before: strangers who try passwords of theirs
//! do not keep them out of it.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use tower_sessions::cookie::time::Duration;

use super::code_cookie::{cookie, value_of};
use crate::{
    pages::state::PageState,
    protocol::client::{BROWSER, ClientError, KNOWN_BROWSER},
    serve::ClientAddress,
};

const LIFETIME: Duration = Duration::days(180);

fn name(https: bool) -> &'static str {
    if https { "__Host-atoll-browser" } else { "atoll-browser" }
}

/// The header that sets it, if there is something to be known by.
pub fn set(known: Option<&SecretString>, https: bool) -> Option<[(HeaderName, HeaderValue); 1]> {
    known.map(|known| cookie(name(https), Some(known), LIFETIME, https))
}

/// An attempt to sign in as it goes to the hub.
pub struct Attempt {
    /// That it is counted, or is to be, and by what the browser is known.
    pub headers: Vec<(&'static str, String)>,
    /// Whether this page counts it. A browser that says that it is known is let through to the hub beside, which can tell:
    /// strangers at the same address do not keep it out.
    pub is_counted_here: bool,
}

/// An attempt from this address; `None` if there were too many.
pub fn attempt(state: &PageState, address: ClientAddress, headers: &HeaderMap) -> Option<Attempt> {
    let known = value_of(headers, name(state.https));
    let known = Some(known).filter(|known| !known.is_empty()).map(|known| (KNOWN_BROWSER, known));
    let is_counted_here = known.is_none() || !state.hub_is_beside;
    if is_counted_here && !state.limits.users.allows(address) {
        return None;
    }
    let counted = match is_counted_here {
        true => state.counted_headers(address),
        false => state.headers_to_be_counted(address),
    };
    Some(Attempt {
        headers: counted.into_iter().chain([(BROWSER, "1".to_owned())]).chain(known).collect(),
        is_counted_here,
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
