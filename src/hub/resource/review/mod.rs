//! Reviews, which vantage6 has not: nodes ask for them (`request.rs`), admins of the node's organization decide
//! (`decide.rs`), who may see them reads them (`read.rs`). The node enforces them; here is where they are taken.

mod decide;
mod read;
mod request;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};
use serde_json::value::RawValue;
use sqlx::{FromRow, SqliteConnection};

use crate::{
    audit::{self, Entry},
    hub::{
        HubError,
        permission::{Caller, CallerKind, Reach, Resource},
        server::HubState,
    },
    protocol::{
        domain::Operation,
        review::{Approval, Decision, Review, ReviewChange, ReviewState, Subject},
    },
};

pub fn routes() -> Router<Arc<HubState>> {
    Router::new()
        .route("/review", get(read::list).post(request::request))
        .route("/review/{id}", get(read::show).patch(request::report))
        .route("/review/{id}/decision", post(decide::decide))
        .route("/review/{id}/use", post(request::use_approval))
}

const COLUMNS: &str = "review.*, (SELECT COUNT(*) FROM review_use WHERE review_id = review.id) AS used";

#[derive(FromRow)]
struct Row {
    id: i64,
    run_id: i64,
    task_id: i64,
    organization_id: i64,
    collaboration_id: i64,
    subject: String,
    state: String,
    since: String,
    expires_at: String,
    hash: String,
    mode: String,
    request: String,
    only_at_node: bool,
    decided_by: Option<String>,
    decided_at: Option<String>,
    at_node: bool,
    reason: String,
    this_run_only: bool,
    until: Option<String>,
    runs: Option<u32>,
    any_data: bool,
    withdrawn_by: Option<String>,
    withdrawn_at: Option<String>,
    withdrawn_at_node: bool,
    withdrawn_because: String,
    void_because: String,
    used: u32,
}

/// A review whose request the hub passes on as it stored it: it can hold many values.
type StoredReview = Review<Box<RawValue>>;

impl TryFrom<Row> for StoredReview {
    type Error = HubError;

    fn try_from(row: Row) -> Result<StoredReview, HubError> {
        let unreadable = || HubError::Internal(format!("review {} cannot be read", row.id));
        let json = |_| unreadable();
        let state = ReviewState::from_name(&row.state).ok_or_else(unreadable)?;
        Ok(Review {
            subject: Subject::from_name(&row.subject).ok_or_else(unreadable)?,
            mode: serde_json::from_str(&row.mode).map_err(json)?,
            request: RawValue::from_string(row.request).map_err(json)?,
            void_because: row.void_because,
            decision: match (row.decided_by, row.decided_at) {
                (Some(by), Some(at)) => Some(Decision { by, at, at_node: row.at_node, reason: row.reason }),
                _ => None,
            },
            withdrawal: match (row.withdrawn_by, row.withdrawn_at) {
                (Some(by), Some(at)) => {
                    Some(Decision { by, at, at_node: row.withdrawn_at_node, reason: row.withdrawn_because })
                }
                _ => None,
            },
            approval: matches!(state, ReviewState::Approved | ReviewState::Withdrawn).then_some(Approval {
                this_run_only: row.this_run_only,
                until: row.until,
                runs: row.runs,
                any_data: row.any_data,
            }),
            state,
            id: row.id,
            run_id: row.run_id,
            organization_id: row.organization_id,
            collaboration_id: row.collaboration_id,
            since: row.since,
            expires_at: row.expires_at,
            hash: row.hash,
            only_at_node: row.only_at_node,
            used: row.used,
        })
    }
}

/// A review, if there is one.
async fn load(connection: &mut SqliteConnection, id: i64) -> Result<Row, HubError> {
    let row: Option<Row> = sqlx::query_as(&format!("SELECT {COLUMNS} FROM review WHERE id = ?"))
        .bind(id)
        .fetch_optional(connection)
        .await?;
    row.ok_or_else(|| HubError::not_found("review", id))
}

/// An error unless the caller may see this review. Whoever may not learns nothing of it: the answer is the same as if
/// there were none.
fn require_view(caller: &Caller, row: &Row) -> Result<(), HubError> {
    let own = row.organization_id == caller.authority.organization_id;
    let may = match caller.kind {
        CallerKind::Node { .. } => own && caller.is_in_collaboration(row.collaboration_id),
        CallerKind::User { .. } => match caller.reach(Resource::Review, Operation::View) {
            Some(Reach::Everything) => true,
            Some(_) => own,
            None => false,
        },
        CallerKind::Container(_) => false,
    };
    if may { Ok(()) } else { Err(HubError::not_found("review", row.id)) }
}

/// Writes how a review stands, and by whose decision.
async fn set_decision(
    connection: &mut SqliteConnection,
    id: i64,
    state: ReviewState,
    decision: Option<&Decision>,
    approval: &Approval,
) -> Result<(), HubError> {
    sqlx::query(
        "UPDATE review SET state = ?, decided_by = ?, decided_at = ?, at_node = ?, reason = ?,
         this_run_only = ?, until = ?, runs = ?, any_data = ? WHERE id = ?",
    )
    .bind(state.as_str())
    .bind(decision.map(|decision| &decision.by))
    .bind(decision.map(|decision| &decision.at))
    .bind(decision.is_some_and(|decision| decision.at_node))
    .bind(decision.map_or("", |decision| &decision.reason))
    .bind(approval.this_run_only)
    .bind(&approval.until)
    .bind(approval.runs)
    .bind(approval.any_data)
    .bind(id)
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes an approval back. One by which something has started stays as it was given; else the review waits again.
async fn withdraw(
    connection: &mut SqliteConnection,
    id: i64,
    state: ReviewState,
    withdrawal: &Decision,
) -> Result<(), HubError> {
    sqlx::query(
        "UPDATE review SET state = ?, withdrawn_by = ?, withdrawn_at = ?, withdrawn_at_node = ?, withdrawn_because = ?
         WHERE id = ?",
    )
    .bind(state.as_str())
    .bind(&withdrawal.by)
    .bind(&withdrawal.at)
    .bind(withdrawal.at_node)
    .bind(&withdrawal.reason)
    .bind(id)
    .execute(&mut *connection)
    .await?;
    if state == ReviewState::Waiting {
        set_decision(connection, id, state, None, &Approval::default()).await?;
    }
    Ok(())
}

/// Reviews that have nothing to decide about any more, since their runs have ended or are gone, are void from now on.
/// To be called when runs ended, in the same transaction.
pub async fn end_those_without_run(connection: &mut SqliteConnection) -> Result<(), HubError> {
    let ended: Vec<(i64, i64)> = sqlx::query_as(
        "UPDATE review SET state = 'void', void_because = ? WHERE state = 'waiting'
         AND NOT EXISTS (SELECT 1 FROM run WHERE run.id = review.run_id AND finished_at IS NULL)
         RETURNING run_id, organization_id",
    )
    .bind(RUN_ENDED)
    .fetch_all(&mut *connection)
    .await?;
    note_void(connection, &ended, RUN_ENDED).await
}

/// Why nothing is to be decided any more.
const RUN_ENDED: &str = "the run was stopped, has ended or was deleted";

/// Writes into the audit log which reviews, by run and organization, are void from now on.
async fn note_void(connection: &mut SqliteConnection, ended: &[(i64, i64)], reason: &str) -> Result<(), HubError> {
    for (run_id, organization_id) in ended {
        let entry = Entry::done("system", "review.void", format!("run {run_id}"));
        audit::append(connection, &entry.details(reason).of(*organization_id)).await?;
    }
    Ok(())
}

/// Tells everybody in the collaboration that a review has changed; after the change is stored.
async fn tell(hub: &HubState, row: &Row, state: ReviewState) {
    let change = ReviewChange {
        review_id: row.id,
        run_id: row.run_id,
        task_id: row.task_id,
        organization_id: row.organization_id,
        state,
    };
    hub.events.to_collaboration(row.collaboration_id, "review_change", &change).await;
}
