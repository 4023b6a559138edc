//! Secrets at rest: what signs tokens and what second factors are made of is stored encrypted, with a key that is not in
//! the database. Whoever gets a copy of the database alone can neither sign tokens nor compute codes.

use std::{
    io::{Read, Write},
    path::Path,
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey},
    hmac,
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

use super::HubError;
use crate::audit::HeadKey;

/// How sealed texts begin.
const PREFIX: &str = "v1.";
const NONCE_LENGTH: usize = 12;
/// The least that a key is made of, in bytes.
const LEAST: usize = 32;

/// The key of a hub.
#[derive(Clone)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    /// From at least 32 bytes of any form: the content of a file, of a credential of systemd, of a variable.
    pub fn from_material(material: &[u8]) -> Result<SecretKey, HubError> {
        let material = material.trim_ascii();
        if material.len() < LEAST {
            return Err(HubError::Options(format!(
                "the secret key is shorter than {LEAST} bytes; `openssl rand -base64 32` makes one"
            )));
        }
        Ok(SecretKey(Sha256::new().chain_update(b"atoll secret key").chain_update(material).finalize().into()))
    }

    /// From a file; one that is not there is made, for its owner only.
    pub fn from_file(path: &Path) -> Result<SecretKey, HubError> {
        let failed = |error: std::io::Error| HubError::Options(format!("the secret key {}: {error}", path.display()));
        let mut options = std::fs::OpenOptions::new();
        options.create_new(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(path) {
            Ok(mut file) => {
                let fresh: [u8; 32] = rand::random();
                file.write_all(STANDARD_NO_PAD.encode(fresh).as_bytes())
                    .and_then(|()| file.sync_all())
                    .map_err(failed)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        let mut material = Vec::new();
        // A key is short; a file that is not is none.
        std::fs::File::open(path).and_then(|file| file.take(64 * 1024).read_to_end(&mut material)).map_err(failed)?;
        SecretKey::from_material(&material)
    }

    /// Encrypts for storing. The purpose is bound to it: what is sealed for one thing opens for no other.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<String, HubError> {
        let mut sealed = plain.to_vec();
        let nonce = RandomizedNonceKey::new(&AES_256_GCM, &self.0)
            .and_then(|cipher| cipher.seal_in_place_append_tag(Aad::from(purpose.as_bytes()), &mut sealed))
            .map_err(|_| HubError::Internal("a secret could not be encrypted".to_owned()))?;
        Ok(format!("{PREFIX}{}", STANDARD_NO_PAD.encode([nonce.as_ref(), &sealed[..]].concat())))
    }

    /// Decrypts what was stored. What a version without encryption stored is taken as it is.
    pub fn open(&self, purpose: &str, stored: &str) -> Result<Vec<u8>, HubError> {
        let Some(text) = stored.strip_prefix(PREFIX) else { return Ok(stored.as_bytes().to_vec()) };
        self.opened(purpose, text).ok_or_else(|| {
            HubError::Options(
                "the database is encrypted with another secret key: start with the one that it was made with"
                    .to_owned(),
            )
        })
    }

    fn opened(&self, purpose: &str, text: &str) -> Option<Vec<u8>> {
        let bytes = STANDARD_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LENGTH)?;
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, &self.0).ok()?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let plain = cipher.open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut sealed).ok()?;
        Some(plain.to_vec())
    }

    /// As [`SecretKey::open`], of a text.
    pub fn open_text(&self, purpose: &str, stored: &str) -> Result<String, HubError> {
        String::from_utf8(self.open(purpose, stored)?)
            .map_err(|_| HubError::Internal("a secret that is no text".to_owned()))
    }

    /// What ends of the audit log are signed with.
    pub fn head_key(&self) -> HeadKey {
        HeadKey::derive(&self.0)
    }

    /// A hash that nobody can compute without the key, of something that somebody has: equal texts of two people differ.
    pub fn hash(&self, owner: i64, text: &str) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        hmac::sign(&key, format!("{owner} {text}").as_bytes()).as_ref().to_vec()
    }
}

/// Whether something is stored as a version without encryption did.
pub fn is_plain(stored: &str) -> bool {
    !stored.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_and_for_its_purpose_only() {
        let key = SecretKey::from_material(&[7; 32]).unwrap();
        let sealed = key.seal("second factor", b"JBSWY3DP").unwrap();
        assert!(!sealed.contains("JBSWY3DP"));
        assert_ne!(sealed, key.seal("second factor", b"JBSWY3DP").unwrap());
        assert_eq!(key.open_text("second factor", &sealed).unwrap(), "JBSWY3DP");
        assert!(key.open("signing", &sealed).is_err());
        assert!(SecretKey::from_material(&[8; 32]).unwrap().open("second factor", &sealed).is_err());
        assert_eq!(key.open_text("second factor", "JBSWY3DP").unwrap(), "JBSWY3DP", "of an earlier version");
        assert!(SecretKey::from_material(b"short").is_err());
        assert_ne!(key.hash(1, "code"), key.hash(2, "code"));
    }

    #[test]
    fn a_key_file_is_made_once_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.key");
        let first = SecretKey::from_file(&path).unwrap();
        assert_eq!(first.0, SecretKey::from_file(&path).unwrap().0);
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}
