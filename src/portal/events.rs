//! `GET /tasks/{id}/events`: the states of a task as server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::Path,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event as Message, KeepAlive},
    },
};
use futures::Stream;
use jiff::Timestamp;
use tokio::{
    sync::{broadcast::error::RecvError, mpsc},
    time::{Instant, sleep, sleep_until},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::upstream::Upstream;
use crate::{
    islands::TaskState,
    pages::{PageError, User, load_state},
    protocol::{client::ClientError, event::Event},
    session::SignedIn,
};

/// A stream ends after this time; the browser comes back and its session is checked again.
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// When to look again after a final status whose result is not stored yet: servers of the 4.x line tell first.
const RECHECKS: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_millis(800), Duration::from_secs(2), Duration::from_secs(5)];

/// What streams share.
#[derive(Clone)]
pub struct Live {
    pub upstream: Arc<Upstream>,
    pub stop: CancellationToken,
}

/// The handler of the stream.
pub async fn stream(
    Extension(live): Extension<Live>,
    user: Option<User>,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id: i64 = id.parse().map_err(|_| PageError::not_found("This task"))?;
    let (sender, receiver) = mpsc::channel(4);
    match user {
        Some(user) => {
            tokio::spawn(follow(live, user.signed_in, id, sender));
        }
        // As a message, since a script cannot see the status of a stream that is refused.
        None => {
            let _ = sender.send(signed_out()).await;
        }
    }
    let stream: ReceiverStream<Message> = ReceiverStream::new(receiver);
    let sse = Sse::new(endless(stream)).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)));
    Ok(([("x-accel-buffering", "no"), ("cache-control", "no-store")], sse).into_response())
}

fn endless(stream: ReceiverStream<Message>) -> impl Stream<Item = Result<Message, Infallible>> {
    use futures::StreamExt;
    stream.map(Ok)
}

fn signed_out() -> Message {
    Message::default().event("signed-out").data("signed out")
}

/// Sends the present state, and then each new one, until the page, the session or the server goes.
async fn follow(live: Live, signed_in: SignedIn, id: i64, sender: mpsc::Sender<Message>) {
    // Before the first look, so that nothing between is missed.
    let connection = live.upstream.of(&signed_in);
    let mut events = connection.subscribe();
    let end = Instant::now() + LIFETIME;
    let mut last: Option<TaskState> = None;
    let mut number = 0_u64;
    let mut recheck: Option<usize> = None;
    loop {
        match load_state(&signed_in.hub, id).await {
            Ok(state) => {
                recheck = if is_behind(&state) { Some(recheck.map_or(0, |step| step + 1)) } else { None };
                if last.as_ref().is_none_or(|last| differs(last, &state)) {
                    number += 1;
                    let Ok(message) = Message::default().id(number.to_string()).json_data(&state) else { return };
                    if sender.send(message).await.is_err() {
                        return;
                    }
                }
                let finished = state.finished;
                last = Some(state);
                if finished {
                    return;
                }
            }
            Err(ClientError::SignedOut) => {
                let _ = sender.send(signed_out()).await;
                return;
            }
            // Deleted meanwhile, or no longer to be seen: the page finds out when it is loaded again.
            Err(ClientError::NotFound(_) | ClientError::NotAllowed(_)) => return,
            // The next event or tick looks again.
            Err(error) => {
                tracing::debug!(%error, id, "the state of a task could not be read");
                recheck = Some(recheck.map_or(0, |step| step + 1).min(RECHECKS.len() - 1));
            }
        }
        // Waits for something that concerns this task.
        loop {
            let pause = recheck.and_then(|step| RECHECKS.get(step)).copied();
            tokio::select! {
                () = sender.closed() => return,
                () = live.stop.cancelled() => return,
                () = signed_in.ended.cancelled() => {
                    let _ = sender.send(signed_out()).await;
                    return;
                }
                () = sleep_until(end) => return,
                () = sleep(pause.unwrap_or(LIFETIME)), if pause.is_some() => break,
                event = events.recv() => match event {
                    Ok(Event::Log(lines)) => {
                        let Some(state) = last.as_mut() else { break };
                        if !state.append_log(lines.run_id, &lines.log) {
                            continue;
                        }
                        state.as_of = Timestamp::now().strftime("%H:%M:%S").to_string();
                        number += 1;
                        let Ok(message) = Message::default().id(number.to_string()).json_data(&*state) else { return };
                        if sender.send(message).await.is_err() {
                            return;
                        }
                    }
                    Ok(event) if concerns(&event, id, last.as_ref()) => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }
}

/// Whether two states differ in anything but the time at which they were read.
fn differs(one: &TaskState, other: &TaskState) -> bool {
    TaskState { as_of: String::new(), ..one.clone() } != TaskState { as_of: String::new(), ..other.clone() }
}

/// Whether a run is completed but its result is not there yet.
fn is_behind(state: &TaskState) -> bool {
    use crate::protocol::status::Status;
    let completed = state.runs.iter().filter(|run| run.status == Status::Completed).count();
    let results = state.results.as_ref().map_or(0, |results| results.rows.len());
    completed > results
}

fn concerns(event: &Event, id: i64, state: Option<&TaskState>) -> bool {
    let known = |task_id: i64| {
        task_id == id || state.is_some_and(|state| state.subtasks.iter().any(|subtask| subtask.id == task_id))
    };
    match event {
        Event::StatusChange(change) => known(change.task_id) || change.parent_id == Some(id),
        Event::NewTask(task) => task.parent_id == Some(id),
        Event::RunChanged { run_id } => state.is_none_or(|state| state.run(*run_id).is_some()),
        Event::Kill(kill) => kill.kill_list.as_ref().is_none_or(|list| list.iter().any(|item| known(item.task_id))),
        // Whether a run waits for an offline node is a part of the state.
        Event::NodeOnline(_) | Event::NodeOffline(_) | Event::Connected | Event::Disconnected => true,
        Event::Sync | Event::TokenRefused | Event::Log(_) => false,
    }
}
