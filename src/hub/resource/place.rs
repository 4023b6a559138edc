//! Where attempts to sign in come from. Wrong passwords are counted by account and place together, so that strangers do
//! not lock anybody out who comes from elsewhere; who was signed in from a place before is let in from there whatever
//! strangers do.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use uuid::Uuid;

use crate::{
    hub::{
        HubError,
        hashing::Who,
        server::HubState,
        token::{Claims, Purpose, Subject},
    },
    protocol::client::{BROWSER, KNOWN_BROWSER},
    serve::ClientAddress,
};

/// How the names of places begin that are known browsers.
pub const BROWSER_PLACE: &str = "browser ";

/// What a request tells of where it comes from.
pub struct CameFrom {
    /// The network of its address.
    network: String,
    /// It comes from a page that keeps what it is known by.
    is_browser: bool,
    /// By which the browser says that it is known.
    token: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for CameFrom {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HubError> {
        let text =
            |headers: &HeaderMap, name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let address = parts.extensions.get::<ClientAddress>();
        Ok(CameFrom {
            network: address.map_or_else(|| "unknown".to_owned(), |address| address.network().to_string()),
            is_browser: parts.headers.contains_key(BROWSER),
            token: text(&parts.headers, KNOWN_BROWSER),
        })
    }
}

impl CameFrom {
    /// Whose turn it is to have a password looked at, unless the browser is known.
    pub fn stranger(&self) -> Who {
        Who::Stranger(self.network.clone())
    }

    fn claims(&self, hub: &HubState) -> Option<Claims> {
        hub.tokens.check(self.token.as_deref()?, Purpose::KnownBrowser).ok()
    }

    /// The claims of a browser in which this user signed in since their password or second factor last changed. Older ones
    /// do not count: somebody who knew the old password may have them.
    fn of_known_browser(&self, hub: &HubState, user_id: i64, epoch: i64) -> Option<Claims> {
        self.claims(hub).filter(|claims| claims.sub == Subject::Id(user_id) && claims.epoch == epoch)
    }

    /// By what the attempts of a user are counted.
    pub fn place(&self, hub: &HubState, user_id: i64, epoch: i64) -> String {
        match self.of_known_browser(hub, user_id, epoch) {
            Some(claims) => format!("{BROWSER_PLACE}{}", claims.jti),
            None => self.network.clone(),
        }
    }

    /// Whether a browser asks in which this user was signed in before.
    pub fn is_known(&self, hub: &HubState, user_id: i64, epoch: i64) -> bool {
        self.of_known_browser(hub, user_id, epoch).is_some()
    }

    /// By what the browser is known from now on, if it keeps such things.
    pub fn known_browser(&self, hub: &HubState, user_id: i64, epoch: i64) -> Result<Option<String>, HubError> {
        if !self.is_browser {
            return Ok(None);
        }
        let known = self.of_known_browser(hub, user_id, epoch);
        let id = known.map_or_else(Uuid::new_v4, |claims| claims.jti);
        hub.tokens.sign_for_browser(user_id, id, epoch).map(Some)
    }
}
