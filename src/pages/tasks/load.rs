use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use futures::{
    future::ready,
    stream::{self, StreamExt, TryStreamExt},
};
use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;

use super::{
    explanation::{awaits, explain},
    live::time_of_day,
    log::LogTail,
    results::{self, NamedResult},
    state::{RunState, SubtaskState, TaskState},
};
use crate::{
    protocol::{
        client::{ClientError, TaskQuery},
        domain::{FunctionCall, Run, RunResult, Task},
        payload::PayloadError,
        status::Status,
    },
    serve::Shares,
    session::{Names, SignedIn},
};

/// The most that results together may have for being shown, in bytes; downloads are whole.
const SHOWN_LIMIT: usize = 8 * 1024 * 1024;
/// The most subtasks that a page shows, the newest, and of how many runs.
const SUBTASKS: usize = 50;
const RUNS_OF_SUBTASKS: usize = 1_000;
/// Subtasks whose runs are read at once.
const SUBTASKS_AT_ONCE: usize = 4;
/// Up to this size they are read as they come; …
const SMALL_RESULTS: usize = 32 * 1024;
/// So many pages of a user wait for each other.
const QUEUE: usize = 64;
/// … and one of each user waits for the turn of larger ones.
static LARGE_RESULTS_OF_USERS: LazyLock<Shares<i64>> = LazyLock::new(|| Shares::with_queue(1, QUEUE));
/// How long somebody waits for others.
const TURN_PATIENCE: Duration = Duration::from_secs(30);
/// How long others wait for somebody whose server is slow.
const READ_PATIENCE: Duration = Duration::from_secs(10);
/// A run that ended this long ago without a result has none.
const RESULT_DELAY: SignedDuration = SignedDuration::from_secs(10);

/// A task with what its page shows of it besides its state.
#[derive(Clone)]
pub struct TaskView {
    pub task: Task,
    pub runs: Vec<Run>,
    /// What its runs were asked, or why that cannot be read here; `None` if there is no run, or the server does not tell.
    pub call: Option<Result<FunctionCall, PayloadError>>,
    pub names: Arc<Names>,
    pub state: TaskState,
}

/// The present state of a task, for its event stream.
pub async fn load_state(me: &SignedIn, id: i64) -> Result<TaskState, ClientError> {
    Ok(load(me, id, false).await?.state)
}

/// A task with everything that its page shows.
pub async fn load_view(me: &SignedIn, id: i64) -> Result<TaskView, ClientError> {
    load(me, id, true).await
}

/// In one concurrent round, and a second one for subtasks' runs, for large results and, if it is wanted, for what was asked.
async fn load(me: &SignedIn, id: i64, with_call: bool) -> Result<TaskView, ClientError> {
    let hub = &me.hub;
    let newest = TaskQuery { parent_id: Some(id), page: 1, per_page: SUBTASKS, ..Default::default() };
    let (task, runs, small_results, subtasks, names) = futures::try_join!(
        hub.task(id),
        hub.run_states(id),
        hub.results_if_within(id, SMALL_RESULTS),
        hub.tasks(&newest),
        me.names()
    )?;
    let (subtasks, all_subtasks) = (subtasks.items, subtasks.total);
    let organization = |run: &Run| run.organization_id.map_or_else(|| "–".to_owned(), |id| names.organization(id));
    let results = async {
        let mut table = results::Table::of(runs.len());
        let mut add = |result: RunResult| {
            let run = runs.iter().find(|run| run.id == result.run_id);
            let organization = run.map_or_else(|| format!("Run {}", result.run_id), &organization);
            if let Some(value) = result.value {
                table.add(&NamedResult { organization, value });
            }
        };
        match small_results {
            Some(results) => results.into_iter().for_each(add),
            None => each_large_result(me, id, &mut add).await?,
        }
        Ok::<_, ClientError>((table.results(), table.shown(!subtasks.is_empty())))
    };
    // Some at a time: there may be thousands.
    let runs_of_subtasks = subtasks.iter().map(|subtask| hub.run_states(subtask.id)).collect::<Vec<_>>();
    let mut shown = 0;
    let runs_of_subtasks = stream::iter(runs_of_subtasks)
        .buffered(SUBTASKS_AT_ONCE)
        .try_take_while(move |runs: &Vec<Run>| {
            let fits = shown == 0 || shown + runs.len() <= RUNS_OF_SUBTASKS;
            shown += runs.len();
            ready(Ok(fits))
        })
        .try_collect::<Vec<_>>();
    let creators = names.learn_creators(hub, std::slice::from_ref(&task));
    let call = async {
        match runs.first() {
            Some(run) if with_call => hub.call_of(run.id).await,
            _ => Ok(None),
        }
    };
    let (runs_of_subtasks, results, call, ()) = futures::join!(runs_of_subtasks, results, call, creators);
    let (runs_of_subtasks, (result_count, results), call) = (runs_of_subtasks?, results?, call?);
    let logs = runs.iter().chain(runs_of_subtasks.iter().flatten()).filter(|run| !run.log.is_empty()).count();
    let run_states = |runs: &[Run]| runs.iter().map(|run| run_state(run, &organization(run), logs)).collect::<Vec<_>>();
    let subtask_states: Vec<SubtaskState> = subtasks
        .iter()
        .zip(&runs_of_subtasks)
        .map(|(subtask, runs)| SubtaskState {
            id: subtask.id,
            name: subtask.name.clone(),
            status: subtask.status.clone(),
            progress: progress(runs),
            runs: run_states(runs),
        })
        .rev()
        .collect();
    // Results may have been read before the last report came in, and the rest after it.
    let completed = runs.iter().filter(|run| run.status == Status::Completed).count();
    let last_end = runs.iter().filter_map(|run| run.finished_at).max();
    let settled = match (completed, last_end) {
        (0, _) => true,
        // The status was told first; the end comes with the result.
        (_, None) => false,
        (_, Some(end)) => Timestamp::now().duration_since(end) > RESULT_DELAY,
    };
    let finished = task.status.is_final()
        && (settled || result_count >= completed)
        && runs.iter().chain(runs_of_subtasks.iter().flatten()).all(|run| run.status.is_final());
    let state = TaskState {
        status: task.status.clone(),
        finished,
        as_of: time_of_day(),
        // Of a central function the organizations that give data count.
        progress: match runs_of_subtasks.iter().flatten().cloned().collect::<Vec<_>>() {
            of_subtasks if of_subtasks.is_empty() => progress(&runs),
            of_subtasks => progress(&of_subtasks),
        },
        runs: run_states(&runs),
        older_subtasks: all_subtasks.saturating_sub(subtask_states.len()),
        subtasks: subtask_states,
        results,
    };
    Ok(TaskView { task, runs, call, names, state })
}

/// The results of a task that are large, one after the other, when it is their turn.
async fn each_large_result(me: &SignedIn, id: i64, each: impl FnMut(RunResult)) -> Result<(), ClientError> {
    let turn = async {
        let own = LARGE_RESULTS_OF_USERS.place(&me.user.id).await.ok()?;
        Some((own, results::UNFOLDED.acquire().await))
    };
    let turn = timeout(TURN_PATIENCE, turn).await.ok().flatten();
    let _turn = turn.ok_or(ClientError::Timeout)?;
    timeout(READ_PATIENCE, me.hub.each_result_within(id, SHOWN_LIMIT, each)).await.map_err(|_| ClientError::Timeout)?
}

fn progress(runs: &[Run]) -> String {
    let returned = runs.iter().filter(|run| run.status == Status::Completed).count();
    let refused = runs.iter().filter(|run| run.status == Status::NotAllowed).count();
    let failed = runs.iter().filter(|run| run.status.is_failure()).count() - refused;
    let awaiting = runs.iter().filter(|run| awaits(run).is_some()).count();
    let plural = if runs.len() == 1 { "" } else { "s" };
    let mut text = format!("{returned} of {} organization{plural} returned", runs.len());
    if failed > 0 {
        text.push_str(&format!(", {failed} failed"));
    }
    if refused > 0 {
        text.push_str(&format!(", {refused} refused"));
    }
    match awaiting {
        0 => {}
        1 => text.push_str(", 1 still has to decide"),
        awaiting => text.push_str(&format!(", {awaiting} still have to decide")),
    }
    text
}

fn run_state(run: &Run, organization: &str, logs: usize) -> RunState {
    // A node may have to say that a run has begun while it still waits.
    let started = run.started_at.filter(|_| run.status != Status::Pending);
    RunState {
        id: run.id,
        organization: organization.to_owned(),
        node: run.node.as_ref().map_or_else(|| "–".to_owned(), |node| node.name.clone()),
        status: run.status.clone(),
        awaits: awaits(run),
        started: started.map(|time| time.strftime("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default(),
        duration: match (started, run.finished_at) {
            (Some(start), Some(end)) => duration(end.duration_since(start)),
            _ => String::new(),
        },
        log: LogTail::new(&run.log, logs),
        help: explain(run, organization),
    }
}

/// "0.4 s", "2 min 5 s", "3 h 20 min"
fn duration(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64().max(0.0)),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_words() {
        for (milliseconds, text) in
            [(-5, "0.0 s"), (420, "0.4 s"), (59_000, "59 s"), (125_000, "2 min 5 s"), (12_000_000, "3 h 20 min")]
        {
            assert_eq!(duration(SignedDuration::from_millis(milliseconds)), text);
        }
    }
}
