use std::{net::IpAddr, num::NonZeroU32};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Attempts to sign in that one address may make at once …
const BURST: u32 = 20;
/// … and each minute after that. Whole hospitals share an address; an account is limited by the hub.
const EACH_MINUTE: u32 = 20;
/// Addresses remembered before those at rest are forgotten.
const REMEMBERED: usize = 10_000;

/// Limits attempts to sign in by address.
pub struct SignInLimiter {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
}

impl Default for SignInLimiter {
    fn default() -> Self {
        let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(number(EACH_MINUTE)).allow_burst(number(BURST));
        SignInLimiter { limiter: RateLimiter::keyed(quota) }
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
