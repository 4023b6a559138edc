use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use reqwest::{
    Method, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncSeekExt, AsyncWriteExt},
    sync::{Mutex, Semaphore, SemaphorePermit},
    task::spawn_blocking,
    time::timeout,
};
use tokio_util::bytes::Bytes;
use url::Url;

use super::{ClientError, LARGEST_ANSWER, ServerInfo};
use crate::protocol::{bounded::MostValues, brief, wire::v4::ErrorBody};

/// The largest answer that is read, in bytes: of what holds inputs, results or many things, …
const LARGE_ANSWER: usize = 64 * 1024 * 1024;
/// … and of anything else. A server that answers without an end fills nothing.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;
/// The most values in an answer: each takes many times the memory of its bytes.
const ANSWER_VALUES: usize = 300_000;
/// With more values than these an answer is read as a large one is.
const SMALL_VALUES: usize = 20_000;
/// How long a server may take until it begins to answer; one that hangs must not hold up a page. Reports of nodes,
/// which can be large, have the whole time of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the rest of an answer may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);
/// The slowest line over which a body still arrives, in bytes a second.
const SLOWEST: u64 = 1024;
/// Pauses before a safe call is tried again.
const RETRY_PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// The connections to one server, without a token. Cheap to clone: clones share the connection pool.
#[derive(Clone, Debug)]
pub struct Transport {
    http: reqwest::Client,
    base: Url,
    /// The largest answer that is read, in bytes, where it is not the usual one.
    answer_limit: Option<usize>,
    /// An address under which others know the server at `base`.
    public: Option<Url>,
    /// A header for the server at `base`, and nobody else.
    header: Option<(HeaderName, HeaderValue)>,
    /// What the server is, and since when that is known.
    server: Arc<Mutex<Option<(Instant, ServerInfo)>>>,
}

/// An answer: its `total-count` header and its body.
pub(super) struct Answer {
    pub total_count: Option<usize>,
    pub length: usize,
    /// The most values that it can hold.
    values: usize,
    body: Body,
}

/// A large body waits in a file: a server that sends many of them fills no memory.
enum Body {
    Small(Vec<u8>),
    Large(tokio::fs::File, SemaphorePermit<'static>),
}

/// Up to this size an answer is in memory as it comes.
const SMALL_ANSWER: usize = 1024 * 1024;
/// Bytes of a larger one that are read at once.
const BUFFER: usize = 64 * 1024;
/// The room of those that are large for all together, in steps.
static ROOM: Semaphore = Semaphore::const_new(1024);
/// A step of it, in bytes.
const STEP: usize = 1024 * 1024;
/// Whose turn it is to read a large one.
static LARGE_ANSWERS: Semaphore = Semaphore::const_new(1);

impl Transport {
    /// Connects to the API at `base` (`http://host:port/api`, with or without a slash at the end).
    pub fn new(base: &Url) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            // Below what servers wait for a next request.
            .pool_idle_timeout(Duration::from_secs(5))
            .redirect(redirect::Policy::none())
            .user_agent(concat!("atoll/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let mut base = base.clone();
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        Ok(Transport { http, base, answer_limit: None, public: None, header: None, server: Arc::default() })
    }

    /// The address of the API, without a slash at the end.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The same server is known to others under this address. What is to be asked there is asked here: behind a proxy
    /// a server often cannot reach itself by the name that browsers use.
    pub fn known_as(self, public: Url) -> Transport {
        Transport { public: Some(public), ..self }
    }

    /// With a header in each request to this server, which APIs elsewhere do not get.
    pub fn with_header(self, name: HeaderName, value: HeaderValue) -> Transport {
        Transport { header: Some((name, value)), ..self }
    }

    /// Scheme, host and port under which browsers know the server.
    pub fn public_origin(&self) -> String {
        self.public.as_ref().unwrap_or(&self.base).origin().ascii_serialization()
    }

    /// The same connections, to another API.
    pub fn at(&self, base: &Url) -> Transport {
        let mut base = base.clone();
        if self.public.as_ref().is_some_and(|public| public.origin() == base.origin()) {
            // Scheme, host and port of the server itself; that they fit together is known.
            let mut here = self.base.clone();
            here.set_path(base.path());
            base = here;
        }
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        let header = self.header.clone().filter(|_| base.origin() == self.base.origin());
        Transport { base, header, server: Arc::default(), ..self.clone() }
    }

    pub(super) fn known_server(&self) -> &Mutex<Option<(Instant, ServerInfo)>> {
        &self.server
    }

    /// The same, for answers of at most this many bytes.
    pub(super) fn limited(&self, answer_limit: usize) -> Transport {
        Transport { answer_limit: Some(answer_limit), ..self.clone() }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{}", self.base.as_str().trim_end_matches('/'), path.trim_start_matches('/'))
    }

    /// Sends one request; `GET` is tried again when the connection fails or a gateway is overloaded.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(String, String)],
        body: Option<&impl Serialize>,
        bearer: Option<&SecretString>,
        headers: &[(&'static str, String)],
    ) -> Result<Answer, ClientError> {
        let body = body.map(serde_json::to_vec).transpose();
        // Cheap to clone for another attempt.
        let body = body.map_err(|error| ClientError::Unreadable(error.to_string()))?.map(Bytes::from);
        // What is large may take its time to get there: a result is not computed again because of a slow line.
        let to_send = Duration::from_secs(body.as_ref().map_or(0, Bytes::len) as u64 / SLOWEST);
        let limit = self.answer_limit.unwrap_or_else(|| answer_limit(path));
        let is_report = method == Method::PATCH && path.starts_with("run/");
        let pauses: &[Duration] = if method == Method::GET { &RETRY_PAUSES } else { &[] };
        let mut attempt = 0;
        loop {
            let mut request = self.http.request(method.clone(), self.url(path)).query(query);
            if let Some(token) = bearer {
                request = request.bearer_auth(token.expose_secret());
            }
            for (name, value) in headers {
                request = request.header(*name, value);
            }
            if let Some(limit) = self.answer_limit {
                request = request.header(LARGEST_ANSWER, limit);
            }
            if let Some((name, value)) = &self.header {
                request = request.header(name, value);
            }
            if let Some(body) = &body {
                request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
            }
            let patience = to_send + if method == Method::PATCH { PATIENCE + ANSWER_PATIENCE } else { PATIENCE };
            request = request.timeout(patience + ANSWER_PATIENCE);
            let outcome = match timeout(patience, request.send()).await {
                // To a report the server answers with the run and its input, which nobody needs.
                Ok(Ok(response)) if is_report && response.status().is_success() => throw_away(response, limit).await,
                Ok(Ok(response)) => read(response, limit, method == Method::GET).await,
                Ok(Err(error)) => Err(ClientError::from(error)),
                Err(_) => Err(ClientError::Timeout),
            };
            match (outcome, pauses.get(attempt)) {
                (Err(ClientError::Unreachable(_) | ClientError::ServerFailed { status: 502..=504 }), Some(pause)) => {
                    tokio::time::sleep(*pause).await;
                    attempt += 1;
                }
                (outcome, _) => return outcome,
            }
        }
    }
}

/// The largest answer to a request for this path.
fn answer_limit(path: &str) -> usize {
    match path.trim_matches('/').split_once('/') {
        Some(("run" | "result", _)) => LARGE_ANSWER,
        None if matches!(path, "run" | "result" | "task" | "review" | "node" | "audit") => LARGE_ANSWER,
        _ => ANSWER_LIMIT,
    }
}

/// Reads JSON out of an answer.
pub(super) async fn parse<T: DeserializeOwned + Send + 'static>(answer: Answer) -> Result<T, ClientError> {
    parse_as(answer, |read: T| read).await
}

/// Reads JSON out of an answer and makes something of it; of large ones one after the other, beside all else.
pub(super) async fn parse_as<W: DeserializeOwned, T: Send + 'static>(
    answer: Answer,
    make: impl FnOnce(W) -> T + Send + 'static,
) -> Result<T, ClientError> {
    let unreadable = |error: &dyn std::fmt::Display| ClientError::Unreadable(error.to_string());
    let (bytes, file) = match answer.body {
        Body::Small(bytes) if answer.values <= SMALL_VALUES => {
            return brief::from_slice(&bytes).map(make).map_err(|error| unreadable(&error));
        }
        Body::Small(bytes) => (bytes, None),
        Body::Large(file, _room) => (Vec::new(), Some(file.into_std().await)),
    };
    let turn = LARGE_ANSWERS.acquire().await.map_err(|error| unreadable(&error))?;
    let read = spawn_blocking(move || {
        // The turn is held here, also where nobody waits any more.
        let _turn = turn;
        match file {
            Some(file) => brief::from_file(file).map(make),
            None => brief::from_slice(&bytes).map(make),
        }
    });
    read.await.map_err(|error| unreadable(&error))?.map_err(|error| unreadable(&error))
}

/// Reads an answer to its end, so that the connection serves again, and keeps nothing of it.
async fn throw_away(response: Response, limit: usize) -> Result<Answer, ClientError> {
    let mut length = 0;
    let mut chunks = response.bytes_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        length += chunk.len();
        if length > limit {
            break;
        }
    }
    Ok(Answer { total_count: None, length, values: 0, body: Body::Small(Vec::new()) })
}

/// The room for so many steps of a large answer.
fn room(steps: usize) -> Result<SemaphorePermit<'static>, ClientError> {
    let steps = u32::try_from(steps).unwrap_or(u32::MAX);
    ROOM.try_acquire_many(steps).map_err(|_| ClientError::NoRoom("too many others are being read".to_owned()))
}

/// A large answer could not be put away.
fn no_file(error: io::Error) -> ClientError {
    ClientError::NoRoom(error.to_string())
}

async fn read(response: Response, limit: usize, is_read: bool) -> Result<Answer, ClientError> {
    let status = response.status();
    let total_count =
        response.headers().get("total-count").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let (mut body, mut length) = (Body::Small(Vec::new()), 0);
    let mut values = MostValues::default();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        length += chunk.len();
        values.add(&chunk);
        if length > limit || values.most() > ANSWER_VALUES {
            return Err(ClientError::TooLarge { limit: limit.min(length) });
        }
        match &mut body {
            Body::Small(bytes) if length <= SMALL_ANSWER => bytes.extend_from_slice(&chunk),
            Body::Small(bytes) => {
                let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(no_file)?);
                file.set_max_buf_size(BUFFER);
                file.write_all(bytes).await.map_err(no_file)?;
                file.write_all(&chunk).await.map_err(no_file)?;
                body = Body::Large(file, room(length.div_ceil(STEP))?);
            }
            Body::Large(file, taken) => {
                if length > taken.num_permits() * STEP {
                    taken.merge(room(length.div_ceil(STEP) - taken.num_permits())?);
                }
                file.write_all(&chunk).await.map_err(no_file)?;
            }
        }
    }
    if let Body::Large(file, _) = &mut body {
        file.flush().await.map_err(no_file)?;
        file.rewind().await.map_err(no_file)?;
    }
    let answer = Answer { total_count, length, values: values.most(), body };
    if status.is_success() {
        return Ok(answer);
    }
    let error: ErrorBody = parse(answer).await.unwrap_or_default();
    let message = if error.msg.is_empty() { format!("The server answered {status}.") } else { error.msg };
    Err(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ClientError::NotAllowed(message),
        StatusCode::NOT_FOUND => ClientError::NotFound(message),
        // A page of a list with too much on it: fewer items are asked for.
        StatusCode::PAYLOAD_TOO_LARGE if is_read => ClientError::TooLarge { limit },
        // Its message says what is wrong, and to whom to go: it is shown where others are.
        status if status.is_server_error() && status != StatusCode::INSUFFICIENT_STORAGE => {
            ClientError::ServerFailed { status: status.as_u16() }
        }
        status => ClientError::Rejected { status: status.as_u16(), message, errors: error.errors },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A server that fails twice before it answers; its address, and how often it was asked.
    async fn weak_server() -> (Url, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let router = axum::Router::new().fallback(move || {
            let number = count.fetch_add(1, Ordering::SeqCst);
            async move { if number < 2 { StatusCode::BAD_GATEWAY } else { StatusCode::OK } }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (url, asked)
    }

    #[tokio::test]
    async fn only_what_changes_nothing_is_tried_again() {
        for (method, asked_for, succeeds) in
            [(Method::GET, 3, true), (Method::POST, 1, false), (Method::PATCH, 1, false), (Method::DELETE, 1, false)]
        {
            let (url, asked) = weak_server().await;
            let transport = Transport::new(&url).unwrap();
            let outcome = transport.send(method.clone(), "task", &[], None::<&()>, None, &[]).await;
            assert_eq!((outcome.is_ok(), asked.load(Ordering::SeqCst)), (succeeds, asked_for), "{method}");
        }
    }
}
