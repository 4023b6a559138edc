//! Streams of server-sent events to browsers: what all of them have in common.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    http::StatusCode,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event as Message, KeepAlive},
    },
};
use futures::StreamExt;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, sleep_until},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::upstream::{Connection, Upstream};
use crate::{
    pages::{Freshness, User},
    serve::Shares,
    session::SignedIn,
};

/// A stream ends after this time; the browser comes back and its session is checked again.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

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
    sender: mpsc::Sender<Message>,
    number: u64,
    pub end: Instant,
    _place: OwnedSemaphorePermit,
}

/// The most streams of one user at once: pages that are open in all their browsers.
pub const STREAMS: usize = 50;

/// Answers with a stream that `follow` fills.
pub fn open<F: Future<Output = ()> + Send + 'static>(
    live: Live,
    user: Option<User>,
    follow: impl FnOnce(Follower) -> F,
) -> Response {
    // A state is sent whole: one waits for a browser that reads slowly, and no more.
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
            let _ = sender.try_send(Message::default().event("signed-out").data("signed-out"));
        }
    }
    let messages = ReceiverStream::new(receiver).map(Ok::<_, Infallible>);
    let sse = Sse::new(messages).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)));
    ([("x-accel-buffering", "no"), ("cache-control", "no-store")], sse).into_response()
}

impl Follower {
    /// Sends a message. A browser that does not read holds up its own stream only, and not for ever.
    pub async fn send(&mut self, message: Message) -> Sent {
        self.number += 1;
        let message = message.id(self.number.to_string());
        tokio::select! {
            sent = self.sender.send(message) => if sent.is_ok() { Sent::GoOn } else { Sent::Ended },
            () = self.ended() => Sent::Ended,
        }
    }

    /// Waits until the stream has to end: the browser, the session or the server goes, or it is time.
    pub async fn ended(&self) {
        tokio::select! {
            () = self.sender.closed() => {}
            () = self.live.stop.cancelled() => {}
            () = self.signed_in.ended.cancelled() => {
                let _ = self.sender.try_send(Message::default().event("signed-out").data("signed-out"));
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
        self.send(Message::default().event(name).data(name)).await;
    }
}
