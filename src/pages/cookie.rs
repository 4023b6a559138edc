//! Cookies beside the session's, each a secret that only its browser has.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use tower_sessions::cookie::{Cookie, SameSite, time::Duration};

/// A header that sets a cookie which no script reads, or takes it away.
pub fn set_cookie(
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

/// The value of a cookie that came with a request; empty if none did.
pub fn cookie_value(headers: &HeaderMap, name: &str) -> String {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = cookies.flat_map(|value| Cookie::split_parse(value.to_owned()).flatten());
    cookies.find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned()).unwrap_or_default()
}
