use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::protocol::{brief, wire::v4};

/// What a sign-in gives: a token to ask with, and one to renew it.
#[derive(Clone)]
pub struct TokenPair {
    pub access: SecretString,
    pub refresh: SecretString,
    /// When the access token ends; `None` if it does not tell.
    pub expires: Option<Timestamp>,
    /// Whom the server names in the token: the id of a user or a node. Only for addressing the next request; what
    /// somebody may do is decided by the server.
    pub subject: Option<i64>,
    /// By which the browser is known from now on, after a sign-in that asked for it.
    pub known_browser: Option<SecretString>,
}

#[derive(Deserialize)]
struct Claims {
    exp: Option<f64>,
    sub: Option<Value>,
}

impl TokenPair {
    /// Makes a pair of the two tokens, reading the access token's unverified claims.
    pub fn new(access: String, refresh: String) -> Self {
        let claims = access
            .split('.')
            .nth(1)
            .and_then(|part| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok())
            .and_then(|bytes| brief::from_slice::<Claims>(&bytes).ok());
        let (expires, subject) = match claims {
            Some(Claims { exp, sub }) => (
                exp.and_then(|seconds| Timestamp::from_second(seconds as i64).ok()),
                sub.and_then(|sub| sub.as_i64().or_else(|| sub.as_str()?.parse().ok())),
            ),
            None => (None, None),
        };
        TokenPair { access: access.into(), refresh: refresh.into(), expires, subject, known_browser: None }
    }

    /// Whether the access token ends within a minute.
    pub fn is_expiring(&self) -> bool {
        self.expires.is_some_and(|expires| expires <= Timestamp::now() + SignedDuration::from_secs(60))
    }

    /// Whether both are the same tokens.
    pub fn is_same(&self, other: &TokenPair) -> bool {
        self.access.expose_secret() == other.access.expose_secret()
    }
}

impl From<v4::Tokens> for TokenPair {
    fn from(wire: v4::Tokens) -> Self {
        let known_browser = wire.known_browser.map(SecretString::from);
        TokenPair { known_browser, ..TokenPair::new(wire.access_token, wire.refresh_token) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_and_the_end_are_read_from_the_token() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"sub": 7, "exp": 4102444800}"#);
        let pair = TokenPair::new(format!("header.{claims}.signature"), String::new());
        assert_eq!(pair.subject, Some(7));
        assert!(!pair.is_expiring());
        assert!(TokenPair::new("x".into(), String::new()).expires.is_none());
    }
}
