//! `GET /reviews/events`: the reviews that wait, and `GET /reviews/{id}/events`: one that does, as server-sent events.

use std::time::Duration;

use axum::{
    Extension,
    extract::Path,
    response::{Response, sse::Event as Message},
};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, sleep_until},
};

use super::stream::{Follower, Live, Sent, open};
use crate::{
    pages::{Freshness, PageError, User, Waiting, load_waiting, review_live_html, waiting_live_html},
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

/// The handler of the stream of all that wait.
pub async fn stream(Extension(live): Extension<Live>, user: Option<User>) -> Response {
    open(live, user, |stream| {
        let load = async |me: &SignedIn| load_waiting(me).await;
        follow(stream, load, |waiting: &Waiting, freshness, me| (waiting_live_html(waiting, freshness, me), false))
    })
}

/// The handler of the stream of one.
pub async fn stream_one(
    Extension(live): Extension<Live>,
    user: Option<User>,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id: i64 = id.parse().map_err(|_| PageError::not_found("This review"))?;
    Ok(open(live, user, move |stream| {
        let load = async move |me: &SignedIn| me.hub.review(id).await;
        follow(stream, load, |review: &Review, freshness, _| {
            (review_live_html(review, freshness), review.state != ReviewState::Waiting)
        })
    }))
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
        let changed = match load(&stream.signed_in).await {
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
            let message = Message::default().data(html);
            if is_last {
                stream.send(|| message.event("final")).await;
                return;
            }
            if let Sent::Ended = stream.send(|| message).await {
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
