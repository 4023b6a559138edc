//! What the hub is told of reviews, and what it says. A plain vantage6 server knows nothing of them; then decisions are
//! taken at the node only.

use tokio::time::{Duration, sleep, timeout};

use crate::{
    node::{
        database,
        error::RunError,
        station::Shared,
        store::{DecideError, StoreError, StoredReview},
    },
    protocol::{
        client::ClientError,
        review::{Approval, Decision, NewReview, Review, ReviewOutcome, ReviewRequest, ReviewState, Subject, Verdict},
        timestamp,
    },
};

/// How often it is tried again to tell the hub.
const TELL_INTERVAL: Duration = Duration::from_secs(30);

/// Looks at the hub how a waiting review stands, and takes over what was decided there.
pub(super) async fn look(shared: &Shared, mut review: StoredReview) -> Result<StoredReview, RunError> {
    if review.hub_id.is_some() && !review.told {
        // Something was decided here that the hub does not know yet: what it says is older.
        return Ok(review);
    }
    // Before the hub is asked: if it waits there then, these are not data of after a decision.
    let data = database::state_of_all(&shared.databases, &review.request.asked.databases);
    let at_hub = match ask(shared, &review).await {
        Ok(Some(at_hub)) => at_hub,
        Ok(None) => return Ok(review),
        // Events and ticks look again.
        Err(error) if error.is_temporary() => return Ok(review),
        Err(error) => {
            tracing::warn!(run_id = review.run_id, %error, "the hub does not take a review; it can be decided here");
            return Ok(review);
        }
    };
    // Its events are known by this.
    review.hub_id = Some(at_hub.id);
    let verdict = match at_hub.state {
        ReviewState::Approved => Verdict::Approve,
        ReviewState::Rejected => Verdict::Reject,
        _ => {
            shared.store.note_data(review.id, data.as_deref()).await?;
            return Ok(review);
        }
    };
    if !shared.policies.decisions_from_hub {
        return Ok(review);
    }
    // It was decided about an earlier review of this run, which could not be used: nobody has looked at this one.
    if verdict == Verdict::Approve && shared.store.is_taken_over(at_hub.id, review.id).await? {
        let outcome = ReviewOutcome {
            state: ReviewState::Void,
            because: "it could not be used: the data, the code or the policies have changed since".to_owned(),
            decision: None,
            approval: None,
        };
        if let Err(error) = shared.hub.report_review(at_hub.id, &outcome).await {
            tracing::warn!(%error, "the hub does not take that an approval is used up");
        }
        return Ok(review);
    }
    let decision = at_hub.decision.unwrap_or_else(|| Decision {
        by: "an admin".to_owned(),
        at_node: false,
        at: timestamp::now(),
        reason: String::new(),
    });
    let decision = Decision { at_node: false, ..decision };
    let approval = at_hub.approval.unwrap_or(Approval { this_run_only: true, ..Default::default() });
    // Those of the last look before: they may have changed since it was decided there.
    let data = shared.store.data_of_review(review.id).await?;
    match shared.store.decide(review.id, &at_hub.hash, verdict, &decision, &approval, data.as_deref()).await {
        Ok(decided) => Ok(decided),
        // It was decided here at the same time: that counts, and the hub is told.
        Err(DecideError::Already(decided)) => Ok(*decided),
        Err(DecideError::Store(error)) => Err(error.into()),
        Err(error) => {
            // What was decided about there is not what would run here: the review there is void.
            tracing::error!(run_id = review.run_id, %error, "a decision of the hub does not count");
            let outcome = ReviewOutcome {
                state: ReviewState::Void,
                because: "what was decided about is not what would run".to_owned(),
                decision: None,
                approval: None,
            };
            if let Err(error) = shared.hub.report_review(at_hub.id, &outcome).await {
                tracing::warn!(%error, "the hub does not take that a review is void");
            }
            Ok(review)
        }
    }
}

/// The review at the hub, begun there if it is not known; `None` if the server knows nothing of reviews.
async fn ask(shared: &Shared, review: &StoredReview) -> Result<Option<Review>, ClientError> {
    if !shared.hub.transport().server().await?.has_reviews {
        return Ok(None);
    }
    if let Some(id) = review.hub_id {
        match shared.hub.review(id).await {
            // A hub that lost it, as one that was set back, is asked anew.
            Err(ClientError::NotFound(_)) => {}
            // Void there for a reason that does not hold here: asked anew.
            Ok(at_hub) if at_hub.state == ReviewState::Void || at_hub.hash != review.hash => {}
            // The policies say otherwise since: the hub must offer no decision that does not count, or offer one again.
            Ok(at_hub) if at_hub.only_at_node == shared.policies.decisions_from_hub => {}
            answer => return answer.map(Some),
        }
    }
    let new = NewReview {
        run_id: review.run_id,
        subject: review.subject,
        hash: review.hash.clone(),
        mode: review.mode,
        expires_at: review.expires_at.clone(),
        // When the data change is for nobody else to know.
        request: ReviewRequest { data: None, ..review.request.clone() },
        only_at_node: !shared.policies.decisions_from_hub,
    };
    let at_hub = shared.hub.request_review(&new).await?;
    if let Err(error) = shared.store.set_hub_id(review.id, at_hub.id).await {
        tracing::error!(%error, "the id of a review at the hub was not stored");
    }
    Ok(Some(at_hub))
}

/// Whether an approval holds that was given at the hub: it may have been withdrawn there. What was approved here does.
pub(super) async fn still_approves(shared: &Shared, approval: &StoredReview, run_id: i64) -> Result<bool, RunError> {
    let at_node = approval.decision.as_ref().is_some_and(|decision| decision.at_node);
    if at_node {
        return note_use(shared, approval, run_id).await.map(|()| true);
    }
    let outcome = match approval.hub_id {
        Some(hub_id) => shared.hub.use_review(hub_id, run_id).await,
        None => Err(ClientError::NotFound("the hub does not know it".to_owned())),
    };
    match outcome {
        Ok(()) => Ok(true),
        Err(error @ (ClientError::NotFound(_) | ClientError::Rejected { status: 409, .. })) => {
            tracing::info!(run_id, %error, "an approval does not hold any more");
            let decision =
                Decision { by: "the hub".to_owned(), at_node: false, at: timestamp::now(), reason: error.to_string() };
            let approval_of = &approval.approval;
            let withdraw = Verdict::Withdraw;
            let withdrawn =
                shared.store.decide(approval.id, &approval.hash, withdraw, &decision, approval_of, None).await;
            match withdrawn {
                Ok(_) | Err(DecideError::Already(_)) => Ok(false),
                Err(DecideError::Store(error)) => Err(error.into()),
                Err(error) => Err(RunError::Internal(error.to_string())),
            }
        }
        // Whatever else comes between is no reason to withdraw.
        Err(error) => Err(RunError::ServerAway(error)),
    }
}

/// Tells the hub that a run starts by an approval of this node, which holds whatever the hub says to it.
async fn note_use(shared: &Shared, approval: &StoredReview, run_id: i64) -> Result<(), RunError> {
    let Some(hub_id) = approval.hub_id else { return Ok(()) };
    if !approval.told
        && let Err(error) = tell(shared).await
    {
        tracing::warn!(run_id, error, "the hub is not told yet what was decided at this node");
    }
    match shared.hub.use_review(hub_id, run_id).await {
        Err(error) if error.is_temporary() => Err(RunError::ServerAway(error)),
        Err(error) => {
            tracing::warn!(run_id, %error, "the hub does not take that a run starts by an approval of this node");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Tells the hub what was decided here about a review before it hears that the run has ended: else that would be why the review
/// has ended there. What fails is tried again by itself.
pub(super) async fn tell_before_the_end(shared: &Shared, review: &StoredReview) {
    if review.hub_id.is_some()
        && !review.told
        && let Err(error) = tell(shared).await
    {
        tracing::warn!(run_id = review.run_id, error, "the hub is not told yet what was decided at this node");
    }
}

/// Tells the hub what was decided here, for as long as it is polled.
pub async fn keep_hub_informed(shared: &Shared) {
    let mut changes = shared.store.changes();
    loop {
        changes.mark_unchanged();
        let has_reviews = shared.hub.transport().server().await.is_ok_and(|server| server.has_reviews);
        if has_reviews && let Err(error) = tell(shared).await {
            tracing::warn!(error, "the hub is not told yet what was decided at this node");
            sleep(Duration::from_secs(1)).await;
        }
        let _ = timeout(TELL_INTERVAL, changes.changed()).await;
    }
}

async fn tell(shared: &Shared) -> Result<(), String> {
    for review in shared.store.untold().await.map_err(|error| error.to_string())? {
        let Some(hub_id) = review.hub_id else { continue };
        let outcome = ReviewOutcome {
            state: review.state,
            because: review.ended_because.clone(),
            decision: review.decision.clone(),
            approval: (review.state == ReviewState::Approved).then(|| review.approval.clone()),
        };
        match shared.hub.report_review(hub_id, &outcome).await {
            Err(error) if error.is_temporary() => return Err(error.to_string()),
            outcome => {
                if let Err(error) = outcome {
                    tracing::warn!(run_id = review.run_id, %error, "the hub does not take what was decided here");
                }
                shared.store.set_told(review.id, review.state).await.map_err(|error| error.to_string())?;
            }
        }
    }
    Ok(())
}

/// Ends the reviews of runs that are not open any more: somebody stopped or deleted them while this node was away.
pub async fn end_those_that_are_gone(shared: &Shared, open: &[i64]) -> Result<(), StoreError> {
    for review in shared.store.waiting().await? {
        if !open.contains(&review.run_id) && is_gone(shared, review.run_id).await {
            let ended = match review.subject {
                Subject::Run => "the run was stopped or deleted",
                Subject::Result => "the run was stopped or deleted; its result is deleted here",
            };
            shared.store.end_review(review.id, ReviewState::Void, ended).await?;
        }
    }
    // Approved, but it never started; or it did, and this node was not there when it ended. It could come back.
    for (id, run_id) in shared.store.unused_approvals().await? {
        if !open.contains(&run_id) && is_gone(shared, run_id).await {
            shared.store.end_review(id, ReviewState::Void, "the run was stopped or deleted").await?;
        }
    }
    for run_id in shared.store.open_runs().await? {
        if !open.contains(&run_id) && is_gone(shared, run_id).await {
            shared.store.end_run(run_id).await?;
        }
    }
    // Released while the server was away, and nobody wants them any more.
    for run_id in shared.store.runs_with_released_results().await? {
        if !open.contains(&run_id) && is_gone(shared, run_id).await {
            shared.store.forget_result(run_id).await?;
        }
    }
    Ok(())
}

/// Whether a run has ended at the server, or is not there any more. A list can miss one that is.
pub async fn is_gone(shared: &Shared, run_id: i64) -> bool {
    match shared.hub.run_state(run_id).await {
        Ok(run) => run.finished_at.is_some(),
        Err(error) => matches!(error, ClientError::NotFound(_)),
    }
}
