use std::{net::IpAddr, num::NonZeroU32};

use axum::http::HeaderMap;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Attempts to sign in that one address may make at once …
const BURST: u32 = 20;
/// … and each minute after that. Whole hospitals share an address; an account is limited by the hub.
const EACH_MINUTE: u32 = 20;
/// Addresses remembered before those at rest are forgotten.
const REMEMBERED: usize = 10_000;

/// Where a request comes from, behind proxies that are trusted. In the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Limits attempts to sign in by address.
pub struct SignInLimiter {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    /// Random; known to this process only.
    key: String,
}

/// The header of [`SignInLimiter::counted`].
const COUNTED: &str = "x-atoll-counted";

impl Default for SignInLimiter {
    fn default() -> Self {
        let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(number(EACH_MINUTE)).allow_burst(number(BURST));
        SignInLimiter { limiter: RateLimiter::keyed(quota), key: uuid::Uuid::new_v4().simple().to_string() }
    }
}

impl SignInLimiter {
    /// Whether this address may try now; counts the attempt.
    pub fn allows(&self, address: IpAddr) -> bool {
        if self.limiter.len() > REMEMBERED {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&network_of(address)).is_ok()
    }

    /// Goes with a sign-in that a page sends on to the hub: the API beside it, if there is one, sees the same limiter
    /// and must not count the attempt again, for this server's own address.
    pub fn counted(&self) -> (&'static str, String) {
        (COUNTED, self.key.clone())
    }

    /// Whether a page of this process counted the attempt.
    pub fn was_counted(&self, headers: &HeaderMap) -> bool {
        headers.get(COUNTED).is_some_and(|key| key.as_bytes() == self.key.as_bytes())
    }
}

/// Who has one IPv6 address has 2⁶⁴ of them.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_limited_and_others_are_not() {
        let limiter = SignInLimiter::default();
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert!((0..BURST).all(|_| limiter.allows(one)));
        assert!(!limiter.allows(one));
        assert!(limiter.allows(other));
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_count_as_one() {
        let limiter = SignInLimiter::default();
        let allowed = (0..100).filter(|n| limiter.allows(format!("2001:db8::{n:x}").parse().unwrap())).count();
        assert_eq!(allowed, BURST as usize);
    }
}
