use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};
use ipnet::IpNet;

use super::AttemptLimits;

/// Where a request comes from, behind proxies that are trusted. In the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The address, or its network: who has one IPv6 address has 2⁶⁴ of them.
    pub fn network(&self) -> IpAddr {
        match self.0.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
            address => address,
        }
    }
}

/// What [`note`] needs.
#[derive(Clone)]
pub struct Addresses {
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Arc<[IpNet]>,
    pub limits: Arc<AttemptLimits>,
}

/// Notes the client's address, and the limits that routes apply to it.
pub async fn note(State(addresses): State<Addresses>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    // Without a connection there is no client: a test calls the router itself.
    let peer = peer.unwrap_or(IpAddr::from([0, 0, 0, 0]));
    let client = match addresses.limits.of_page(request.headers()) {
        // A page of this process asks for somebody, and has counted the attempt …
        Some((client, true)) => client,
        // … or has not.
        Some((client, false)) => {
            request.extensions_mut().insert(addresses.limits.clone());
            client
        }
        None => {
            request.extensions_mut().insert(addresses.limits.clone());
            client_of(peer, request.headers(), &addresses.trusted_proxies)
        }
    };
    request.extensions_mut().insert(ClientAddress(client));
    next.run(request).await
}

/// The nearest address that is no trusted proxy, from the connection backwards through `X-Forwarded-For`.
fn client_of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(&address.to_canonical()));
    let mut client = peer;
    let listed = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let listed: Vec<&str> = listed.flat_map(|value| value.split(',')).collect();
    for text in listed.into_iter().rev() {
        if !is_trusted(&client) {
            break;
        }
        // What a trusted proxy cannot have written ends the way.
        let Ok(address) = text.trim().parse() else { break };
        client = address;
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        client_of(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_can_say_who_asks() {
        assert_eq!(client("192.0.2.9", &["198.51.100.1"], &[]), "192.0.2.9");
        assert_eq!(client("192.0.2.9", &["198.51.100.1"], &["10.0.0.0/8"]), "192.0.2.9");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"], &["10.0.0.0/8"]), "198.51.100.1");
    }

    #[test]
    fn what_the_client_itself_wrote_into_the_header_does_not_count() {
        assert_eq!(client("10.0.0.1", &["1.1.1.1, 198.51.100.1"], &["10.0.0.0/8"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["1.1.1.1", "198.51.100.1, 10.0.0.2"], &["10.0.0.0/8"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["nonsense"], &["10.0.0.0/8"]), "10.0.0.1");
    }
}
