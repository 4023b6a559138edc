//! Streams of server-sent events to browsers: what all of them have in common.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{self, Body, Bytes},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response, Sse, sse::Event as Message},
};
use futures::{StreamExt, stream};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::upstream::{Connection, Upstream};
use crate::{
    pages::{Freshness, User},
    serve::{Place, Shares, Spooled, spool},
    session::SignedIn,
};

/// A stream ends after this time; the browser comes back and its session is checked again.
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// After so long without a message a comment is sent: proxies end connections that are silent.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const COMMENT: &[u8] = b":\n\n";

/// What streams share.
#[derive(Clone)]
pub struct Live {
    pub upstream: Arc<Upstream>,
    /// The streams of each user.
    pub streams: Arc<Shares<i64>>,
    pub stop: CancellationToken,
}

/// What becomes of a stream after a message.
pub enum Sent {
    GoOn,
    Ended,
}

/// The way to one browser.
pub struct Follower {
    pub live: Live,
    pub signed_in: SignedIn,
    sender: mpsc::Sender<Spooled>,
    number: u64,
    pub end: Instant,
    _place: Place,
}

/// Messages that are made at once: all streams hear of the same change, and each takes some megabytes for a moment.
static MADE: Semaphore = Semaphore::const_new(2);

/// The most streams of one user at once: pages that are open in all their browsers.
pub const STREAMS: usize = 50;

/// Answers with a stream that `follow` fills.
pub fn open<F: Future<Output = ()> + Send + 'static>(
    live: Live,
    user: Option<User>,
    follow: impl FnOnce(Follower) -> F,
) -> Response {
    // A state is sent whole: one waits for a browser that reads slowly, and no more; a large one waits in a file.
    let (sender, receiver) = mpsc::channel(1);
    match user {
        Some(user) => {
            let Some(_place) = live.streams.free_place(&user.signed_in.user.id) else {
                return StatusCode::TOO_MANY_REQUESTS.into_response();
            };
            let end = Instant::now() + LIFETIME;
            tokio::spawn(follow(Follower { live, signed_in: user.signed_in, sender, number: 0, end, _place }));
        }
        // As a message, since a script cannot see the status of a stream that is refused.
        None => {
            let _ = sender.try_send(Spooled::Memory(SIGNED_OUT));
        }
    }
    let messages = stream::unfold(receiver, async |mut receiver| {
        let message = match timeout(KEEP_ALIVE, receiver.recv()).await {
            Ok(message) => message?,
            Err(_) => Spooled::Memory(Bytes::from_static(COMMENT)),
        };
        Some((message.read(), receiver))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(messages.flatten())).into_response()
}

/// A message that needs nothing but its name.
const SIGNED_OUT: Bytes = Bytes::from_static(b"event: signed-out\ndata: signed-out\n\n");

/// A message as it is sent.
async fn text_of(message: Message) -> Bytes {
    let one = Sse::new(stream::iter([Ok::<_, Infallible>(message)])).into_response();
    body::to_bytes(one.into_body(), usize::MAX).await.unwrap_or_default()
}

impl Follower {
    /// Sends a message. A browser that does not read holds up its own stream only, and not for ever.
    pub async fn send(&mut self, make: impl FnOnce() -> Message) -> Sent {
        self.number += 1;
        let message = {
            // Nobody closes it.
            let _turn = MADE.acquire().await;
            spool(text_of(make().id(self.number.to_string())).await).await
        };
        tokio::select! {
            sent = self.sender.send(message) => if sent.is_ok() { Sent::GoOn } else { Sent::Ended },
            () = self.ended() => Sent::Ended,
        }
    }

    /// Waits until a message can be sent: what somebody does not read need not be made.
    pub async fn ready(&self) -> Sent {
        tokio::select! {
            place = self.sender.reserve() => if place.is_ok() { Sent::GoOn } else { Sent::Ended },
            () = self.ended() => Sent::Ended,
        }
    }

    /// Waits until the stream has to end: the browser, the session or the server goes, or it is time.
    pub async fn ended(&self) {
        tokio::select! {
            () = self.sender.closed() => {}
            () = self.live.stop.cancelled() => {}
            () = self.signed_in.ended.cancelled() => {
                let _ = self.sender.try_send(Spooled::Memory(SIGNED_OUT));
            }
            () = sleep_until(self.end) => {}
        }
    }

    /// How fresh a state is that was just read.
    pub fn freshness(&self, connection: &Connection) -> Freshness {
        let hears = connection.is_connected() && self.signed_in.permissions.hears_collaborations();
        if hears { Freshness::Live } else { Freshness::Asked }
    }

    /// Tells the browser why the stream ends, so that it does not come back.
    pub async fn end_with(&mut self, name: &str) {
        self.send(|| Message::default().event(name).data(name)).await;
    }
}
