use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::ConnectInfo,
    http::{Request, StatusCode, header},
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::OwnedSemaphorePermit,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::{
    paced_body::PacedBody,
    paced_stream::PacedStream,
    path,
    places::{CONNECTIONS, Connection, Places},
};

/// How long a client may take to send the headers of a request, the first one of a connection as well as each later one.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Open files that are left for everything but connections: databases, the hub that is asked, data that are read.
const OTHER_FILES: u64 = 200;
/// Bytes that are kept of a request's headers, and of what is read ahead of a body.
const BUFFER: usize = 16 * 1024;
/// How long requests that are under way have when the server stops.
const LAST_WORDS: Duration = Duration::from_secs(30);
/// How many connections may wait to be accepted.
const WAITING: u32 = 4096;
/// Pause after an error of the system, such as that there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// How many connections there may be: each takes a file, and without files not even a database is read. The limit of
/// open files is raised to what the system permits.
fn connections() -> usize {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        let files = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit.maximum,
            Err(_) => limit.current,
        };
        // A page that asks the hub beside it takes three: the browser's connection, and both ends of that to the hub.
        let places = files.map_or(CONNECTIONS as u64, |files| files.saturating_sub(OTHER_FILES) / 3);
        usize::try_from(places).unwrap_or(CONNECTIONS).clamp(50, CONNECTIONS)
    }
    #[cfg(not(unix))]
    CONNECTIONS
}

/// Serves until `stop`, then lets what is under way end. Of others one address has a part of the connections only; by these
/// proxies many may come.
pub async fn serve(listener: TcpListener, router: Router, trusted_proxies: &[IpNet], stop: CancellationToken) {
    serve_at(Arc::new(Places::new(connections(), trusted_proxies)), listener, router, stop).await;
}

/// Serves a page that few need, with so many connections at most. One address has a quarter of them.
pub async fn serve_few(listener: TcpListener, router: Router, connections: usize, stop: CancellationToken) {
    serve_at(Arc::new(Places::new(connections, &[])), listener, router, stop).await;
}

async fn serve_at(places: Arc<Places>, listener: TcpListener, router: Router, stop: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = stop.cancelled() => break,
        };
        let Some((stream, peer, one)) = accepted else {
            sleep(PAUSE).await;
            continue;
        };
        let Some(connection) = places.take(one, peer, stream.local_addr().ok()) else {
            tracing::debug!(%peer, "too many connections of one address");
            continue;
        };
        let router = router.clone();
        let of_requests = connection.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let (router, connection) = (router.clone(), of_requests.clone());
            async move {
                let request = prepared(request, peer, connection.clone());
                let response = router.oneshot(request).await.unwrap_or_else(never);
                Ok::<_, Infallible>(match response.status() {
                    // It goes on in another way, and does not rest any more.
                    StatusCode::SWITCHING_PROTOCOLS => response,
                    _ => response.map(|body| Body::new(SentBody { body, connection })),
                })
            }
        });
        // HTTP/1 only: what a connection may take is known here, and a proxy speaks HTTP/2 with browsers.
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(BUFFER);
        let stopped = stop.clone();
        connections.spawn(async move {
            let ended = connection.ended.clone();
            // The time for headers counts from the first byte on: one who says nothing has as long for that one.
            let mut first = [0];
            tokio::select! {
                said = timeout(HEADER_TIMEOUT, stream.peek(&mut first)) => if said.is_err() { return },
                () = ended.cancelled() => return,
                () = stopped.cancelled() => return,
            }
            // It has its place as long as the stream is open, also as that of a WebSocket.
            let stream = TokioIo::new(PacedStream::new(stream, Some(connection)));
            let mut connection = pin!(builder.serve_connection(stream, service).with_upgrades());
            let outcome = tokio::select! {
                outcome = &mut connection => outcome,
                () = ended.cancelled() => return,
                () = stopped.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            // A client that goes away or is too slow is none of the server's errors.
            if let Err(error) = outcome {
                tracing::debug!(%error, %peer, "a connection has ended");
            }
        });
    }
    drop(listener);
    connections.close();
    if timeout(LAST_WORDS, connections.wait()).await.is_err() {
        tracing::warn!("some requests were still under way");
    }
}

/// Listens. Of those who come at once more may wait than usual: else some would come again a second later.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

async fn accept(listener: &TcpListener, places: &Places) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.free().await?;
    let (stream, peer) = listener.accept().await.inspect_err(|error| tracing::warn!(%error, "no connection")).ok()?;
    // Answers are small, and pages wait for them.
    let _ = stream.set_nodelay(true);
    Some((stream, peer, place))
}

/// A request as everything behind sees it: with who sends it, its path in one form, its body at a pace.
fn prepared(request: Request<Incoming>, peer: SocketAddr, connection: Arc<Connection>) -> Request<Body> {
    let is_offered = request.headers().contains_key(header::EXPECT);
    let mut request = request.map(|body| Body::new(PacedBody::new(body, is_offered, connection.clone())));
    request.extensions_mut().insert(ConnectInfo(peer));
    request.extensions_mut().insert(connection);
    path::normalize(request.uri_mut());
    request
}

/// A response's body: when it was sent its connection rests.
struct SentBody {
    body: Body,
    connection: Arc<Connection>,
}

impl HttpBody for SentBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for SentBody {
    fn drop(&mut self) {
        self.connection.begin_anew();
    }
}

fn never<T>(error: Infallible) -> T {
    match error {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn connect(from: [u8; 4], to: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(to).await.unwrap()
    }

    /// What a connection is answered; nothing, if it was closed.
    async fn ask(mut stream: TcpStream) -> String {
        let mut answer = String::new();
        // It may be closed while this is written.
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn only_http_1_is_spoken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(async || "here");
        tokio::spawn(serve_at(Arc::new(Places::new(8, &[])), listener, router, CancellationToken::new()));
        let mut stream = connect([127, 0, 0, 1], address).await;
        // The preface of HTTP/2, and its empty settings.
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{answer:?}");
    }

    #[tokio::test]
    async fn who_sends_a_body_that_nobody_reads_gets_the_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(async || axum::http::StatusCode::PAYLOAD_TOO_LARGE);
        tokio::spawn(serve_at(Arc::new(Places::new(8, &[])), listener, router, CancellationToken::new()));
        for head in ["Content-Length: 33554432\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n2000000\r\n"] {
            let mut stream = connect([127, 0, 0, 1], address).await;
            stream.write_all(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}").as_bytes()).await.unwrap();
            for _ in 0..512 {
                stream.write_all(&[b'a'; 64 << 10]).await.unwrap();
            }
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 413");
        }
        // One who asks first is told at once, and the connection ends.
        let mut stream = connect([127, 0, 0, 1], address).await;
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    }

    #[tokio::test]
    async fn one_address_does_not_take_all_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(async || "here");
        tokio::spawn(serve_at(Arc::new(Places::new(8, &[])), listener, router, CancellationToken::new()));
        let (own, other) = ([127, 0, 0, 1], [127, 0, 0, 2]);
        let silent = [connect(own, address).await, connect(own, address).await];
        assert_eq!(ask(connect(own, address).await).await, "");
        assert!(ask(connect(other, address).await).await.ends_with("here"));
        drop(silent);
        while !ask(connect(own, address).await).await.ends_with("here") {
            tokio::task::yield_now().await;
        }
    }

    /// Whether a connection was closed by the other side.
    async fn is_closed(stream: &mut TcpStream) -> bool {
        timeout(Duration::from_millis(200), stream.read(&mut [0])).await.is_ok()
    }

    #[tokio::test]
    async fn whoever_comes_new_finds_a_place_and_who_is_worked_for_keeps_theirs() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let go_on = Arc::new(tokio::sync::Notify::new());
        let wait = go_on.clone();
        let slow = async move |connection: axum::Extension<Arc<Connection>>| {
            connection.work();
            wait.notified().await;
            "here"
        };
        let router = Router::new().route("/slow", axum::routing::get(slow)).fallback(async || "here");
        tokio::spawn(serve_at(Arc::new(Places::new(40, &[])), listener, router, CancellationToken::new()));
        // Somebody is worked for.
        let mut worked_for = connect([127, 0, 0, 9], address).await;
        worked_for.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        // Others take all that there is, silent or with half a request: the oldest of them give way.
        let mut silent = Vec::new();
        let flood = async |silent: &mut Vec<TcpStream>| {
            for number in 0..20 {
                let mut stream = connect([127, 0, 0, 2 + number % 4], address).await;
                let _ = stream.write_all(b"GET / HTTP/1.1\r\n").await;
                silent.push(stream);
            }
        };
        flood(&mut silent).await;
        let mut alone = connect([127, 0, 0, 8], address).await;
        flood(&mut silent).await;
        assert!(is_closed(&mut silent[0]).await);
        assert!(ask(connect([127, 0, 0, 7], address).await).await.ends_with("here"));
        assert!(!is_closed(&mut alone).await);
        assert!(ask(alone).await.ends_with("here"));
        go_on.notify_one();
        let mut answer = String::new();
        worked_for.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("here"), "{answer}");
    }

    #[tokio::test]
    async fn an_answer_that_nobody_reads_gives_way_and_one_that_is_read_slowly_arrives() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        const LENGTH: usize = 16 << 20;
        let large = async |connection: axum::Extension<Arc<Connection>>| {
            connection.work();
            vec![b'a'; LENGTH]
        };
        let router = Router::new().route("/large", axum::routing::get(large)).fallback(async || "here");
        let places = Arc::new(Places::new(80, &[]));
        tokio::spawn(serve_at(places, listener, router, CancellationToken::new()));
        let mut unread = Vec::new();
        for number in 0..60 {
            let mut stream = connect([127, 0, 0, 2 + number % 4], address).await;
            let _ = stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
            unread.push(stream);
        }
        assert!(ask(connect([127, 0, 0, 7], address).await).await.ends_with("here"));
        // Twenty may wait: of the others some bytes arrive that the system has kept.
        let mut whole = 0;
        for mut stream in unread {
            let (mut length, mut piece) = (0, vec![0; 64 << 10]);
            while let Ok(read) = stream.read(&mut piece).await
                && read > 0
            {
                length += read;
            }
            whole += usize::from(length >= LENGTH);
        }
        assert!((1..=20).contains(&whole), "{whole}");
    }

    #[tokio::test]
    async fn half_a_body_is_no_work_and_gives_way() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let read = async |connection: axum::Extension<Arc<Connection>>, request: Request<Body>| {
            connection.work();
            let body = axum::body::to_bytes(request.into_body(), 1024).await;
            body.map_or("cut", |_| "whole")
        };
        let router = Router::new().fallback(read);
        tokio::spawn(serve_at(Arc::new(Places::new(40, &[])), listener, router, CancellationToken::new()));
        let begun = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 10\r\n\r\nhalf ";
        let mut halves = Vec::new();
        for number in 0..40 {
            let mut stream = connect([127, 0, 0, 2 + number % 4], address).await;
            let _ = stream.write_all(begun).await;
            halves.push(stream);
        }
        assert!(is_closed(&mut halves[0]).await, "the oldest gives way");
        assert!(ask(connect([127, 0, 0, 7], address).await).await.ends_with("whole"));
        // One that goes on is read to its end.
        let mut last = halves.pop().unwrap();
        last.write_all(b"whole").await.unwrap();
        let mut answer = String::new();
        last.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("whole"), "{answer}");
    }

    #[tokio::test]
    async fn by_a_trusted_proxy_more_may_come_than_from_one_address() {
        for (proxies, all) in [(vec!["127.0.0.1/32".parse().unwrap()], true), (Vec::new(), false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let router = Router::new().fallback(async |connection: axum::Extension<Arc<Connection>>| connection.work());
            tokio::spawn(serve_at(Arc::new(Places::new(8, &proxies)), listener, router, CancellationToken::new()));
            let mut streams = Vec::new();
            for _ in 0..4 {
                let mut stream = connect([127, 0, 0, 1], address).await;
                let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
                streams.push(stream);
            }
            let mut answered = 0;
            for stream in &mut streams {
                answered += usize::from(matches!(stream.read(&mut [0; 100]).await, Ok(read) if read > 0));
            }
            assert_eq!(answered == 4, all, "{answered}");
        }
    }
}
