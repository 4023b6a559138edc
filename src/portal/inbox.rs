//! `GET /reviews/events`: the reviews that wait, as server-sent events.

use std::time::Duration;

use axum::{
    Extension,
    response::{Response, sse::Event as Message},
};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, sleep_until},
};

use super::stream::{Follower, Live, Sent, open};
use crate::{
    pages::{Freshness, User, load_waiting, waiting_live_html},
    protocol::{client::ClientError, event::Event},
};

/// How often it is asked without any event.
const PAUSE: Duration = Duration::from_secs(30);
/// What happens at once is shown at once.
const GATHER: Duration = Duration::from_millis(150);

/// The handler of the stream.
pub async fn stream(Extension(live): Extension<Live>, user: Option<User>) -> Response {
    open(live, user, follow)
}

async fn follow(mut stream: Follower) {
    // Before the first look, so that nothing between is missed.
    let connection = stream.live.upstream.of(&stream.signed_in);
    let mut events = connection.subscribe();
    let mut last = None;
    loop {
        match load_waiting(&stream.signed_in).await {
            Ok(waiting) => {
                let state = (waiting, stream.freshness(&connection));
                if last.as_ref() != Some(&state) || state.1 == Freshness::Asked {
                    let html = waiting_live_html(&state.0, state.1, &stream.signed_in);
                    if let Sent::Ended = stream.send(Message::default().data(html)).await {
                        return;
                    }
                    last = Some(state);
                }
            }
            Err(ClientError::SignedOut) => return stream.end_with("signed-out").await,
            Err(ClientError::NotFound(_) | ClientError::NotAllowed(_)) => return stream.end_with("gone").await,
            Err(error) => {
                tracing::debug!(%error, "the waiting reviews could not be read");
                if let Some((waiting, freshness)) = &mut last
                    && *freshness != Freshness::Away
                {
                    *freshness = Freshness::Away;
                    let html = waiting_live_html(waiting, Freshness::Away, &stream.signed_in);
                    if let Sent::Ended = stream.send(Message::default().data(html)).await {
                        return;
                    }
                }
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
