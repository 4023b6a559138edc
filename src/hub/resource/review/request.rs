//! What nodes send.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use garde::Validate;
use serde::Deserialize;
use serde_json::Value;
use sqlx::SqliteConnection;

use super::{Row, StoredReview, load, note_void, set_decision, tell, withdraw};
use crate::{
    audit::{self, Entry},
    hub::{
        HubError,
        authentication::require_unchanged,
        body::{Body, LargeBody, REVIEW_LIMIT},
        notice::{self, Notice},
        permission::Caller,
        resource::{Id, message},
        server::HubState,
    },
    protocol::{
        review::{Decision, NewReview, ReviewOutcome, ReviewState, Subject},
        timestamp,
    },
};

/// Why an earlier review of a run is void.
const ASKED_ANEW: &str = "the node has asked anew: what the run asks for has changed, or the approval was used";

/// The longest content of a review, in bytes.
const REQUEST_LIMIT: usize = 256 * 1024;

#[derive(Deserialize, Validate)]
#[serde(transparent)]
pub struct NewReviewBody {
    #[garde(skip)]
    review: NewReview,
}

fn json(value: &impl serde::Serialize) -> Result<String, HubError> {
    let text = serde_json::to_string(value).map_err(|error| HubError::Internal(error.to_string()))?;
    if text.len() > REQUEST_LIMIT { Err(HubError::TooLarge(REQUEST_LIMIT)) } else { Ok(text) }
}

/// `POST /review`: a node asks for the review of one of its runs, or asks again. Another hash voids the earlier one.
pub async fn request(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    LargeBody { body: NewReviewBody { review: new }, turn: _turn }: LargeBody<NewReviewBody, REVIEW_LIMIT>,
) -> Result<(StatusCode, Json<StoredReview>), HubError> {
    let node_id = caller.require_node()?;
    new.request.check().map_err(|message| HubError::field("request", message))?;
    if new.subject == Subject::Run && new.request.asked.hash() != new.hash {
        return Err(HubError::field("hash", "It is not the hash of what is asked."));
    }
    let expires_at = timestamp::parse(&new.expires_at)
        .map(timestamp::format)
        .ok_or_else(|| HubError::field("expires_at", "Not a valid datetime."))?;
    let mut transaction = hub.store.bookkeeping().begin().await?;
    require_unchanged(&hub, &caller).await?;
    let run: Option<(i64, i64, Option<String>)> = sqlx::query_as(
        "SELECT task_id, collaboration_id, run.finished_at FROM run JOIN task ON task.id = task_id
         WHERE run.id = ? AND run.organization_id = ?",
    )
    .bind(new.run_id)
    .bind(caller.authority.organization_id)
    .fetch_optional(&mut *transaction)
    .await?;
    let (task_id, collaboration_id) = match run {
        Some((task_id, collaboration_id, None)) if caller.is_in_collaboration(collaboration_id) => {
            (task_id, collaboration_id)
        }
        Some((.., Some(_))) => return Err(HubError::bad("The run has ended already.")),
        _ => return Err(HubError::not_found("run", new.run_id)),
    };
    let known: Option<i64> = sqlx::query_scalar(
        "SELECT id FROM review WHERE run_id = ?1 AND subject = ?2 AND hash = ?3 AND (state IN ('waiting', 'rejected') OR
             state = 'approved' AND subject = 'run' AND (at_node OR NOT ?5) AND (until IS NULL OR until > ?4)
             AND (SELECT COUNT(*) FROM review_use WHERE review_id = review.id) <
                 CASE WHEN this_run_only THEN 1 ELSE coalesce(runs, 9223372036854775807) END
             -- A run that has started by it and asks again has ended since, or its data have changed; and what was
             -- released is gone.
             AND NOT EXISTS (SELECT 1 FROM review_use WHERE review_id = review.id AND run_id = ?1))
         ORDER BY id DESC",
    )
    .bind(new.run_id)
    .bind(new.subject.as_str())
    .bind(&new.hash)
    .bind(timestamp::now())
    .bind(new.only_at_node)
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some(id) = known {
        sqlx::query("UPDATE review SET only_at_node = ? WHERE id = ?")
            .bind(new.only_at_node)
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        let row = load(&mut transaction, id).await?;
        transaction.commit().await?;
        return Ok((StatusCode::OK, Json(row.try_into()?)));
    }
    let ended: Vec<(i64, i64)> = sqlx::query_as(
        "UPDATE review SET state = 'void', void_because = ?3
         WHERE run_id = ?1 AND subject = ?2 AND state IN ('waiting', 'approved')
         RETURNING run_id, organization_id",
    )
    .bind(new.run_id)
    .bind(new.subject.as_str())
    .bind(ASKED_ANEW)
    .fetch_all(&mut *transaction)
    .await?;
    note_void(&mut transaction, &ended, ASKED_ANEW).await?;
    let id = sqlx::query(
        "INSERT INTO review (run_id, task_id, organization_id, collaboration_id, subject, state, since, expires_at,
         hash, mode, request, only_at_node) VALUES (?, ?, ?, ?, ?, 'waiting', ?, ?, ?, ?, ?, ?)",
    )
    .bind(new.run_id)
    .bind(task_id)
    .bind(caller.authority.organization_id)
    .bind(collaboration_id)
    .bind(new.subject.as_str())
    .bind(timestamp::now())
    .bind(expires_at)
    .bind(&new.hash)
    .bind(json(&new.mode)?)
    .bind(json(&new.request)?)
    .bind(new.only_at_node)
    .execute(&mut *transaction)
    .await?
    .last_insert_rowid();
    let entry = Entry::done(format!("node {node_id}"), "review.request", format!("run {}", new.run_id))
        .details(format!("{}; hash {}", new.subject.as_str(), new.hash))
        .of(caller.authority.organization_id);
    audit::append(&mut transaction, &entry).await?;
    let row = load(&mut transaction, id).await?;
    let waiting: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM review WHERE organization_id = ? AND state = 'waiting'")
            .bind(row.organization_id)
            .fetch_one(&mut *transaction)
            .await?;
    // Who has one to look at finds the others beside it.
    if waiting == 1 {
        let (review_id, run_id, organization_id) = (row.id, row.run_id, row.organization_id);
        let notice = Notice::ReviewWaits { review_id, run_id, organization_id };
        notice::tell(&mut transaction, &hub, &notice).await?;
    }
    transaction.commit().await?;
    hub.jobs.wake();
    tell(&hub, &row, ReviewState::Waiting).await;
    Ok((StatusCode::CREATED, Json(row.try_into()?)))
}

/// A review of the node that asks.
async fn own(connection: &mut SqliteConnection, caller: &Caller, id: i64) -> Result<(i64, Row), HubError> {
    let node_id = caller.require_node()?;
    let row = load(connection, id).await?;
    super::require_view(caller, &row)?;
    Ok((node_id, row))
}

#[derive(Deserialize, Validate)]
#[serde(transparent)]
pub struct OutcomeBody {
    #[garde(skip)]
    outcome: ReviewOutcome,
}

/// `PATCH /review/{id}`: a node tells how a review stands. What the node says counts: it enforces it.
pub async fn report(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    Body(OutcomeBody { outcome }): Body<OutcomeBody>,
) -> Result<Json<StoredReview>, HubError> {
    let mut transaction = hub.store.bookkeeping().begin().await?;
    require_unchanged(&hub, &caller).await?;
    let (node_id, row) = own(&mut transaction, &caller, id).await?;
    let (decision, approval) = (outcome.decision, outcome.approval.unwrap_or_default());
    let length = |text: &str| text.chars().count() > 1024;
    if length(&outcome.because) {
        return Err(HubError::field("because", "Longer than 1024 characters"));
    }
    if decision.as_ref().is_some_and(|decision| length(&decision.by) || length(&decision.reason)) {
        return Err(HubError::field("decision", "Longer than 1024 characters"));
    }
    // What has come of it stays as it was told then; an approval of more runs can still be withdrawn.
    let has_ended: Option<bool> = sqlx::query_scalar("SELECT finished_at IS NOT NULL FROM run WHERE id = ?")
        .bind(row.run_id)
        .fetch_optional(&mut *transaction)
        .await?;
    let goes_on = row.state == ReviewState::Waiting.as_str()
        || row.state == ReviewState::Approved.as_str()
            && !row.this_run_only
            && matches!(outcome.state, ReviewState::Withdrawn | ReviewState::Void | ReviewState::Expired);
    if has_ended != Some(false) && !goes_on {
        return Err(HubError::Conflict("The run has ended: what was decided stays.".to_owned()));
    }
    let is_withdrawal = row.state == ReviewState::Approved.as_str()
        && matches!(outcome.state, ReviewState::Waiting | ReviewState::Withdrawn);
    if matches!(outcome.state, ReviewState::Void | ReviewState::Expired) {
        // What was decided before stays to be read.
        sqlx::query("UPDATE review SET state = ?, void_because = ? WHERE id = ?")
            .bind(outcome.state.as_str())
            .bind(&outcome.because)
            .bind(id)
            .execute(&mut *transaction)
            .await?;
    } else if is_withdrawal {
        // One that waits again tells nobody's name; the node's own log does.
        let somebody =
            || Decision { by: "an admin".to_owned(), at_node: true, at: timestamp::now(), reason: String::new() };
        let withdrawal = decision.clone().unwrap_or_else(somebody);
        withdraw(&mut transaction, id, outcome.state, &Decision { at_node: true, ..withdrawal }).await?;
    } else {
        let decision = decision.clone().map(|decision| Decision { at_node: true, ..decision });
        set_decision(&mut transaction, id, outcome.state, decision.as_ref(), &approval).await?;
    }
    let by = decision.map_or_else(String::new, |decision| format!(" by {} at the node", decision.by));
    let entry = Entry::done(format!("node {node_id}"), "review.report", format!("run {}", row.run_id))
        .details(format!("{}{by}; hash {}", outcome.state.as_str(), row.hash))
        .of(row.organization_id);
    audit::append(&mut transaction, &entry).await?;
    let row = load(&mut transaction, id).await?;
    transaction.commit().await?;
    tell(&hub, &row, outcome.state).await;
    Ok(Json(row.try_into()?))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Use {
    #[garde(range(min = 1))]
    run_id: i64,
}

/// `POST /review/{id}/use`: a node is about to start a run by this approval. The same run can be said twice.
pub async fn use_approval(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    Body(Use { run_id }): Body<Use>,
) -> Result<Json<Value>, HubError> {
    let mut transaction = hub.store.bookkeeping().begin().await?;
    require_unchanged(&hub, &caller).await?;
    let (node_id, row) = own(&mut transaction, &caller, id).await?;
    if row.state != ReviewState::Approved.as_str() {
        return Err(HubError::Conflict(format!("The review is {}.", row.state)));
    }
    let is_own: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM run JOIN task ON task.id = task_id
         WHERE run.id = ? AND run.organization_id = ? AND collaboration_id = ?)",
    )
    .bind(run_id)
    .bind(row.organization_id)
    .bind(row.collaboration_id)
    .fetch_one(&mut *transaction)
    .await?;
    if !is_own {
        return Err(HubError::not_found("run", run_id));
    }
    let noted = sqlx::query("INSERT OR IGNORE INTO review_use (review_id, run_id) VALUES (?, ?)")
        .bind(id)
        .bind(run_id)
        .execute(&mut *transaction)
        .await?;
    if noted.rows_affected() > 0 {
        let entry = Entry::done(format!("node {node_id}"), "review.use", format!("run {run_id}"))
            .details(format!("review {id}; hash {}", row.hash))
            .of(row.organization_id);
        audit::append(&mut transaction, &entry).await?;
    }
    transaction.commit().await?;
    Ok(message("The approval holds."))
}
