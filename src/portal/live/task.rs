//! The states of a task as server-sent events.

use std::time::Duration;

use tokio::{
    sync::broadcast::error::{RecvError, TryRecvError},
    time::{Instant, sleep_until},
};

use super::{
    stream::{Follower, Sent},
    told::Told,
};
use crate::{
    pages::{Freshness, TaskState, load_state, task_live_html, time_of_day},
    protocol::{client::ClientError, event::Event},
};

/// When to look again after something was told that is not stored yet: servers of the 4.x line tell first.
const RECHECKS: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_millis(800), Duration::from_secs(2), Duration::from_secs(8)];

/// How often it is asked for those to whom the hub does not tell what happens.
const UNHEARD_PAUSE: Duration = Duration::from_secs(30);
/// Log lines are gathered for this long, so that a talkative algorithm does not flood the page.
const LOG_PAUSE: Duration = Duration::from_millis(250);

async fn send_state(stream: &mut Follower, id: i64, state: &TaskState, freshness: Freshness) -> Sent {
    let html = || task_live_html(id, state.clone(), freshness);
    if !state.finished {
        return stream.send("message", html).await;
    }
    stream.send("final", html).await;
    Sent::Ended
}

/// Sends the present state, and then each new one, until the page, the session or the server goes.
pub async fn follow(mut stream: Follower, id: i64) {
    // Before the first look, so that nothing between is missed.
    let connection = stream.live.upstream.of(&stream.signed_in);
    let mut events = connection.subscribe();
    let mut last: Option<TaskState> = None;
    let mut shown = Freshness::Loaded;
    let mut recheck: Option<usize> = None;
    let mut told = Told::default();
    loop {
        if let Sent::Ended = stream.ready().await {
            return;
        }
        // It may take long to find out how things are; what is known is not live any more.
        if shown == Freshness::Live
            && !connection.is_connected()
            && let Some(state) = &last
        {
            if let Sent::Ended = send_state(&mut stream, id, state, Freshness::Asked).await {
                return;
            }
            shown = Freshness::Asked;
        }
        match stream.look(load_state(&stream.signed_in, id)).await {
            Ok(state) => {
                let is_new = last.as_ref().is_none_or(|last| differs(last, &state));
                let is_behind = is_behind(&state) | told.is_ahead_of(&state, is_new);
                recheck = if is_behind { Some(recheck.map_or(0, |step| step + 1)) } else { None };
                if recheck.is_some_and(|step| step >= RECHECKS.len()) {
                    told.give_up();
                }
                let freshness = stream.freshness(&connection);
                // What is asked for now and then also tells that it was.
                let tells = freshness != shown || freshness == Freshness::Asked;
                if (tells || is_new)
                    && let Sent::Ended = send_state(&mut stream, id, &state, freshness).await
                {
                    return;
                }
                shown = freshness;
                last = Some(state);
            }
            Err(ClientError::SignedOut) => return stream.end_with("signed-out").await,
            // Deleted meanwhile, or no longer to be seen.
            Err(ClientError::NotFound(_) | ClientError::NotAllowed(_)) => return stream.end_with("gone").await,
            // The next event or tick looks again.
            Err(error) => {
                tracing::debug!(%error, id = id, "the state of a task could not be read");
                recheck = Some(recheck.map_or(0, |step| step + 1).min(RECHECKS.len() - 1));
                if shown != Freshness::Away
                    && let Some(state) = &last
                {
                    if let Sent::Ended = send_state(&mut stream, id, state, Freshness::Away).await {
                        return;
                    }
                    shown = Freshness::Away;
                }
            }
        }
        // What happened meanwhile may be in what was read, or not: one more look answers all of it.
        let (mut changed, mut logged) = (false, false);
        loop {
            match events.try_recv() {
                Ok(Event::Log(_)) => logged = true,
                Ok(event) => {
                    if concerns(&event, id, last.as_ref()) {
                        changed = true;
                        told.note(&event);
                    }
                }
                Err(TryRecvError::Lagged(_)) => changed = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if changed {
            continue;
        }
        let pause = recheck.and_then(|step| RECHECKS.get(step)).copied();
        let pause = pause.or((!stream.signed_in.permissions.hears_collaborations()).then_some(UNHEARD_PAUSE));
        let pause = if logged { Some(pause.map_or(LOG_PAUSE, |pause| pause.min(LOG_PAUSE))) } else { pause };
        // Waits for something that concerns this task.
        let mut log_due: Option<Instant> = None;
        let recheck_due = pause.map(|pause| Instant::now() + pause);
        loop {
            tokio::select! {
                () = stream.ended() => return,
                () = sleep_until(recheck_due.unwrap_or(stream.end)) => break,
                () = sleep_until(log_due.unwrap_or(stream.end)) => {
                    log_due = None;
                    if let Some(state) = &last && let Sent::Ended = send_state(&mut stream, id, state, shown).await {
                        return;
                    }
                }
                event = events.recv() => match event {
                    Ok(Event::Log(lines)) => {
                        let Some(state) = last.as_mut() else { break };
                        if state.append_log(lines.run_id, &lines.log) {
                            state.as_of = time_of_day();
                            log_due.get_or_insert_with(|| Instant::now() + LOG_PAUSE);
                        }
                    }
                    Ok(event) if concerns(&event, id, last.as_ref()) => {
                        told.note(&event);
                        break;
                    }
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
        Event::ReviewChange(change) => known(change.task_id),
        Event::StatusChange(change) => known(change.task_id) || change.parent_id == Some(id),
        Event::NewTask(task) => task.parent_id == Some(id),
        Event::RunChanged { run_id } => state.is_none_or(|state| state.run(*run_id).is_some()),
        Event::Kill(kill) => kill.kill_list.as_ref().is_none_or(|list| list.iter().any(|item| known(item.task_id))),
        // Whether a run waits for an offline node is a part of the state.
        Event::NodeOnline(_) | Event::NodeOffline(_) | Event::Connected | Event::Disconnected => true,
        Event::Sync | Event::TokenRefused | Event::Log(_) => false,
    }
}
