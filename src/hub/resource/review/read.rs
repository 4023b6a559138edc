use std::sync::Arc;

use axum::{Json, extract::State, response::Response};

use super::{COLUMNS, Row, StoredReview, load, require_view};
use crate::{
    hub::{
        HubError,
        body::REVIEW_LIMIT,
        listing::{Filters, ListQuery, Listing},
        permission::{Caller, Reach, Resource},
        resource::Id,
        server::HubState,
    },
    protocol::{
        domain::Operation,
        review::{ReviewState, Subject},
    },
};

const LISTING: Listing = Listing {
    id: "review.id",
    from: "review",
    joined: "",
    columns: COLUMNS,
    // Those that wait first, the oldest of them on top; then the others, the newest on top.
    sortable: &[
        ("attention", "state = 'waiting' DESC, CASE WHEN state = 'waiting' THEN review.id ELSE -review.id END"),
        ("id", "review.id"),
    ],
    newest_first: false,
    bytes: "octet_length(request)",
    row_limit: REVIEW_LIMIT as i64,
};

/// `GET /review`: filtered by state, organization, run, task, subject and hash; with `decided=1` without those that wait.
pub async fn list(State(hub): State<Arc<HubState>>, caller: Caller, query: ListQuery) -> Result<Response, HubError> {
    caller.require_user()?;
    query.only(&["organization_id", "run_id", "task_id", "state", "decided", "subject", "hash"])?;
    let mut filters = Filters::default();
    if caller.require(Resource::Review, Operation::View)? != Reach::Everything {
        filters.integer("organization_id = ?", Some(caller.authority.organization_id));
    }
    for (sql, name) in
        [("organization_id = ?", "organization_id"), ("run_id = ?", "run_id"), ("task_id = ?", "task_id")]
    {
        filters.integer(sql, query.integer(name)?);
    }
    if let Some(name) = query.text("state") {
        let state = ReviewState::from_name(name).ok_or_else(|| HubError::field("state", "There is no such state."))?;
        filters.text("state = ?", Some(state.as_str()));
    }
    if query.flag("decided")?.unwrap_or(false) {
        filters.when("state <> 'waiting'".to_owned());
    }
    if let Some(name) = query.text("subject") {
        let subject = Subject::from_name(name).ok_or_else(|| HubError::field("subject", "run or result."))?;
        filters.text("subject = ?", Some(subject.as_str()));
    }
    filters.text("hash = ?", query.text("hash"));
    let rows = LISTING.fetch::<Row>(hub.store.lists(), &caller, query, filters).await?;
    rows.try_answer(StoredReview::try_from).await
}

/// `GET /review/{id}`
pub async fn show(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<StoredReview>, HubError> {
    caller.refuse_containers()?;
    // What was just written is read.
    let row = load(&mut *hub.store.bookkeeping().acquire().await?, id).await?;
    require_view(&caller, &row)?;
    Ok(Json(row.try_into()?))
}
