//! One run, from taking it to reporting what became of it.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use super::{
    error::RunError,
    large::{self, Turn},
    log::{Outgoing, RunLog},
    request::RunRequest,
    review::{self, Outcome},
    runtime::{self, Output},
    station::Shared,
    store::{KeptOutcome, Start, Started, StoreError},
};
use crate::algorithms;
use crate::protocol::{
    client::ClientError,
    domain::FunctionCall,
    event::StatusChange,
    payload::{self, Dialect},
    policy::ReleaseMode,
    status::Status,
    timestamp,
    wire::v4,
};

/// Pauses between attempts to report an end, while the server is away; the last one is repeated.
const REPORT_PAUSES: [u64; 5] = [1, 2, 5, 15, 30];

/// Takes a run, executes it and reports. `stopped` ends it early; whoever cancels it has told the server already.
pub async fn execute(shared: &Shared, run: v4::Run, stopped: CancellationToken) {
    let Some(v4::RunTask::Task(task)) = run.task.clone() else {
        tracing::error!(run_id = run.id, "the server did not include the run's task");
        return;
    };
    let outgoing = shared.share_logs.then(|| shared.outgoing.clone());
    // What a node that was restarted has written before stays.
    let before = run.log.as_deref().unwrap_or_default();
    let log = RunLog::new(run.id, task.id, shared.collaboration_id, before, outgoing);
    let attempt = AssertUnwindSafe(attempt(shared, &run, &task, &log, &stopped)).catch_unwind();
    let outcome = attempt.await.unwrap_or_else(|_| Err(RunError::Internal("the node panicked".to_owned())));
    if stopped.is_cancelled() {
        return report_stop(shared, &run, &task, &log).await;
    }
    let (outcome, mut turn) = match outcome {
        Ok(()) => tokio::select! {
            kept = kept(shared, run.id) => kept,
            () = stopped.cancelled() => return report_stop(shared, &run, &task, &log).await,
        },
        Err(error) => (Err(error), None),
    };
    let (mut status, result) = match outcome {
        Ok(result) => (Status::Completed, Some(result)),
        Err(RunError::ServerAway(error)) => {
            tracing::warn!(run_id = run.id, %error, "a run is given back: it is taken again when the server answers");
            return;
        }
        // A full disk or a file that somebody else uses is not the run's fault either.
        Err(RunError::Store(StoreError::Database(error))) => {
            tracing::error!(run_id = run.id, %error, "a run is given back: it is taken again when the state file works");
            return;
        }
        Err(error) => {
            log.last_line(format!("Failed: {error}"));
            (error.status(), None)
        }
    };
    tracing::info!(run_id = run.id, task_id = task.id, %status, "a run has ended");
    let mut patch = v4::RunPatch {
        started_at: None,
        finished_at: Some(timestamp::now()),
        status: Some(status.clone()),
        log: Some(log.whole().await),
        result,
    };
    let mut reported = report_end(shared, run.id, &mut patch, &mut turn, &stopped).await;
    if let (Reported::Refused(reason), Some(_)) = (&reported, &patch.result) {
        // If the run has not ended there anyway it would be taken again, and computed again, without end.
        log.last_line(format!("Failed: the server does not take the result: {reason}"));
        tracing::warn!(run_id = run.id, reason, "the server does not take a result");
        (patch.result, turn) = (None, None);
        (patch.status, patch.log) = (Some(Status::Failed), Some(log.whole().await));
        reported = report_end(shared, run.id, &mut patch, &mut turn, &stopped).await;
        status = Status::Failed;
    }
    match reported {
        Reported::Taken => {
            close(shared, run.id).await;
            tell(shared, &run, &task, status);
        }
        Reported::Refused(reason) => {
            close(shared, run.id).await;
            tracing::warn!(run_id = run.id, reason, "the server does not take the end of a run");
        }
        Reported::Stopped => report_stop(shared, &run, &task, &log).await,
        Reported::GivenBack => {}
    }
}

/// What became of a run, as it is kept: a result or a failure, and the turn of a large one to be in memory.
async fn kept(shared: &Shared, run_id: i64) -> (Result<String, RunError>, Option<Turn>) {
    let read = async {
        let turn = large::turn_of(shared.store.outcome_bytes(run_id).await?).await;
        Ok::<_, StoreError>((shared.store.outcome(run_id).await?, turn))
    };
    match read.await {
        Ok((Some(kept), turn)) => match review::failure(&kept) {
            Some((status, message)) => (Err(RunError::Released { status, message }), None),
            None => (Ok(kept), turn),
        },
        Ok((None, _)) => (Err(RunError::Internal("what became of the run is gone".to_owned())), None),
        Err(error) => (Err(error.into()), None),
    }
}

/// Notes that the server knows the end of a run; a held copy of its result is needed no more.
async fn close(shared: &Shared, run_id: i64) {
    let closed = async {
        shared.store.end_run(run_id).await?;
        shared.store.end_to_compute(run_id).await?;
        // As when the policies allow it no more while its result is held.
        shared.store.end_reviews_of(run_id).await?;
        shared.store.forget_result(run_id).await
    };
    if let Err(error) = closed.await {
        tracing::error!(run_id, %error, "that a run has ended is not noted here");
    }
}

/// Reports the end of a run that was stopped from outside. When the server named the run it has set the end itself
/// and refuses this report; when it stopped the whole node it has not.
async fn report_stop(shared: &Shared, run: &v4::Run, task: &v4::Task, log: &RunLog) {
    tracing::info!(run_id = run.id, "a run was stopped");
    log.last_line("Stopped by a user");
    let mut patch = v4::RunPatch {
        finished_at: Some(timestamp::now()),
        status: Some(Status::Killed),
        log: Some(log.whole().await),
        ..Default::default()
    };
    // Nothing stops it any more, except that the node ends.
    let reported = report_end(shared, run.id, &mut patch, &mut None, &CancellationToken::new()).await;
    close(shared, run.id).await;
    if let Reported::Taken = reported {
        tell(shared, run, task, Status::Killed);
    }
}

async fn attempt(
    shared: &Shared,
    run: &v4::Run,
    task: &v4::Task,
    log: &RunLog,
    stopped: &CancellationToken,
) -> Result<(), RunError> {
    let input = run.input.as_deref().unwrap_or_default();
    // What nobody could review is not read at all.
    if input.len() > payload::CALL_LIMIT {
        return Err(RunError::TooLarge("the arguments are longer than 200 kB"));
    }
    loop {
        let (call, dialect) = payload::decode_call(input)?;
        let call = algorithms::by_name(&task.image, call)?;
        let mut request = RunRequest::of(shared, run.id, task, &call).await?;
        // It may wait long, and the request has it, too.
        drop(call);
        let hash = request.review.asked.hash();
        // Computed before, and the server did not have it yet.
        let kept = shared.store.kept_outcome(run.id, &hash).await?;
        if kept == Some(KeptOutcome::Released) {
            return Ok(());
        }
        // Computed before this node was started again.
        if let Some(held) = review::held(shared, run.id, &request).await? {
            return review::wait_for_release(shared, held, &request, log, stopped).await;
        }
        if kept == Some(KeptOutcome::Unseen) {
            return match request.release_mode(&shared.policies) {
                ReleaseMode::Never => Ok(()),
                // The policies ask for a look at it since.
                ReleaseMode::Review => review::release_kept(shared, run.id, &request, log, stopped).await,
            };
        }
        permit(shared, run.id, &request, log, stopped).await?;
        // It may have waited for days: what was approved is what runs, or it is asked again.
        if runtime::digest(shared, &task.image).await? != request.review.asked.digest {
            log.line("The code of the algorithm was changed while this waited");
            continue;
        }
        request.started_with = shared.store.started_with(run.id, &hash).await?;
        match begin(shared, run, task, (request.review.asked.call(), dialect), &request, log, stopped).await {
            Err(RunError::DataChanged) => {
                log.line("The data were changed after this was approved: it waits for another review");
                shared.store.undo_start(run.id).await?;
            }
            outcome => return outcome,
        }
    }
}

/// Computes a run that may start, and keeps what may leave.
async fn begin(
    shared: &Shared,
    run: &v4::Run,
    task: &v4::Task,
    (call, dialect): (FunctionCall, Dialect),
    request: &RunRequest,
    log: &RunLog,
    stopped: &CancellationToken,
) -> Result<(), RunError> {
    let patch = v4::RunPatch {
        started_at: Some(timestamp::now()),
        status: Some(Status::Active),
        log: Some(log.whole().await),
        ..Default::default()
    };
    shared.hub.report_run(run.id, &patch).await.map_err(RunError::of_call)?;
    tell(shared, run, task, Status::Active);
    log.line(format!("Started function \"{}\" of {}", call.function, task.image));
    let is_held = request.release_mode(&shared.policies) != ReleaseMode::Never;
    let output_may_leave = shared.share_logs && !is_held;
    if !output_may_leave && !algorithms::is_built_in(&task.image) {
        log.line("What the algorithm prints stays at the node, in its own log");
    }
    let output = runtime::run(shared, task, call, request, output_may_leave, log, stopped).await;
    // In the dialect of the input.
    let outcome = match output.and_then(|Output { text, turn }| Ok((Outcome::of(&text, dialect, is_held)?, turn))) {
        Ok(outcome) => outcome,
        // How it failed can tell of the data as well as a result: it is held or kept like one.
        Err(error) if error.may_tell_of_data() => {
            (Outcome::Failure { status: error.status(), message: error.to_string() }, None)
        }
        Err(error) => return Err(error),
    };
    if is_held {
        return review::release(shared, run.id, request, outcome, log, stopped).await;
    }
    let (outcome, _turn) = outcome;
    let (kept, _) = review::kept_form(outcome);
    Ok(shared.store.keep_outcome(run.id, &request.review.asked.hash(), &kept).await?)
}

/// Waits until the run may start, and notes that it does.
async fn permit(
    shared: &Shared,
    run_id: i64,
    request: &RunRequest,
    log: &RunLog,
    stopped: &CancellationToken,
) -> Result<(), RunError> {
    let (asked, per_day) = (&request.review.asked, shared.policies.runs_per_user_per_day);
    let hash = asked.hash();
    let too_many = || {
        RunError::NotAllowed(format!(
            "it runs at most {} runs of one user a day; send it again tomorrow (UTC)",
            per_day.unwrap_or_default()
        ))
    };
    if !shared.store.has_started(run_id, &hash).await?
        && shared.store.has_too_many(run_id, &request.review, per_day).await?
    {
        return Err(too_many());
    }
    loop {
        let approval = review::obtain(shared, run_id, request, log, stopped).await?;
        let start = Start {
            run_id,
            request: &request.review,
            hash: &hash,
            data: approval.as_ref().and_then(|approval| approval.data.as_deref()),
            per_day,
            approval: approval.as_ref().map(|approval| approval.id),
        };
        match shared.store.start_run(&start).await? {
            Started::Yes => return Ok(()),
            Started::TooMany => return Err(too_many()),
            // Withdrawn in this moment.
            Started::NoApproval => {}
        }
    }
}

/// What became of a report.
enum Reported {
    Taken,
    /// The server does not want it, and says why: usually the run has ended there already.
    Refused(String),
    /// The run was stopped before the server had it.
    Stopped,
    /// Its result cannot be read: it is taken again with the next look at the open runs.
    GivenBack,
}

/// Reports the end until the server has it: a result must not get lost because the server was away for a while. A large one
/// waits in the file meanwhile, and others have their turn.
async fn report_end(
    shared: &Shared,
    run_id: i64,
    patch: &mut v4::RunPatch,
    turn: &mut Option<Turn>,
    stopped: &CancellationToken,
) -> Reported {
    for attempt in 0.. {
        match shared.hub.report_run(run_id, patch).await {
            Ok(()) => return Reported::Taken,
            Err(ClientError::NotFound(message) | ClientError::NotAllowed(message)) => {
                return Reported::Refused(message);
            }
            // What it may do was changed meanwhile, such as who else is in the collaboration.
            Err(error @ ClientError::Rejected { status: 409, .. }) => {
                tracing::warn!(run_id, %error, "the end of a run is not reported yet");
            }
            Err(error @ ClientError::Rejected { .. }) if !error.is_temporary() => {
                return Reported::Refused(error.to_string());
            }
            Err(error) => tracing::warn!(run_id, %error, "the end of a run is not reported yet"),
        }
        let is_large = turn.take().is_some();
        if is_large {
            patch.result = None;
        }
        let seconds = REPORT_PAUSES.get(attempt).or(REPORT_PAUSES.last()).copied().unwrap_or(30);
        let again = async {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            if is_large { Some(kept(shared, run_id).await) } else { None }
        };
        tokio::select! {
            again = again => match again {
                None => {}
                Some((Ok(result), its_turn)) => (patch.result, *turn) = (Some(result), its_turn),
                Some((Err(error), _)) => {
                    tracing::error!(run_id, %error, "a result cannot be read again at the moment");
                    return Reported::GivenBack;
                }
            },
            () = stopped.cancelled() => return Reported::Stopped,
        }
    }
    unreachable!("the loop does not end by itself")
}

/// Tells everybody in the collaboration, after the server has stored it.
fn tell(shared: &Shared, run: &v4::Run, task: &v4::Task, status: Status) {
    let change = StatusChange {
        status,
        run_id: run.id,
        task_id: task.id,
        job_id: None,
        collaboration_id: shared.collaboration_id,
        node_id: Some(shared.node_id),
        organization_id: shared.organization_id,
        parent_id: task.parent.as_ref().map(|link| link.id),
    };
    if let Ok(payload) = serde_json::to_value(change) {
        // Without a receiver the node is stopping.
        let _ = shared.outgoing.send(Outgoing { name: "algorithm_status_change", payload, taken: None });
    }
}
