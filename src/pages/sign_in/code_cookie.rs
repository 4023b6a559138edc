//! The cookie with which a browser keeps the key of its pending sign-in, between password and code.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use tower_sessions::cookie::{Cookie, SameSite, time::Duration};

use crate::session::PENDING_SECONDS;

fn name(https: bool) -> &'static str {
    if https { "__Host-atoll-code" } else { "atoll-code" }
}

/// The header that sets it, or takes it away.
pub fn set(key: Option<&SecretString>, https: bool) -> [(HeaderName, HeaderValue); 1] {
    cookie(name(https), key, Duration::seconds(PENDING_SECONDS), https)
}

/// A header that sets a cookie for scripts of nobody, or takes it away.
pub(super) fn cookie(
    name: &'static str,
    value: Option<&SecretString>,
    lifetime: Duration,
    https: bool,
) -> [(HeaderName, HeaderValue); 1] {
    let (value, age) = match value {
        Some(value) => (value.expose_secret().to_owned(), lifetime),
        None => (String::new(), Duration::ZERO),
    };
    let cookie = Cookie::build((name, value))
        .path("/")
        .http_only(true)
        .secure(https)
        .same_site(SameSite::Lax)
        .max_age(age)
        .build();
    // What is no header is no cookie either; ours are visible ASCII.
    let mut value = HeaderValue::from_str(&cookie.to_string()).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    [(header::SET_COOKIE, value)]
}

/// The key that came with a request; empty if none did.
pub fn key_of(headers: &HeaderMap, https: bool) -> String {
    value_of(headers, name(https))
}

/// The value of a cookie that came with a request; empty if none did.
pub(super) fn value_of(headers: &HeaderMap, name: &str) -> String {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = cookies.flat_map(|value| Cookie::split_parse(value.to_owned()).flatten());
    cookies.find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned()).unwrap_or_default()
}
