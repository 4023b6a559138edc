//! The reviews that wait, and one that does, as server-sent events.

use std::time::Duration;

use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, sleep_until},
};

use super::stream::{Follower, Sent};
use crate::{
    pages::{Freshness, Waiting, load_waiting, review_live_html, waiting_live_html},
    protocol::{
        client::ClientError,
        event::Event,
        review::{Review, ReviewState},
    },
    session::SignedIn,
};

/// How often it is asked without any event.
const PAUSE: Duration = Duration::from_secs(30);
/// What happens at once is shown at once.
const GATHER: Duration = Duration::from_millis(150);

/// Sends all that wait whenever they have changed.
pub async fn follow_all(stream: Follower) {
    let load = async |me: &SignedIn| load_waiting(me).await;
    follow(stream, load, |waiting: &Waiting, freshness, me| (waiting_live_html(waiting, freshness, me), false)).await;
}

/// Sends one until it is decided.
pub async fn follow_one(stream: Follower, id: i64) {
    let load = async move |me: &SignedIn| me.hub.review(id).await;
    follow(stream, load, |review: &Review, freshness, _| {
        (review_live_html(review, freshness), review.state != ReviewState::Waiting)
    })
    .await;
}

/// Sends what `load` reads whenever it has changed. `html` makes a page's part of it, and says whether it is the last.
async fn follow<T: PartialEq>(
    mut stream: Follower,
    load: impl AsyncFn(&SignedIn) -> Result<T, ClientError>,
    html: impl Fn(&T, Freshness, &SignedIn) -> (String, bool),
) {
    // Before the first look, so that nothing between is missed.
    let connection = stream.live.upstream.of(&stream.signed_in);
    let mut events = connection.subscribe();
    let mut last: Option<(T, Freshness)> = None;
    loop {
        if let Sent::Ended = stream.ready().await {
            return;
        }
        let changed = match stream.look(load(&stream.signed_in)).await {
            Ok(loaded) => {
                let state = (loaded, stream.freshness(&connection));
                let changed = last.as_ref() != Some(&state) || state.1 == Freshness::Asked;
                last = Some(state);
                changed
            }
            Err(ClientError::SignedOut) => return stream.end_with("signed-out").await,
            Err(ClientError::NotFound(_) | ClientError::NotAllowed(_)) => return stream.end_with("gone").await,
            Err(error) => {
                tracing::debug!(%error, "the waiting reviews could not be read");
                last.as_mut()
                    .is_some_and(|(_, freshness)| std::mem::replace(freshness, Freshness::Away) != Freshness::Away)
            }
        };
        if let Some((state, freshness)) = last.as_ref().filter(|_| changed) {
            let (html, is_last) = html(state, *freshness, &stream.signed_in);
            if is_last {
                stream.send("final", || html).await;
                return;
            }
            if let Sent::Ended = stream.send("message", || html).await {
                return;
            }
        }
        let mut due = Instant::now() + PAUSE;
        loop {
            tokio::select! {
                () = stream.ended() => return,
                () = sleep_until(due) => break,
                event = events.recv() => match event {
                    Ok(event) if concerns(&event) => due = due.min(Instant::now() + GATHER),
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }
}

fn concerns(event: &Event) -> bool {
    matches!(
        event,
        Event::ReviewChange(_) | Event::Kill(_) | Event::RunChanged { .. } | Event::Connected | Event::Disconnected
    )
}
