use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey},
    rand,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tower_sessions::Session;

use super::SessionError;
use crate::protocol::client::SecondFactor;

const RECORD: &str = "pending_sign_in";
/// How long somebody may take to give a code, in seconds.
pub const PENDING_SECONDS: i64 = 10 * 60;
const PURPOSE: &[u8] = b"atoll pending sign-in";
const NONCE_LENGTH: usize = 12;

/// A sign-in whose password was right and whose second factor is still to be given.
///
/// The password is needed once more, together with the code, and any replica may get that request. It is stored in the
/// session, encrypted with a key that only the browser keeps, in a cookie: neither the store nor the cookie tells it.
#[derive(Clone)]
pub struct PendingSignIn {
    pub username: String,
    /// The server wants it again, together with the code.
    pub password: SecretString,
    /// The path that is wanted afterwards.
    pub next: String,
    /// What has to be set up first.
    pub set_up: Option<SecondFactor>,
}

#[derive(Serialize, Deserialize)]
struct Plain {
    username: String,
    password: String,
    next: String,
    /// The address for the QR code, and the same for typing.
    set_up: Option<(String, String)>,
    /// Seconds since 1970.
    since: i64,
}

impl PendingSignIn {
    /// Stores it in this browser's session; the key for the browser to keep.
    pub async fn keep(&self, session: &Session) -> Result<SecretString, SessionError> {
        let (key, sealed) = seal(&Plain {
            username: self.username.clone(),
            password: self.password.expose_secret().to_owned(),
            next: self.next.clone(),
            set_up: self.set_up.as_ref().map(|second_factor| {
                (second_factor.qr_uri.expose_secret().to_owned(), second_factor.secret.expose_secret().to_owned())
            }),
            since: Timestamp::now().as_second(),
        })?;
        session.insert(RECORD, sealed).await?;
        Ok(key.into())
    }

    /// That of this browser; `None` if there is none, if it took too long, or if this is not its key.
    pub async fn of(session: &Session, key: &str) -> Result<Option<PendingSignIn>, SessionError> {
        let sealed: Option<String> = session.get(RECORD).await?;
        let plain = sealed.and_then(|sealed| open(key, &sealed));
        let in_time = |plain: &Plain| Timestamp::now().as_second() - plain.since < PENDING_SECONDS;
        Ok(plain.filter(in_time).map(|plain| PendingSignIn {
            username: plain.username,
            password: plain.password.into(),
            next: plain.next,
            set_up: plain.set_up.map(|(qr_uri, secret)| SecondFactor { qr_uri: qr_uri.into(), secret: secret.into() }),
        }))
    }
}

/// Encrypts with a new key; the key and nonce + ciphertext + tag, both in base64.
fn seal(plain: &Plain) -> Result<(String, String), SessionError> {
    let mut key = [0; 32];
    let mut sealed = serde_json::to_vec(plain).map_err(|_| SessionError::Encryption)?;
    rand::fill(&mut key).map_err(|_| SessionError::Encryption)?;
    let nonce = RandomizedNonceKey::new(&AES_256_GCM, &key)
        .and_then(|cipher| cipher.seal_in_place_append_tag(Aad::from(PURPOSE), &mut sealed))
        .map_err(|_| SessionError::Encryption)?;
    Ok((URL_SAFE_NO_PAD.encode(key), URL_SAFE_NO_PAD.encode([nonce.as_ref(), &sealed[..]].concat())))
}

fn open(key: &str, sealed: &str) -> Option<Plain> {
    let key = URL_SAFE_NO_PAD.decode(key).ok()?;
    let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let (nonce, sealed) = sealed.split_at_checked(NONCE_LENGTH)?;
    let mut sealed = sealed.to_vec();
    let cipher = RandomizedNonceKey::new(&AES_256_GCM, &key).ok()?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let plain = cipher.open_in_place(nonce, Aad::from(PURPOSE), &mut sealed).ok()?;
    serde_json::from_slice(plain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tower_sessions::MemoryStore;

    #[tokio::test]
    async fn only_the_browser_s_key_opens_what_the_store_has() {
        let store = Arc::new(MemoryStore::default());
        let session = Session::new(None, store, None);
        let pending = PendingSignIn {
            username: "rosa".to_owned(),
            password: "top-secret".into(),
            next: "/tasks/7".to_owned(),
            set_up: None,
        };
        let key = pending.keep(&session).await.unwrap();
        let stored: String = session.get(RECORD).await.unwrap().unwrap();
        let stored = String::from_utf8_lossy(&URL_SAFE_NO_PAD.decode(stored).unwrap()).into_owned();
        assert!(!stored.contains("top-secret") && !stored.contains("rosa"));
        let opened = PendingSignIn::of(&session, key.expose_secret()).await.unwrap().unwrap();
        assert_eq!((opened.password.expose_secret(), opened.next.as_str()), ("top-secret", "/tasks/7"));
        let other = pending.keep(&session).await.unwrap();
        for wrong in [key.expose_secret(), "", "AAAA", "!"] {
            assert!(PendingSignIn::of(&session, wrong).await.unwrap().is_none(), "{wrong}");
        }
        assert!(PendingSignIn::of(&session, other.expose_secret()).await.unwrap().is_some());
    }
}
