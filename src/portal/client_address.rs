//! Where requests come from, and how often one address may try to sign in.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    Json,
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use ipnet::IpNet;
use serde_json::json;

use crate::session::{ClientAddress, SignInLimiter};

/// Where the API takes passwords and keys. Those of the pages count by themselves, since they answer with a page.
const SIGN_INS: [&str; 3] = ["/api/token/user", "/api/token/node", "/api/recover/2fa/lost"];

/// What the middleware needs.
#[derive(Clone)]
pub struct Addresses {
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Arc<[IpNet]>,
    pub users: Arc<SignInLimiter>,
    /// A node that signs in again and again must not keep the people beside it out.
    pub nodes: Arc<SignInLimiter>,
}

/// Notes the client's address; refuses sign-ins of an address that made too many.
pub async fn note_and_limit(State(addresses): State<Addresses>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    // Without a connection there is no client: a test calls the router itself.
    let peer = peer.unwrap_or(IpAddr::from([0, 0, 0, 0]));
    let client = client_of(peer, request.headers(), &addresses.trusted_proxies);
    request.extensions_mut().insert(ClientAddress(client));
    let path = request.uri().path().trim_end_matches('/');
    if request.method() == Method::POST && SIGN_INS.contains(&path) && !addresses.users.was_counted(request.headers()) {
        let limiter = if path.ends_with("/node") { &addresses.nodes } else { &addresses.users };
        if !limiter.allows(client) {
            let message = "Too many attempts from this address. Wait a minute, then try again.";
            let body = Json(json!({"msg": message}));
            return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "60")], body).into_response();
        }
    }
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
