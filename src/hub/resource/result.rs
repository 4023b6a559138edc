use std::sync::Arc;

use axum::{Router, extract::State, http::HeaderMap, response::Response, routing::get};
use sqlx::FromRow;

use super::{Id, run, task};
use crate::{
    hub::{
        HubError, audit,
        large_answer::{PAGE_BYTES, answer, turn_of},
        listing::{ListQuery, Listing, comma_separated},
        permission::Caller,
        server::{API_PATH, HubState},
    },
    protocol::{
        client::FOR_DOWNLOAD,
        wire::v4::{Link, ResultItem},
    },
};

pub fn routes() -> Router<Arc<HubState>> {
    Router::new().route("/result", get(list)).route("/result/{id}", get(show))
}

/// The result of a run as it is stored.
#[derive(FromRow)]
pub struct Row {
    pub id: i64,
    pub task_id: i64,
    pub result: Option<String>,
}

impl From<Row> for ResultItem {
    fn from(row: Row) -> ResultItem {
        ResultItem {
            run: Some(Link::new(API_PATH, "run", row.id, &["GET", "PATCH"])),
            task: Some(Link::new(API_PATH, "task", row.task_id, &["GET", "DELETE"])),
            id: row.id,
            result: row.result,
            cleanup_at: None,
            blob_storage_used: false,
        }
    }
}

/// The bytes of the result of a run, as SQL; NULL if there is none.
pub const RESULT_BYTES: &str = "(SELECT octet_length(text) FROM run_result WHERE run_id = run.id)";

const LISTING: Listing = Listing {
    id: "run.id",
    from: run::FROM,
    joined: "",
    columns: "run.id, run.task_id, (SELECT text FROM run_result WHERE run_id = run.id) AS result",
    sortable: &[("id", "run.id"), ("task_id", "run.task_id")],
    newest_first: true,
    bytes: "coalesce((SELECT octet_length(text) FROM run_result WHERE run_id = run.id), 0)",
    row_limit: i64::MAX,
};

async fn list(State(hub): State<Arc<HubState>>, caller: Caller, query: ListQuery) -> Result<Response, HubError> {
    let filters = run::filters(&caller, &query, run::Listed::Results)?;
    let rows = LISTING.fetch::<Row>(hub.store.lists(), &caller, query, filters).await?;
    audit::note_results(&hub, &caller, &with_result(&rows.rows), false).await?;
    rows.answer(ResultItem::from).await
}

/// Ids of the runs that have a result.
pub fn with_result(rows: &[Row]) -> Vec<i64> {
    rows.iter().filter(|row| row.result.is_some()).map(|row| row.id).collect()
}

/// The results of these tasks, oldest first.
pub async fn of_tasks(hub: &HubState, task_ids: &[i64]) -> Result<Vec<Row>, HubError> {
    let ids = comma_separated(task_ids);
    // By their ids they come in order: to sort them, SQLite would hold all results once more.
    let of_tasks = format!("SELECT id FROM run WHERE task_id IN ({ids})");
    Ok(sqlx::query_as(&format!("SELECT {} FROM run WHERE id IN ({of_tasks}) ORDER BY id", LISTING.columns))
        .persistent(false)
        .fetch_all(hub.store.reader())
        .await?)
}

async fn show(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Response, HubError> {
    let found: Option<(i64, i64, i64)> =
        sqlx::query_as(&format!("SELECT task_id, organization_id, {} FROM run WHERE id = ?", LISTING.bytes))
            .bind(id)
            .fetch_optional(hub.store.reader())
            .await?;
    let missing = || HubError::NotFound(format!("Run id={id} not found!"));
    let (task_id, executed_at, bytes) = found.ok_or_else(missing)?;
    let task = task::load(&hub, task_id).await?;
    // As in lists: the organization that executes a run may see it as well as the one that asked for it.
    if !run::executes(&caller, task_id, executed_at) && !run::may_see_all_of(&hub, &caller, &task).await? {
        return Err(HubError::NotAllowed);
    }
    let turn = turn_of(&caller, 1, bytes, PAGE_BYTES).await?;
    let row: Option<Row> = sqlx::query_as(&format!("SELECT {} FROM run WHERE id = ?", LISTING.columns))
        .persistent(false)
        .bind(id)
        .fetch_optional(hub.store.reader())
        .await?;
    let row = row.ok_or_else(missing)?;
    if row.result.is_some() {
        audit::note_results(&hub, &caller, &[id], headers.contains_key(FOR_DOWNLOAD)).await?;
    }
    answer(ResultItem::from(row), turn).await
}
