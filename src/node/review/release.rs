//! Results that are held until somebody has looked at them.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::wait::{decided, rejection, say};
use crate::{
    node::{
        error::RunError,
        log::RunLog,
        request::RunRequest,
        runtime::ProcessError,
        station::Shared,
        store::{About, StoredReview},
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

/// A result of this run that was computed before and is held here, or was released and not sent yet.
pub async fn held(shared: &Shared, run_id: i64, request: &RunRequest) -> Result<Option<StoredReview>, RunError> {
    let Some(review) = shared.store.held_result(run_id).await? else { return Ok(None) };
    let is_held = match (&review.result, review.state) {
        (Some(result), ReviewState::Waiting | ReviewState::Approved) => {
            review.hash == hash_of(shared, run_id, &request.review.asked.hash(), result).await?
        }
        // Withheld or too late: it is not computed again.
        (None, ReviewState::Rejected | ReviewState::Expired) => review.request.asked == request.review.asked,
        _ => false,
    };
    Ok(is_held.then_some(review))
}

/// What became of a run that has ended.
pub enum Outcome {
    /// A result in the form in which it is sent, and what is looked at if somebody looks at it before.
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

/// What may leave: a result in the form in which it is sent, or that the run failed.
pub struct Released(String);

/// How a failure begins where results are kept: no result in the form in which it is sent does.
const FAILURE: char = '!';

impl Released {
    /// What became of a run whose result nobody looks at before it leaves.
    pub fn at_once(outcome: Outcome) -> Released {
        Released(kept_form(outcome).0)
    }

    /// What was kept of it.
    pub fn again(kept: String) -> Released {
        Released(kept)
    }

    /// The form in which it is kept until the server has it.
    pub fn to_keep(&self) -> &str {
        &self.0
    }

    /// The result; the failure as the error that it was.
    pub fn into_result(self) -> Result<String, RunError> {
        match failure(&self.0) {
            Some((status, message)) => Err(RunError::Released { status, message }),
            None => Ok(self.0),
        }
    }
}

/// The form in which it is kept, with what can be looked at.
fn kept_form(outcome: Outcome) -> (String, Option<Value>) {
    match outcome {
        Outcome::Result { encoded, value } => (encoded, value),
        Outcome::Failure { status, message } => {
            (format!("{FAILURE}{}", json!([status, message])), Some(json!({"failed": message})))
        }
    }
}

/// How a run failed, if this is what is kept in the place of a result.
pub fn failure(kept: &str) -> Option<(Status, String)> {
    serde_json::from_str(kept.strip_prefix(FAILURE)?).ok()
}

/// Holds what became of a run until it may leave.
pub async fn release(
    shared: &Shared,
    run_id: i64,
    request: &RunRequest,
    outcome: Outcome,
    log: &RunLog,
    stopped: &CancellationToken,
) -> Result<Released, RunError> {
    let (encoded, value) = kept_form(outcome);
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
    let review = shared.store.review_for(&about, shared.policies.review_expires_after_days).await?;
    // It is stored, and may wait for days.
    drop((value, encoded));
    wait_for_release(shared, review, log, stopped).await
}

/// Waits until a held result may leave.
pub async fn wait_for_release(
    shared: &Shared,
    review: StoredReview,
    log: &RunLog,
    stopped: &CancellationToken,
) -> Result<Released, RunError> {
    if review.state == ReviewState::Waiting {
        let since = review.since.get(..16).unwrap_or(&review.since).replace('T', " ");
        let line = format!("{AWAITING_RELEASE} of the result by an admin of this organization since {since} UTC");
        say(shared, review.run_id, log, Status::Active, &line).await?;
    }
    let review = decided(shared, review.id, stopped, None).await?;
    match (review.state, &review.result) {
        (ReviewState::Approved, Some(result)) => Ok(Released(result.clone())),
        (ReviewState::Rejected, _) => Err(RunError::NotAllowed(rejection(&review, "the result is withheld"))),
        (ReviewState::Expired, _) => Err(RunError::NotAllowed(format!(
            "nobody released the result within {} days",
            shared.policies.review_expires_after_days
        ))),
        _ => Err(RunError::Internal("a held result is gone".to_owned())),
    }
}
