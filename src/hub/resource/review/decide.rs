use std::sync::Arc;

use axum::{Json, extract::State};
use garde::Validate;
use serde::Deserialize;

use super::{StoredReview, load, require_view, set_decision, tell, withdraw};
use crate::{
    audit::Entry,
    hub::{
        HubError,
        body::Body,
        permission::{Caller, Resource},
        resource::{Id, username},
        server::HubState,
    },
    protocol::{
        client::NewDecision,
        domain::Operation,
        review::{Decision, ReviewState, Subject, Verdict},
        timestamp,
    },
};

#[derive(Deserialize, Validate)]
#[serde(transparent)]
pub struct DecisionBody {
    #[garde(skip)]
    decision: NewDecision,
}

/// `POST /review/{id}/decision`: an admin of the organization whose data are asked for decides; nobody else, not even
/// Root. Of two at once one wins, and the other gets 409 with who did.
pub async fn decide(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    Body(DecisionBody { decision: new }): Body<DecisionBody>,
) -> Result<Json<StoredReview>, HubError> {
    let user_id = caller.require_user()?;
    let mut change = hub.change(&caller).await?;
    let row = load(&mut change, id).await?;
    require_view(&caller, &row)?;
    caller.require(Resource::Review, Operation::Edit)?;
    if row.organization_id != caller.authority.organization_id {
        return Err(HubError::NotAllowed);
    }
    let by = username(&mut change, user_id).await?;
    let review = StoredReview::try_from(row)?;
    if review.only_at_node {
        return Err(HubError::Conflict("This node takes only decisions that are taken at itself.".to_owned()));
    }
    if review.hash != new.hash {
        return Err(HubError::Conflict("What is asked for has changed since you looked at it.".to_owned()));
    }
    if review.state == ReviewState::Waiting && review.expires_at < timestamp::now() {
        return Err(HubError::Conflict("Nobody decided in time: the node refuses it now.".to_owned()));
    }
    if new.reason.chars().count() > 1024 {
        return Err(HubError::field("reason", "Longer than 1024 characters"));
    }
    let mut approval = new.approval.unwrap_or_default();
    let (state, action) = match (new.verdict, review.state) {
        (Verdict::Approve, ReviewState::Waiting) => {
            approval.check(review.subject, review.mode).map_err(|message| HubError::field("approval", message))?;
            let normal = approval.until.as_deref().and_then(timestamp::parse).map(timestamp::format);
            approval.until = normal;
            (ReviewState::Approved, if review.subject == Subject::Run { "review.approve" } else { "release.approve" })
        }
        (Verdict::Reject, ReviewState::Waiting) if new.reason.trim().is_empty() => {
            return Err(HubError::field("reason", "A rejection needs a reason, which the researcher reads."));
        }
        (Verdict::Reject, ReviewState::Waiting) => {
            (ReviewState::Rejected, if review.subject == Subject::Run { "review.reject" } else { "release.withhold" })
        }
        // An approval that was not used yet waits again.
        (Verdict::Withdraw, ReviewState::Approved) if review.subject == Subject::Run => match review.used {
            0 => (ReviewState::Waiting, "review.withdraw"),
            _ => (ReviewState::Withdrawn, "review.withdraw"),
        },
        (_, state) => {
            let by = review.last_decision().map_or_else(String::new, |decision| format!(" by {}", decision.by));
            return Err(HubError::Conflict(format!("It is {} already{by}.", state.as_str())));
        }
    };
    let decision =
        Decision { by: by.clone(), at_node: false, at: timestamp::now(), reason: new.reason.trim().to_owned() };
    if new.verdict == Verdict::Withdraw {
        withdraw(&mut change, id, state, &decision).await?;
    } else {
        set_decision(&mut change, id, state, Some(&decision), &approval).await?;
    }
    let mut details = vec![format!("hash {}", review.hash)];
    if state == ReviewState::Approved && review.subject == Subject::Run {
        details.insert(0, approval.words());
    }
    details.extend(Some(new.reason.trim().to_owned()).filter(|reason| !reason.is_empty()));
    let entry = Entry::done(format!("user {user_id} ({by})"), action, format!("run {}", review.run_id))
        .details(details.join("; "))
        .of(review.organization_id);
    let row = load(&mut change, id).await?;
    change.commit(&entry).await?;
    tell(&hub, &row, state).await;
    Ok(Json(row.try_into()?))
}
