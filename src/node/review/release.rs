//! Results that are held until somebody has looked at them.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::wait::{decided, rejection, say};
use crate::{
    node::{
        error::RunError,
        large::{self, Turn},
        log::RunLog,
        request::RunRequest,
        runtime::ProcessError,
        station::Shared,
        store::About,
    },
    protocol::{
        bounded::{self, BoundedError},
        payload::{self, Dialect},
        policy::ReviewMode,
        review::{AWAITING_RELEASE, Report, ReviewState, Subject},
        status::Status,
    },
};

/// The hash to which a release is bound: that of the run, its request and its result. It is keyed: the hub learns it, and
/// could otherwise find the held result by trying all results that are possible. Two runs with the same result have not
/// the same hash, which would tell whether the data have changed.
async fn hash_of(shared: &Shared, run_id: i64, request_hash: &str, result: &str) -> Result<String, RunError> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &shared.store.release_key().await?);
    let mut context = hmac::Context::with_key(&key);
    context.update(&run_id.to_le_bytes());
    context.update(request_hash.as_bytes());
    context.update(result.as_bytes());
    Ok(HEXLOWER.encode(context.sign().as_ref()))
}

/// The review of a result of this run that was computed before and is held here, or was released and not sent yet.
pub async fn held(shared: &Shared, run_id: i64, request: &RunRequest) -> Result<Option<i64>, RunError> {
    let _turn = large::turn_of(shared.store.held_bytes(run_id).await?).await;
    let Some(review) = shared.store.held_result(run_id).await? else { return Ok(None) };
    let is_held = match (&review.result, review.state) {
        (Some(result), ReviewState::Waiting | ReviewState::Approved) => {
            review.hash == hash_of(shared, run_id, &request.review.asked.hash(), result).await?
        }
        // Withheld or too late: it is not computed again.
        (None, ReviewState::Rejected | ReviewState::Expired) => review.request.asked == request.review.asked,
        _ => false,
    };
    Ok(is_held.then_some(review.id))
}

/// What became of a run that has ended.
pub enum Outcome {
    /// A result as it is sent, and the value to review if it is held.
    Result { encoded: String, value: Option<Value> },
    /// It failed.
    Failure { status: Status, message: String },
}

impl Outcome {
    /// A result, which is opened if somebody looks at it.
    pub fn of(result: &[u8], dialect: Dialect, is_looked_at: bool) -> Result<Outcome, RunError> {
        let encoded = payload::encode_text(result, dialect);
        let value = is_looked_at.then(|| bounded::from_slice(result)).transpose();
        match (encoded, value) {
            (Ok(encoded), Ok(value)) => Ok(Outcome::Result { encoded, value }),
            (Err(BoundedError::TooMuch), _) | (_, Err(BoundedError::TooMuch)) => Err(ProcessError::TooMuch.into()),
            (Err(BoundedError::NotJson), _) | (_, Err(BoundedError::NotJson)) => Err(ProcessError::NotJson.into()),
        }
    }
}

/// How a failure begins where results are kept: no result in the form in which it is sent does.
const FAILURE: char = '!';

/// The form in which it is kept, with what can be looked at.
pub fn kept_form(outcome: Outcome) -> (String, Option<Value>) {
    match outcome {
        Outcome::Result { encoded, value } => (encoded, value),
        Outcome::Failure { status, message } => {
            let value = failed(&message);
            (format!("{FAILURE}{}", json!([status, message])), Some(value))
        }
    }
}

/// What a reviewer sees of a failure.
fn failed(message: &str) -> Value {
    json!({"failed": message})
}

/// How a run failed, if this is what is kept in the place of a result.
pub fn failure(kept: &str) -> Option<(Status, String)> {
    serde_json::from_str(kept.strip_prefix(FAILURE)?).ok()
}

/// Holds what became of a run until it may leave. `turn`: that of something large to be in memory.
pub async fn release(
    shared: &Shared,
    run_id: i64,
    request: &RunRequest,
    (outcome, turn): (Outcome, Option<Turn>),
    log: &RunLog,
    stopped: &CancellationToken,
) -> Result<(), RunError> {
    let id = hold(shared, run_id, request, kept_form(outcome)).await?;
    // It is stored, and may wait for days.
    drop(turn);
    wait_for_release(shared, id, request, log, stopped).await
}

/// Holds what was kept when nobody had to look at it: the policies ask for it since.
pub async fn release_kept(
    shared: &Shared,
    run_id: i64,
    request: &RunRequest,
    log: &RunLog,
    stopped: &CancellationToken,
) -> Result<(), RunError> {
    let turn = large::turn_of(shared.store.outcome_bytes(run_id).await?).await;
    let Some(kept) = shared.store.outcome(run_id).await? else {
        return Err(RunError::Internal("what became of the run is gone".to_owned()));
    };
    let value = match failure(&kept) {
        Some((_, message)) => failed(&message),
        None => payload::decode(&kept).map_err(|_| ProcessError::TooMuch)?.0,
    };
    let id = hold(shared, run_id, request, (kept, Some(value))).await?;
    drop(turn);
    wait_for_release(shared, id, request, log, stopped).await
}

/// Stores what waits for a release; the number of its review.
async fn hold(
    shared: &Shared,
    run_id: i64,
    request: &RunRequest,
    (encoded, value): (String, Option<Value>),
) -> Result<i64, RunError> {
    let report = Report::of(value.as_ref().unwrap_or(&Value::Null), shared.policies.smallest_cell);
    let hash = hash_of(shared, run_id, &request.review.asked.hash(), &encoded).await?;
    let about = About {
        run_id,
        subject: Subject::Result,
        hash: &hash,
        mode: ReviewMode::Always,
        request: &request.review,
        held: Some((&report, &encoded)),
    };
    Ok(shared.store.review_for(&about, shared.policies.review_expires_after_days).await?.id)
}

/// Waits until a held result may leave; it is what became of the run then.
pub async fn wait_for_release(
    shared: &Shared,
    id: i64,
    request: &RunRequest,
    log: &RunLog,
    stopped: &CancellationToken,
) -> Result<(), RunError> {
    let review = shared.store.review(id).await?;
    if review.state == ReviewState::Waiting {
        let since = review.since.get(..16).unwrap_or(&review.since).replace('T', " ");
        let line = format!("{AWAITING_RELEASE} of the result by an admin of this organization since {since} UTC");
        say(shared, review.run_id, log, Status::Active, &line).await?;
    }
    let review = decided(shared, id, stopped, None).await?;
    match review.state {
        ReviewState::Approved => {
            Ok(shared.store.keep_released(review.run_id, &request.review.asked.hash(), id).await?)
        }
        ReviewState::Rejected => Err(RunError::NotAllowed(rejection(&review, "the result is withheld"))),
        ReviewState::Expired => Err(RunError::NotAllowed(format!(
            "nobody released the result within {} days",
            shared.policies.review_expires_after_days
        ))),
        _ => Err(RunError::Internal("a held result is gone".to_owned())),
    }
}
