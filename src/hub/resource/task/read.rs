use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State, response::Response};

use super::{COLUMNS, Row, load, may, new_task::DATABASE_BYTES};
use crate::{
    hub::{
        HubError, audit,
        large_answer::{PAGE_BYTES, answer, turn_of},
        listing::{Filters, ListQuery, Listing},
        permission::{Caller, CallerKind, Reach, Resource},
        resource::{Id, result, run},
        server::HubState,
    },
    protocol::{
        domain::Operation,
        status::Status,
        wire::v4::{Included, ResultItem, Run, Task, TaskStatus},
    },
};

/// Name, description, image, and the databases with their parameters.
const ROW_LIMIT: i64 = DATABASE_BYTES as i64 + 16 * 1024;
const LISTING: Listing = Listing {
    id: "task.id",
    from: "task",
    joined: "",
    columns: COLUMNS,
    sortable: &[
        ("id", "task.id"),
        ("name", "task.name"),
        ("created_at", "task.created_at"),
        ("finished_at", "task.finished_at"),
        ("status", "task.status"),
        ("image", "task.image"),
        ("job_id", "task.job_id"),
        ("init_user_id", "task.init_user_id"),
        ("collaboration_id", "task.collaboration_id"),
    ],
    newest_first: true,
    bytes: BYTES,
    row_limit: ROW_LIMIT,
};

/// The bytes of the texts of a task.
pub const BYTES: &str = "octet_length(task.name) + octet_length(task.description) + octet_length(task.image)
    + (SELECT coalesce(sum(octet_length(label) + coalesce(octet_length(parameters), 0)), 0) FROM task_database
       WHERE task_id = task.id)";

/// `GET /task`
pub async fn list(State(hub): State<Arc<HubState>>, caller: Caller, query: ListQuery) -> Result<Response, HubError> {
    let mut filters = Filters::default();
    let reach = caller.require(Resource::Task, Operation::View)?;
    match reach {
        Reach::Everything => {}
        Reach::Collaboration => filters.among("task.collaboration_id", &caller.authority.collaborations),
        Reach::Organization => {
            filters.integer("task.init_organization_id = ?", Some(caller.authority.organization_id));
        }
        Reach::Own => filters.integer("task.init_user_id = ?", Some(caller.require_user()?)),
    }
    if let CallerKind::Container(subject) = &caller.kind {
        filters.when(run::of_tasks_of_algorithm(subject, caller.authority.organization_id));
    }
    for (sql, name) in [
        ("task.collaboration_id = ?", "collaboration_id"),
        ("task.init_organization_id = ?", "init_org_id"),
        ("task.init_user_id = ?", "init_user_id"),
        ("task.study_id = ?", "study_id"),
        ("task.parent_id = ?", "parent_id"),
        ("task.job_id = ?", "job_id"),
        ("task.store_id = ?", "store_id"),
        ("task.id IN (SELECT task_id FROM run WHERE run.id = ?)", "run_id"),
    ] {
        filters.integer(sql, query.integer(name)?);
    }
    for (column, name) in [("task.name", "name"), ("task.image", "image"), ("task.description", "description")] {
        filters.like(column, query.text(name))?;
    }
    filters.text("EXISTS (SELECT 1 FROM task_database WHERE task_id = task.id AND label = ?)", query.text("database"));
    filters.text("task.status = ?", query.text("status"));
    if let Some(user_created) = query.flag("is_user_created")? {
        filters.when(if user_created { "task.parent_id IS NULL" } else { "task.parent_id IS NOT NULL" });
    }
    let (with_runs, with_results) = (query.includes("runs"), query.includes("results"));
    if with_runs || with_results {
        require_runs(&caller, reach)?;
        if let Some(seen) = run::of_tasks_seen_by(&caller.kind, caller.authority.organization_id) {
            filters.when(seen);
        }
    }
    let mut rows = LISTING.fetch::<Row>(hub.store.lists(), &caller, query, filters).await?;
    let ids: Vec<i64> = rows.rows.iter().map(|row| row.id).collect();
    let (items, bytes) = included(&hub, &ids, with_runs, with_results).await?;
    rows.wait_for(&caller, items, bytes).await?;
    let mut runs = if with_runs { runs_of(&hub, &ids).await? } else { BTreeMap::new() };
    let mut results = if with_results { results_of(&hub, &caller, &ids).await? } else { BTreeMap::new() };
    rows.answer(|row| {
        let id = row.id;
        let mut task = Task::from(row);
        if with_runs {
            task.runs = Included::Items(runs.remove(&id).unwrap_or_default());
        }
        if with_results {
            task.results = Included::Items(results.remove(&id).unwrap_or_default());
        }
        task
    })
    .await
}

/// How many texts of runs are included, and their bytes.
async fn included(hub: &HubState, ids: &[i64], runs: bool, results: bool) -> Result<(i64, i64), HubError> {
    if !runs && !results {
        return Ok((0, 0));
    }
    let (run_count, result_count, of_runs, of_results) = run::sizes_of_tasks(hub, ids).await?;
    let runs = if runs { (run_count, of_runs) } else { (0, 0) };
    let results = if results { (result_count, of_results) } else { (0, 0) };
    Ok((runs.0 + results.0, runs.1 + results.1))
}

/// Runs hold inputs, logs and results: whoever sees more tasks than runs may not include them.
fn require_runs(caller: &Caller, tasks: Reach) -> Result<(), HubError> {
    match caller.reach(Resource::Run, Operation::View) {
        Some(runs) if runs >= tasks => Ok(()),
        _ => Err(HubError::Unauthenticated("You lack the permission to view the results of all these tasks!")),
    }
}

async fn runs_of(hub: &HubState, ids: &[i64]) -> Result<BTreeMap<i64, Vec<Run>>, HubError> {
    let mut by_task: BTreeMap<i64, Vec<Run>> = BTreeMap::new();
    for row in run::of_tasks(hub, ids).await? {
        by_task.entry(row.task_id).or_default().push(row.into_wire(None));
    }
    Ok(by_task)
}

async fn results_of(hub: &HubState, caller: &Caller, ids: &[i64]) -> Result<BTreeMap<i64, Vec<ResultItem>>, HubError> {
    let mut by_task: BTreeMap<i64, Vec<ResultItem>> = BTreeMap::new();
    let rows = result::of_tasks(hub, ids).await?;
    audit::note_results(hub, caller, &result::with_result(&rows), false).await?;
    for row in rows {
        by_task.entry(row.task_id).or_default().push(row.into());
    }
    Ok(by_task)
}

/// A task that the caller may see: an algorithm its own, and the subtasks that it created.
async fn load_seen(hub: &HubState, caller: &Caller, id: i64) -> Result<Row, HubError> {
    let row = load(hub, id).await?;
    let is_seen = match &caller.kind {
        CallerKind::Container(subject) if subject.task_id != id => run::may_see_all_of(hub, caller, &row).await?,
        _ => true,
    };
    if is_seen && may(caller, Resource::Task, Operation::View, &row) { Ok(row) } else { Err(HubError::NotAllowed) }
}

/// `GET /task/{id}`
pub async fn show(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    query: ListQuery,
) -> Result<Response, HubError> {
    let row = load_seen(&hub, &caller, id).await?;
    let (with_runs, with_results) = (query.includes("runs"), query.includes("results"));
    if (with_runs || with_results) && !run::may_see_all_of(&hub, &caller, &row).await? {
        return Err(HubError::Unauthenticated("You lack the permission to view results for this task!"));
    }
    let (items, bytes) = included(&hub, &[id], with_runs, with_results).await?;
    let turn = turn_of(&caller, items, bytes, PAGE_BYTES).await?;
    let mut task = Task::from(row);
    if with_runs {
        task.runs = Included::Items(runs_of(&hub, &[id]).await?.remove(&id).unwrap_or_default());
    }
    if with_results {
        task.results = Included::Items(results_of(&hub, &caller, &[id]).await?.remove(&id).unwrap_or_default());
    }
    answer(task, turn).await
}

/// `GET /task/{id}/status`
pub async fn status(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<TaskStatus>, HubError> {
    let row = load_seen(&hub, &caller, id).await?;
    Ok(Json(TaskStatus { status: Status::from(row.status) }))
}
