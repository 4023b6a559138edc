use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, HeaderValue, header};
use data_encoding::HEXLOWER;

const COOKIE: &str = "atoll-node";
/// A sign-in ends after this time.
const LIFETIME: Duration = Duration::from_secs(8 * 3600);

/// Who is signed in at the page, by a random token; gone when the node ends.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<String, (String, Instant)>>);

impl Sessions {
    /// Begins one; the cookie to set.
    pub fn begin(&self, name: String) -> HeaderValue {
        let token: [u8; 32] = rand::random();
        let token: String = HEXLOWER.encode(&token);
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, (_, since)| since.elapsed() < LIFETIME);
        sessions.insert(token.clone(), (name, Instant::now()));
        cookie(&format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/"))
    }

    /// Who asks, if they are signed in.
    pub fn name(&self, headers: &HeaderMap) -> Option<String> {
        let token = token(headers)?;
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, since) = sessions.get(&token)?;
        (since.elapsed() < LIFETIME).then(|| name.clone())
    }

    /// Ends one; the cookie to set.
    pub fn end(&self, headers: &HeaderMap) -> HeaderValue {
        if let Some(token) = token(headers) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&token);
        }
        cookie(&format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0"))
    }
}

fn cookie(text: &str) -> HeaderValue {
    // Letters and digits only.
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

fn token(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(name, _)| *name == COOKIE).map(|(_, token)| token.to_owned())
}
