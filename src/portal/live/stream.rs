//! Streams of server-sent events to browsers: what all of them have in common.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{self, Body, Bytes},
    http::{HeaderName, header},
    response::{IntoResponse, Response, Sse, sse::Event as Message},
};
use futures::{StreamExt, stream};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Followed, reviews, task,
    upstream::{Connection, Upstream},
};
use crate::{
    pages::{Freshness, User},
    serve::{Place, Shares, Spooled, spool},
    session::SignedIn,
};

/// A stream ends after this time; the browser comes back and its session is checked again.
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// After so long without a message one says that nothing has changed: proxies end connections that are silent, and
/// browsers take those for broken.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const ALIVE: &[u8] = b"event: alive\ndata:\n\n";

/// What streams share.
#[derive(Clone)]
pub struct Live {
    pub upstream: Arc<Upstream>,
    /// The pages that each user follows.
    pub streams: Arc<Shares<i64>>,
    pub stop: CancellationToken,
}

/// What becomes of a stream after a message.
pub enum Sent {
    GoOn,
    Ended,
}

/// The way to one page of a browser.
pub struct Follower {
    page: Followed,
    pub live: Live,
    pub signed_in: SignedIn,
    sender: mpsc::Sender<Spooled>,
    /// Whose turn it is to look, of the pages of one stream.
    looks: Arc<Semaphore>,
    number: u64,
    pub end: Instant,
    _place: Place,
}

/// Messages that are made at once: all streams hear of the same change, and each takes some megabytes for a moment.
static MADE: Semaphore = Semaphore::const_new(2);

/// How many pages of one stream look at once: the hub lets each caller read a few lists at a time.
const LOOKS: usize = 3;

/// The most pages that one user follows at once, in all their browsers.
pub const STREAMS: usize = 50;

/// Answers with a stream of how these pages change.
pub fn open(live: Live, user: Option<User>, followed: BTreeSet<Followed>) -> Response {
    // A state is sent whole: one waits for a browser that reads slowly, and no more; a large one waits in a file.
    let (sender, receiver) = mpsc::channel(1);
    // As messages, since a script cannot see the status of a stream that is refused.
    let mut first = String::new();
    match user {
        Some(user) => {
            let end = Instant::now() + LIFETIME;
            let looks = Arc::new(Semaphore::new(LOOKS));
            for page in followed {
                let Some(_place) = live.streams.free_place(&user.signed_in.user.id) else {
                    first.push_str(&format!("event: crowded\ndata: {page}\n\n"));
                    continue;
                };
                let (live, signed_in, sender) = (live.clone(), user.signed_in.clone(), sender.clone());
                let looks = looks.clone();
                let follower = Follower { page, live, signed_in, sender, looks, number: 0, end, _place };
                tokio::spawn(async move {
                    match page {
                        Followed::Task(id) => task::follow(follower, id).await,
                        Followed::Review(id) => reviews::follow_one(follower, id).await,
                        Followed::Reviews => reviews::follow_all(follower).await,
                    }
                });
            }
        }
        None => first.push_str(SIGNED_OUT),
    }
    drop(sender);
    let first = (!first.is_empty()).then_some(Ok(Bytes::from(first)));
    let messages = stream::unfold(receiver, async |mut receiver| {
        let message = match timeout(KEEP_ALIVE, receiver.recv()).await {
            Ok(message) => message?,
            Err(_) => Spooled::Memory(Bytes::from_static(ALIVE)),
        };
        Some((message.read(), receiver))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(stream::iter(first).chain(messages.flatten()))).into_response()
}

/// To all pages of the stream.
const SIGNED_OUT: &str = "event: signed-out\ndata:\n\n";

/// A message as it is sent.
async fn text_of(message: Message) -> Bytes {
    let one = Sse::new(stream::iter([Ok::<_, Infallible>(message)])).into_response();
    body::to_bytes(one.into_body(), usize::MAX).await.unwrap_or_default()
}

impl Follower {
    /// Sends what `make` makes of the page, as this event. A browser that does not read holds up its own stream only,
    /// and not for ever.
    pub async fn send(&mut self, event: &str, make: impl FnOnce() -> String) -> Sent {
        self.number += 1;
        let message = {
            // Nobody closes it.
            let _turn = MADE.acquire().await;
            let data = format!("{}\n{}", self.page, make());
            spool(text_of(Message::default().event(event).data(data)).await).await
        };
        tokio::select! {
            sent = self.sender.send(message) => if sent.is_ok() { Sent::GoOn } else { Sent::Ended },
            () = self.ended() => Sent::Ended,
        }
    }

    /// Looks how the page is, when it is its turn.
    pub async fn look<T>(&self, load: impl Future<Output = T>) -> T {
        // Nobody closes it.
        let _turn = self.looks.acquire().await;
        load.await
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
                let _ = self.sender.try_send(Spooled::Memory(Bytes::from_static(SIGNED_OUT.as_bytes())));
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
        self.send(name, String::new).await;
    }
}
