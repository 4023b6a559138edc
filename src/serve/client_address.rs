use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};
use ipnet::IpNet;
use tokio::{task::yield_now, time::sleep};

use super::{AttemptLimits, places::Connection};

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

/// How long a request keeps a place. One that is not answered by then waits for something, and keeps no processor busy.
const WORK: Duration = Duration::from_millis(100);
/// The path of the page that says whether a server is well, which has places of its own.
const HEALTH: &str = "/healthz";

/// Notes the client's address, and the limits that routes apply to it. Of one address so many requests are worked on at
/// once.
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
    let client = ClientAddress(client);
    request.extensions_mut().insert(client);
    // What waits for events waits long, and takes nothing.
    let has_place = request.uri().path().starts_with("/socket.io") || addresses.limits.is_inside(request.headers());
    let share = (client.network(), request.uri().path() == HEALTH);
    let place = if has_place { None } else { addresses.limits.under_way.place(&share).await.ok() };
    let of_all = match has_place || share.1 {
        true => None,
        false => addresses.limits.all_under_way.acquire().await.ok(),
    };
    // From now on its connection does not give way to others.
    if let Some(connection) = request.extensions().get::<Arc<Connection>>() {
        connection.work();
    }
    // A connection over which many requests come at once would be dealt with first, else.
    yield_now().await;
    let mut answer = pin!(next.run(request));
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        () = sleep(WORK) => {}
    }
    drop((place, of_all));
    answer.await
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
    use crate::serve::serve;
    use axum::{Router, middleware::from_fn_with_state, routing::get};
    use std::time::Instant;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpSocket},
    };
    use tokio_util::sync::CancellationToken;

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

    /// What is answered to these requests from this address, sent at once; and how long that took.
    async fn ask(from: [u8; 4], to: SocketAddr, requests: usize) -> (usize, Duration) {
        let begin = Instant::now();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let mut stream = socket.connect(to).await.unwrap();
        let mut text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(requests - 1);
        text.push_str("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        (answer.matches("HTTP/1.1 200").count(), begin.elapsed())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whoever_sends_much_at_once_keeps_nobody_else_waiting() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let addresses = Addresses { trusted_proxies: Arc::default(), limits: Arc::default() };
        let work = async || {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(2) {}
            "done"
        };
        let router = Router::new().route("/", get(work)).layer(from_fn_with_state(addresses, note));
        tokio::spawn(serve(listener, router, &[], CancellationToken::new()));
        let begin = Instant::now();
        let flood: Vec<_> = (0..100).map(|_| tokio::spawn(ask([127, 0, 1, 1], address, 30))).collect();
        // Under way.
        sleep(Duration::from_millis(200)).await;
        let mut longest = Duration::ZERO;
        for _ in 0..5 {
            let (answered, took) = ask([127, 0, 0, 1], address, 1).await;
            assert_eq!(answered, 1);
            longest = longest.max(took);
        }
        for one in flood {
            assert_eq!(one.await.unwrap().0, 30);
        }
        assert!(longest < begin.elapsed() / 4, "{longest:?} of {:?}", begin.elapsed());
    }
}
