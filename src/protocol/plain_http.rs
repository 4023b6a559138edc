use url::{Host, Url};

/// Whether what goes to this address can be read on its way: plain HTTP, and not to this machine.
pub fn is_unprotected(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() != "https" && !is_loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_reached_without_tls() {
        let of = |text: &str| is_unprotected(&text.parse().unwrap());
        for protected in ["https://a.example/api", "http://127.0.0.1:5000", "http://localhost/api", "http://[::1]:3000"]
        {
            assert!(!of(protected), "{protected}");
        }
        for plain in
            ["http://a.example", "http://10.0.0.1/api", "http://localhost.a.example", "http://127.0.0.1.a.example"]
        {
            assert!(of(plain), "{plain}");
        }
    }
}
