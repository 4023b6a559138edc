//! An authenticator app.

use std::time::SystemTime;

use totp_rs::{Builder, Secret};

/// The code that is shown now for a key in base32, with or without spaces.
pub fn code_of(key: &str) -> String {
    code_at(key, 0)
}

/// The code that is shown so many half minutes later.
pub fn code_at(key: &str, steps: u64) -> String {
    let secret = Secret::try_from_base32(key.replace(' ', "")).unwrap();
    let totp = Builder::new().with_secret(secret).with_account_name("somebody").build().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    totp.generate(now + 30 * steps).to_string()
}
