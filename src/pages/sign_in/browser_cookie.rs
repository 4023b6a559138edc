//! The cookie by which a browser is known in which somebody was signed in before: strangers who try passwords of theirs
//! do not keep them out of it.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use tower_sessions::cookie::time::Duration;

use super::code_cookie::{cookie, value_of};
use crate::{
    pages::state::PageState,
    protocol::client::{BROWSER, KNOWN_BROWSER},
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

/// What goes to the hub with an attempt to sign in: that it is counted, and by what the browser is known.
pub fn headers(state: &PageState, address: ClientAddress, headers: &HeaderMap) -> Vec<(&'static str, String)> {
    let known = value_of(headers, name(state.https));
    let known = Some(known).filter(|known| !known.is_empty()).map(|known| (KNOWN_BROWSER, known));
    state.counted_headers(address).into_iter().chain([(BROWSER, "1".to_owned())]).chain(known).collect()
}
