use std::{pin::pin, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::{MutexGuard, broadcast},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::hub;
use crate::{
    node::{
        error::RunError,
        log::RunLog,
        request::RunRequest,
        station::Shared,
        store::{About, NOBODY_DECIDED, StoredReview},
    },
    protocol::{
        event::Event,
        policy::ReviewMode,
        review::{AWAITING_REVIEW, ReviewState, Subject},
        status::Status,
        timestamp,
        wire::v4,
    },
};

/// How often the hub is asked without any event: events can be missed.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// An approval by which a run starts. As long as it is held no other run of this node starts by any: the hub is told of
/// each before it is used up here.
pub struct Approved<'a> {
    pub id: i64,
    /// What told which data there were.
    pub data: Option<String>,
    _starting: MutexGuard<'a, ()>,
}

/// Waits until a run may start: at once if it needs no review; else until there is an approval.
pub async fn obtain<'a>(
    shared: &'a Shared,
    run_id: i64,
    request: &RunRequest,
    log: &RunLog,
    stopped: &CancellationToken,
) -> Result<Option<Approved<'a>>, RunError> {
    let hash = request.review.asked.hash();
    let mode = request.review_mode(&shared.policies);
    if mode == ReviewMode::Never {
        // The policies may have said otherwise when it came.
        if let Some(review) = shared.store.review_of_run(run_id).await?
            && review.subject == Subject::Run
            && review.state == ReviewState::Waiting
        {
            shared.store.end_review(review.id, ReviewState::Void, "the node asks for no review any more").await?;
        }
        return Ok(None);
    }
    if shared.store.has_started(run_id, &hash).await? {
        return Ok(None);
    }
    let mut review_request = request.review.clone();
    if shared.store.has_changed(run_id, Subject::Run, &hash).await? {
        review_request.unusual.push(
            "This run was reviewed before, and what it asks for or the code that it runs has changed since.".to_owned(),
        );
    }
    let data = request.data_now(shared);
    let from_hub = shared.policies.decisions_from_hub;
    if shared.store.has_approval_for_other_data(run_id, &hash, mode, from_hub, data.as_deref()).await? {
        review_request
            .unusual
            .push("Exactly this was approved before, when the data were others; they have changed since.".to_owned());
    }
    let mut told = false;
    loop {
        if stopped.is_cancelled() {
            return Err(RunError::Stopped);
        }
        let starting = shared.starting.lock().await;
        loop {
            // It may have waited for days.
            let data = request.data_now(shared);
            let Some(approval) = shared.store.usable_approval(run_id, &hash, mode, from_hub, data.as_deref()).await?
            else {
                break;
            };
            if hub::still_approves(shared, &approval, run_id).await? {
                log.line(format!("Approved by {}", decided_by(&approval)));
                return Ok(Some(Approved { id: approval.id, data, _starting: starting }));
            }
        }
        drop(starting);
        review_request.data = request.data_now(shared);
        let about = About { run_id, subject: Subject::Run, hash: &hash, mode, request: &review_request, held: None };
        let review = shared.store.review_for(&about, shared.policies.review_expires_after_days).await?;
        if !told {
            told = true;
            let since = review.since.get(..16).unwrap_or(&review.since).replace('T', " ");
            say(
                shared,
                run_id,
                log,
                Status::Pending,
                &format!("{AWAITING_REVIEW} by an admin of this organization since {since} UTC"),
            )
            .await?;
        }
        let sought = Some(Sought { run_id, request, hash: &hash, mode });
        let review = decided(shared, review.id, stopped, sought).await?;
        match review.state {
            // The approval is used above.
            ReviewState::Approved | ReviewState::Waiting | ReviewState::Void | ReviewState::Withdrawn => {}
            ReviewState::Rejected => return Err(RunError::NotAllowed(rejection(&review, "the review rejected it"))),
            ReviewState::Expired => {
                return Err(RunError::NotAllowed(format!(
                    "nobody decided about it within {} days",
                    shared.policies.review_expires_after_days
                )));
            }
        }
    }
}

/// Tells those who know nothing of reviews what a run waits for: its log says so. Failures do not matter, it is told
/// again at the end.
pub(super) async fn say(
    shared: &Shared,
    run_id: i64,
    log: &RunLog,
    status: Status,
    line: &str,
) -> Result<(), RunError> {
    log.last_line(line);
    // A plain vantage6 server ends the runs of a task that have not begun as soon as one of them is not allowed; one
    // that waits for its admin must not end with another organization's rejection.
    let has_reviews = shared.hub.transport().server().await.is_ok_and(|server| server.has_reviews);
    let begun = (status == Status::Pending && !has_reviews).then(timestamp::now);
    let patch =
        v4::RunPatch { started_at: begun, status: Some(status), log: Some(log.whole().await), ..Default::default() };
    match shared.hub.report_run(run_id, &patch).await {
        Err(error) if error.is_temporary() => Err(RunError::ServerAway(error)),
        Err(error) => {
            tracing::warn!(run_id, %error, "the server does not take that a run waits");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

pub(super) fn rejection(review: &StoredReview, what: &str) -> String {
    let reason = review.decision.as_ref().map_or("", |decision| decision.reason.as_str());
    format!("{what}: {reason} ({})", decided_by(review))
}

fn decided_by(review: &StoredReview) -> String {
    review.decision.as_ref().map_or_else(
        || "nobody".to_owned(),
        |decision| format!("{}{}", decision.by, if decision.at_node { " at the node" } else { "" }),
    )
}

/// What a run asks for, for which exactly the same may be approved with another run.
pub(super) struct Sought<'a> {
    run_id: i64,
    request: &'a RunRequest,
    hash: &'a str,
    mode: ReviewMode,
}

/// Waits until a review waits no more, whoever ends it; or until there is an approval of what is sought beside it.
pub(super) async fn decided(
    shared: &Shared,
    id: i64,
    stopped: &CancellationToken,
    sought: Option<Sought<'_>>,
) -> Result<StoredReview, RunError> {
    // Before the first look, so that nothing between is missed.
    let mut changes = shared.store.changes();
    let mut events = shared.events.subscribe();
    loop {
        changes.mark_unchanged();
        let mut review = shared.store.review(id).await?;
        if review.state == ReviewState::Waiting {
            review = hub::look(shared, review).await?;
        }
        if review.state != ReviewState::Waiting {
            hub::tell_before_the_end(shared, &review).await;
            return Ok(review);
        }
        let left = timestamp::parse(&review.expires_at).unwrap_or_default().duration_since(Timestamp::now());
        let Ok(left) = Duration::try_from(left) else {
            return Ok(shared.store.end_review(id, ReviewState::Expired, NOBODY_DECIDED).await?);
        };
        let mut next_look = pin!(sleep(left.min(CHECK_INTERVAL)));
        loop {
            tokio::select! {
                () = &mut next_look => break,
                () = heard(&mut events, review.hub_id) => break,
                // Many can wait, and all hear of each change: the hub is not asked because of one.
                _ = changes.changed() => {
                    if shared.store.review_state(id).await? != ReviewState::Waiting {
                        break;
                    }
                    let from_hub = shared.policies.decisions_from_hub;
                    if let Some(Sought { run_id, request, hash, mode }) = sought {
                        let data = request.data_now(shared);
                        let usable =
                            shared.store.usable_approval(run_id, hash, mode, from_hub, data.as_deref()).await?;
                        if usable.is_some() {
                            return Ok(review);
                        }
                    }
                }
                () = stopped.cancelled() => {
                    shared.store.end_review(id, ReviewState::Void, "the run was stopped").await?;
                    return Err(RunError::Stopped);
                }
            }
        }
    }
}

/// Waits for an event after which the hub may know more of a review.
async fn heard(events: &mut broadcast::Receiver<Event>, hub_id: Option<i64>) {
    loop {
        match events.recv().await {
            Ok(Event::ReviewChange(change)) if Some(change.review_id) == hub_id => return,
            Ok(Event::Connected) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
