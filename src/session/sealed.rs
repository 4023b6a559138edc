//! Sessions as they stand in the store: under a digest of their id, and encrypted with a key that is made of it. The id is
//! a secret of 128 random bits that only the browser has, in its cookie: whoever reads the store can neither act as
//! somebody nor read what they have in their session.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tower_sessions::{
    session::{Id, Record},
    session_store::Error,
};

/// The one entry of a stored record.
const SEALED: &str = "sealed";
const NONCE_LENGTH: usize = 12;

fn digest(purpose: &str, id: &Id) -> [u8; 32] {
    Sha256::new().chain_update(purpose).chain_update(id.0.to_be_bytes()).finalize().into()
}

/// Under which id a session is stored. It may be told to other replicas, and names the session within this process.
pub(super) fn stored_id(id: &Id) -> Id {
    Id(digest("atoll session id ", id).first_chunk().map_or(0, |half| i128::from_be_bytes(*half)))
}

fn cipher(id: &Id) -> Option<RandomizedNonceKey> {
    RandomizedNonceKey::new(&AES_256_GCM, &digest("atoll session key ", id)).ok()
}

/// The record that is stored for a session.
pub(super) fn seal(session: &Record) -> Result<Record, Error> {
    let failed = || Error::Encode("the session could not be encrypted".to_owned());
    let mut sealed = serde_json::to_vec(&session.data).map_err(|error| Error::Encode(error.to_string()))?;
    let id = stored_id(&session.id);
    let nonce = cipher(&session.id)
        .and_then(|cipher| cipher.seal_in_place_append_tag(Aad::from(id.0.to_be_bytes()), &mut sealed).ok())
        .ok_or_else(failed)?;
    let sealed = STANDARD_NO_PAD.encode([nonce.as_ref(), &sealed[..]].concat());
    Ok(Record { id, data: [(SEALED.to_owned(), Value::from(sealed))].into(), expiry_date: session.expiry_date })
}

/// The session with this id that was stored as this record; `None` if it is none.
pub(super) fn open(id: &Id, stored: &Record) -> Option<Record> {
    let sealed = STANDARD_NO_PAD.decode(stored.data.get(SEALED)?.as_str()?).ok()?;
    let (nonce, sealed) = sealed.split_at_checked(NONCE_LENGTH)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut sealed = sealed.to_vec();
    let plain = cipher(id)?.open_in_place(nonce, Aad::from(stored.id.0.to_be_bytes()), &mut sealed).ok()?;
    Some(Record { id: *id, data: serde_json::from_slice(plain).ok()?, expiry_date: stored.expiry_date })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower_sessions::cookie::time::OffsetDateTime;

    #[test]
    fn only_the_id_opens_a_session() {
        let data = [("sign_in".to_owned(), Value::from("a token"))].into();
        let session = Record { id: Id(7), data, expiry_date: OffsetDateTime::UNIX_EPOCH };
        let stored = seal(&session).unwrap();
        assert_ne!(stored.id, session.id);
        assert!(!serde_json::to_string(&stored.data).unwrap().contains("a token"));
        assert_eq!(open(&Id(7), &stored), Some(session.clone()));
        assert_eq!(open(&Id(8), &stored), None);
        // One cannot be put in the place of another.
        assert_eq!(open(&Id(7), &Record { id: stored_id(&Id(8)), ..stored.clone() }), None);
        assert_ne!(seal(&session).unwrap().data, stored.data, "each time with another nonce");
    }
}
