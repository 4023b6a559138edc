//! The cookie with which a browser keeps the key of its pending sign-in, between password and code.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use tower_sessions::cookie::time::Duration;

use crate::{
    pages::cookie::{cookie_value, set_cookie},
    session::PENDING_SECONDS,
};

fn name(https: bool) -> &'static str {
    if https { "__Host-atoll-code" } else { "atoll-code" }
}

/// The header that sets it, or takes it away.
pub fn set(key: Option<&SecretString>, https: bool) -> [(HeaderName, HeaderValue); 1] {
    set_cookie(name(https), key, Duration::seconds(PENDING_SECONDS), https)
}

/// The key that came with a request; empty if none did.
pub fn key_of(headers: &HeaderMap, https: bool) -> String {
    cookie_value(headers, name(https))
}
