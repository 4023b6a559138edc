use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use garde::Validate;
use serde::Deserialize;
use serde_json::json;
use sqlx::FromRow;

use super::{Id, result::RESULT_BYTES, review, task};
use crate::{
    hub::{
        HubError,
        authentication::caller_now,
        body::LargeBody,
        events::LOG_LIMIT,
        large_answer::{PAGE_BYTES, answer, turn_of},
        listing::{Filters, ListQuery, Listing, comma_separated},
        notice::{self, Notice},
        permission::{Caller, CallerKind, Reach, Resource},
        server::{API_PATH, HubState},
        token::ContainerSubject,
        version3::ForResults,
    },
    protocol::{
        domain::Operation,
        payload::{self, Dialect, PayloadError},
        review::{ReviewState, RunReview, Subject},
        status::Status,
        timestamp,
        wire::v4::{Included, Link, Run, RunNode, RunTask, Task},
    },
};

pub fn routes() -> Router<Arc<HubState>> {
    Router::new().route("/run", get(list)).route("/run/{id}", get(show).patch(report))
}

/// A run as it is stored, with its node.
#[derive(FromRow)]
pub struct Row {
    pub id: i64,
    pub task_id: i64,
    pub organization_id: i64,
    pub status: String,
    /// `None` in a list without inputs.
    pub input: Option<String>,
    pub assigned_at: String,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    pub log: Option<String>,
    pub node_id: Option<i64>,
    pub node_name: Option<String>,
    pub node_ip: Option<String>,
    pub node_online: Option<bool>,
    pub review_subject: Option<String>,
    pub review_state: Option<String>,
    pub review_since: Option<String>,
}

/// Runs with their tasks and nodes.
pub const FROM: &str = "run JOIN task ON task.id = run.task_id LEFT JOIN node ON
    node.organization_id = run.organization_id AND node.collaboration_id = task.collaboration_id";
const WITH_REVIEW: &str = "LEFT JOIN review ON review.id = (SELECT max(id) FROM review WHERE run_id = run.id)";
/// The columns of a run with this SQL for its input.
macro_rules! columns {
    ($input:literal) => {
        concat!(
            $input,
            " AS input, run.id, run.task_id, run.organization_id, run.status, assigned_at, started_at, run.finished_at,
            nullif(coalesce(log, '') || coalesce((SELECT group_concat(text, '') FROM
                (SELECT text FROM log_line WHERE run_id = run.id ORDER BY id)), ''), '') AS log,
            node.id AS node_id, node.name AS node_name, node.ip AS node_ip, node.online AS node_online,
            review.subject AS review_subject, review.state AS review_state, review.since AS review_since"
        )
    };
}
const COLUMNS: &str = columns!("(SELECT text FROM run_input WHERE run_id = run.id)");

impl Row {
    /// The wire form; with its task nested if that was asked for.
    pub fn into_wire(self, task: Option<Task>) -> Run {
        let node = match (self.node_id, self.node_name) {
            (Some(id), Some(name)) => Some(RunNode {
                id,
                name,
                ip: self.node_ip,
                status: Some(if self.node_online == Some(true) { "online" } else { "offline" }.to_owned()),
            }),
            _ => None,
        };
        let review = match (self.review_subject, self.review_state, self.review_since) {
            (Some(subject), Some(state), Some(since)) => Subject::from_name(&subject)
                .zip(ReviewState::from_name(&state))
                .map(|(subject, state)| RunReview { subject, state, since }),
            _ => None,
        };
        let all = &["GET", "PATCH", "DELETE"];
        Run {
            organization: Some(Link::new(API_PATH, "organization", self.organization_id, all)),
            task: Some(match task {
                Some(task) => RunTask::Task(Box::new(Task { runs: Included::default(), ..task })),
                None => RunTask::Link(Link::new(API_PATH, "task", self.task_id, &["GET", "DELETE"])),
            }),
            results: Some(Link::new(API_PATH, "result", self.id, &["GET", "PATCH"])),
            node,
            ports: Vec::new(),
            id: self.id,
            input: self.input,
            assigned_at: Some(self.assigned_at),
            started_at: self.started_at,
            finished_at: self.finished_at,
            status: Status::from(self.status),
            log: self.log,
            cleanup_at: None,
            blob_storage_used: false,
            review,
        }
    }
}

/// What a list tells of runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    Runs,
    Results,
}

/// The tasks whose inputs and results a node or an algorithm may see, as SQL: an algorithm sees those of the subtasks that it
/// created, a node those that its organization asked for. vantage6 shows them all tasks of their collaboration: one
/// stolen key would then read what all others compute. Nor does an algorithm see more of its job: a node makes its token
/// itself, also for a partial function of somebody else's task.
pub fn of_tasks_seen_by(kind: &CallerKind, organization_id: i64) -> Option<String> {
    match kind {
        CallerKind::User { .. } => None,
        CallerKind::Node { .. } => Some(format!("task.init_organization_id = {organization_id}")),
        CallerKind::Container(subject) => {
            Some(format!("task.parent_id = {} AND task.init_organization_id = {organization_id}", subject.task_id))
        }
    }
}

/// The tasks that an algorithm may see, as SQL: its own one as well.
pub fn of_tasks_of_algorithm(subject: &ContainerSubject, organization_id: i64) -> String {
    format!(
        "task.id = {0} OR (task.parent_id = {0} AND task.init_organization_id = {organization_id})",
        subject.task_id
    )
}

/// Whether the caller sees a run since it is one of their own: of this task, at this organization.
pub fn executes(caller: &Caller, task_id: i64, organization_id: i64) -> bool {
    let is_own_task = match &caller.kind {
        CallerKind::Container(subject) => subject.task_id == task_id,
        _ => true,
    };
    is_own_task
        && organization_id == caller.authority.organization_id
        && caller.reach(Resource::Run, Operation::View) >= Some(Reach::Organization)
}

/// Whether the caller sees the inputs and results of this task.
pub async fn may_see_all_of(hub: &HubState, caller: &Caller, task: &task::Row) -> Result<bool, HubError> {
    if !task::may(caller, Resource::Run, Operation::View, task) {
        return Ok(false);
    }
    let Some(seen) = of_tasks_seen_by(&caller.kind, caller.authority.organization_id) else { return Ok(true) };
    let query = format!("SELECT EXISTS (SELECT 1 FROM task WHERE id = ? AND ({seen}))");
    Ok(sqlx::query_scalar(&query).bind(task.id).fetch_one(hub.store.reader()).await?)
}

/// The runs whose texts a node or an algorithm sees whole, as SQL: its own, and those of the tasks that it asked for.
fn of_runs_seen_whole(kind: &CallerKind, organization_id: i64) -> Option<String> {
    let asked = of_tasks_seen_by(kind, organization_id)?;
    let own = format!("run.organization_id = {organization_id}");
    Some(match kind {
        CallerKind::Container(subject) => format!("({asked}) OR (run.task_id = {} AND {own})", subject.task_id),
        _ => format!("({asked}) OR {own}"),
    })
}

/// The filters that runs and results have in common, with what the caller may see of them.
pub fn filters(caller: &Caller, query: &ListQuery, what: Listed) -> Result<Filters, HubError> {
    let mut filters = Filters::default();
    match caller.require(Resource::Run, Operation::View)? {
        Reach::Everything => {}
        Reach::Collaboration => filters.among("task.collaboration_id", &caller.authority.collaborations),
        Reach::Organization => filters.when(format!(
            "run.organization_id = {0} OR task.init_organization_id = {0}",
            caller.authority.organization_id
        )),
        Reach::Own => filters.integer("task.init_user_id = ?", Some(caller.require_user()?)),
    }
    let own = caller.authority.organization_id;
    match (of_runs_seen_whole(&caller.kind, own), &caller.kind) {
        (None, _) => {}
        (Some(whole), _) if what == Listed::Results => filters.when(whole),
        // Who takes part in its own task, and how far they are.
        (Some(whole), CallerKind::Container(subject)) => {
            filters.when(format!("{whole} OR run.task_id = {}", subject.task_id));
        }
        // A node also sees what the central functions were asked that ask it, as long as they do.
        (Some(whole), _) => filters.when(format!(
            "{whole} OR task.id IN (SELECT child.parent_id FROM task AS child JOIN run AS at_child ON at_child.task_id = \
             child.id WHERE at_child.organization_id = {own} AND at_child.finished_at IS NULL)"
        )),
    }
    for (sql, name) in [
        ("run.task_id = ?", "task_id"),
        ("run.organization_id = ?", "organization_id"),
        ("task.collaboration_id = ?", "collaboration_id"),
        ("node.id = ?", "node_id"),
    ] {
        filters.integer(sql, query.integer(name)?);
    }
    for (column, name) in [("assigned_at", "assigned"), ("started_at", "started"), ("run.finished_at", "finished")] {
        filters.text(&format!("{column} >= ?"), query.time(&format!("{name}_from"))?);
        filters.text(&format!("{column} <= ?"), query.time(&format!("{name}_till"))?);
    }
    filters.text("run.status = ?", query.text("status"));
    if query.text("state") == Some("open") {
        filters.when("run.finished_at IS NULL");
    }
    Ok(filters)
}

const LISTING: Listing = Listing {
    id: "run.id",
    from: FROM,
    joined: WITH_REVIEW,
    columns: COLUMNS,
    sortable: &[
        ("id", "run.id"),
        ("status", "run.status"),
        ("assigned_at", "assigned_at"),
        ("started_at", "started_at"),
        ("finished_at", "run.finished_at"),
        ("task_id", "run.task_id"),
        ("organization_id", "run.organization_id"),
    ],
    newest_first: true,
    bytes: BYTES,
    row_limit: i64::MAX,
};

/// The list with `without=input`, Atoll's own: a page that shows how runs go does not need what may be large.
const WITHOUT_INPUT: Listing =
    Listing { columns: columns!("NULL"), bytes: "coalesce(octet_length(run.log), 0) + run.log_line_bytes", ..LISTING };

fn asks_without_input(query: &ListQuery) -> bool {
    query.text("without") == Some("input")
}

/// The bytes of the texts of a run, but for its result.
const BYTES: &str = "(SELECT octet_length(text) FROM run_input WHERE run_id = run.id)
    + coalesce(octet_length(run.log), 0) + run.log_line_bytes";

/// Whether runs come with their tasks; an error for a user who may see none by themselves.
fn includes_task(caller: &Caller, query: &ListQuery) -> Result<bool, HubError> {
    if !query.includes("task") {
        return Ok(false);
    }
    if matches!(caller.kind, CallerKind::User { .. }) {
        caller.require(Resource::Task, Operation::View)?;
    }
    Ok(true)
}

async fn list(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    query: ListQuery,
    for_results: Option<Extension<ForResults>>,
) -> Result<Response, HubError> {
    if query.text("without").is_some_and(|what| what != "input") {
        return Err(HubError::field("without", "Only \"input\" can be left out."));
    }
    let listed = if for_results.is_some() { Listed::Results } else { Listed::Runs };
    let filters = filters(&caller, &query, listed)?;
    let with_task = includes_task(&caller, &query)?;
    let listing = if asks_without_input(&query) { WITHOUT_INPUT } else { LISTING };
    let mut rows = listing.fetch::<Row>(hub.store.lists(), &caller, query, filters).await?;
    if let Some(whole) = of_runs_seen_whole(&caller.kind, caller.authority.organization_id) {
        let ids: Vec<i64> = rows.rows.iter().map(|row| row.id).collect();
        let whole: Vec<i64> = sqlx::query_scalar(&format!(
            "SELECT run.id FROM {FROM} WHERE run.id IN ({}) AND ({whole})",
            comma_separated(&ids)
        ))
        .persistent(false)
        .fetch_all(hub.store.reader())
        .await?;
        // Of a function that asks a node it is to know what it was asked, not how it goes.
        let is_algorithm = matches!(caller.kind, CallerKind::Container(_));
        for row in rows.rows.iter_mut().filter(|row| !whole.contains(&row.id)) {
            row.log = None;
            row.input = row.input.take().filter(|_| !is_algorithm);
        }
    }
    let mut tasks: Vec<Task> = Vec::new();
    if with_task {
        let of_page: Vec<i64> = rows.rows.iter().map(|row| row.id).collect();
        let bytes: i64 = sqlx::query_scalar(&format!(
            "SELECT coalesce(sum({}), 0) FROM run JOIN task ON task.id = task_id WHERE run.id IN ({})",
            task::BYTES,
            comma_separated(&of_page)
        ))
        .fetch_one(hub.store.reader())
        .await?;
        // A task comes with each of its runs.
        rows.wait_for(&caller, of_page.len() as i64, bytes).await?;
        let ids: Vec<i64> = rows.rows.iter().map(|row| row.task_id).collect();
        let of_runs: Vec<task::Row> =
            sqlx::query_as(&format!("SELECT {} FROM task WHERE id IN ({})", task::COLUMNS, comma_separated(&ids)))
                .fetch_all(hub.store.reader())
                .await?;
        tasks = of_runs.into_iter().map(Task::from).collect();
    }
    rows.answer(|row| {
        let task = tasks.iter().find(|task| task.id == row.task_id).cloned();
        row.into_wire(task)
    })
    .await
}

/// The runs of these tasks, oldest first.
pub async fn of_tasks(hub: &HubState, task_ids: &[i64]) -> Result<Vec<Row>, HubError> {
    let ids = comma_separated(task_ids);
    Ok(sqlx::query_as(&format!(
        // By their ids they come in order: to sort them, SQLite would hold all texts once more.
        "SELECT {COLUMNS} FROM {FROM} {WITH_REVIEW}
         WHERE run.id IN (SELECT id FROM run WHERE task_id IN ({ids})) ORDER BY run.id"
    ))
    .persistent(false)
    .fetch_all(hub.store.reader())
    .await?)
}

/// How many runs these tasks have and how many results, and the bytes of their texts: of the runs themselves, and of their
/// results.
pub async fn sizes_of_tasks(hub: &HubState, task_ids: &[i64]) -> Result<(i64, i64, i64, i64), HubError> {
    let ids = comma_separated(task_ids);
    Ok(sqlx::query_as(&format!(
        "SELECT count(*), count({RESULT_BYTES}), coalesce(sum({BYTES}), 0), coalesce(sum({RESULT_BYTES}), 0) FROM run
         WHERE task_id IN ({ids})"
    ))
    .fetch_one(hub.store.reader())
    .await?)
}

async fn load(hub: &HubState, id: i64, columns: &str) -> Result<Row, HubError> {
    let row: Option<Row> = sqlx::query_as(&format!("SELECT {columns} FROM {FROM} {WITH_REVIEW} WHERE run.id = ?"))
        .persistent(false)
        .bind(id)
        .fetch_optional(hub.store.reader())
        .await?;
    row.ok_or_else(|| HubError::NotFound(format!("Run id={id} not found!")))
}

async fn show(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    query: ListQuery,
) -> Result<Response, HubError> {
    let found: Option<(i64, i64)> = sqlx::query_as("SELECT task_id, organization_id FROM run WHERE id = ?")
        .bind(id)
        .fetch_optional(hub.store.reader())
        .await?;
    let (task_id, organization_id) = found.ok_or_else(|| HubError::NotFound(format!("Run id={id} not found!")))?;
    let task = task::load(&hub, task_id).await?;
    // The organization that executes a run may see it as well as the one that asked for it.
    if !executes(&caller, task_id, organization_id) && !may_see_all_of(&hub, &caller, &task).await? {
        return Err(HubError::NotAllowed);
    }
    let task = includes_task(&caller, &query)?.then(|| Task::from(task));
    one(&hub, &caller, id, &query, task).await
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Report {
    #[garde(custom(check_time))]
    #[serde(default)]
    started_at: Option<String>,
    #[garde(custom(check_time))]
    #[serde(default)]
    finished_at: Option<String>,
    #[garde(skip)]
    #[serde(default)]
    log: Option<String>,
    #[garde(skip)]
    #[serde(default)]
    result: Option<String>,
    #[garde(custom(check_status))]
    #[serde(default)]
    status: Option<Status>,
}

fn check_time(text: &Option<String>, _: &()) -> garde::Result {
    match text {
        Some(text) if timestamp::parse(text).is_none() => Err(garde::Error::new("Not a valid datetime.")),
        _ => Ok(()),
    }
}

fn check_status(status: &Option<Status>, _: &()) -> garde::Result {
    match status {
        Some(Status::Unknown(_)) => {
            let names: Vec<String> = Status::known().map(String::from).collect();
            Err(garde::Error::new(format!("Must be one of: {}.", names.join(", "))))
        }
        _ => Ok(()),
    }
}

/// `PATCH /run/{id}`: a node reports what became of a run. Unlike the original, what is not sent is kept, so that a
/// report of the status alone does not wipe log lines that were streamed before.
async fn report(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    query: ListQuery,
    LargeBody { body: mut report, turn }: LargeBody<Report>,
) -> Result<Response, HubError> {
    caller.require_node()?;
    // So that it is noted who may read it from then on.
    if report.result.is_some() && report.finished_at.is_none() {
        return Err(HubError::field("result", "A result comes with the end of its run (finished_at)."));
    }
    let time = |text: &Option<String>| text.as_deref().and_then(timestamp::parse).map(timestamp::format);
    // The official node does not say when a run was killed; without an end it would be started again.
    let is_killed = report.status == Some(Status::Killed);
    let has_ended = report.finished_at.is_some() || is_killed;
    let ended_at = has_ended.then(|| time(&report.finished_at).unwrap_or_else(timestamp::now));
    let log = report.log.take().map(|log| truncate(&log, LOG_LIMIT).to_owned());
    let mut transaction = hub.store.bookkeeping().begin().await?;
    // A result can take long to arrive, and is not lost since somebody else came into the collaboration meanwhile.
    let caller = caller_now(&hub, &caller).await?;
    let place: Option<(i64, i64, i64, Option<String>, bool, String)> = sqlx::query_as(
        "SELECT run.organization_id, collaboration_id, task_id, run.finished_at, is_of_version3, run.status FROM run
         JOIN task ON task.id = task_id WHERE run.id = ?",
    )
    .bind(id)
    .fetch_optional(&mut *transaction)
    .await?;
    let (organization_id, collaboration_id, task_id, finished, is_of_version3, status_before) =
        place.ok_or_else(|| HubError::NotFound(format!("Run id={id} not found!")))?;
    if organization_id != caller.authority.organization_id || !caller.is_in_collaboration(collaboration_id) {
        return Err(HubError::Unauthenticated("This is not your algorithm run to PATCH!"));
    }
    let encrypted: bool = sqlx::query_scalar("SELECT encrypted FROM collaboration WHERE id = ?")
        .bind(collaboration_id)
        .fetch_one(&mut *transaction)
        .await?;
    if encrypted && report.result.as_deref().is_some_and(task::is_readable) {
        return Err(HubError::field(
            "result",
            "The collaboration requires encryption, but the result is not encrypted.",
        ));
    }
    // Clients of vantage6 3.x run whatever a result says that is no JSON: they get only what is plain data.
    if let Some(result) = &report.result
        && is_of_version3
        && !matches!(
            payload::dialect_of(result),
            Ok(Dialect::Json3x | Dialect::Pickle3x) | Err(PayloadError::Encrypted)
        )
    {
        return Err(HubError::field(
            "result",
            "A client of vantage6 3.x asked for this: the result has to be \"json.\" and JSON, or a pickle of plain data.",
        ));
    }
    // A node may say how a run has ended before it says when; others were ended with it then.
    let status_before = Status::from(status_before);
    let goes_back = status_before.is_final() && report.status.as_ref().is_some_and(|status| !status.is_final());
    if finished.is_some() || goes_back {
        return Err(HubError::bad("Cannot update an already finished algorithm run!"));
    }
    sqlx::query(
        "UPDATE run SET started_at = coalesce(?, started_at), finished_at = ?, log = coalesce(?, log),
         status = coalesce(?, status) WHERE id = ?",
    )
    .persistent(false)
    .bind(time(&report.started_at))
    .bind(ended_at)
    .bind(&log)
    .bind(report.status.as_ref().map(Status::as_str))
    .bind(id)
    .execute(&mut *transaction)
    .await?;
    if let Some(result) = report.result {
        sqlx::query("INSERT OR REPLACE INTO run_result (run_id, text) VALUES (?, ?)")
            .persistent(false)
            .bind(id)
            .bind(result)
            .execute(&mut *transaction)
            .await?;
    }
    if log.is_some() {
        // It holds them.
        sqlx::query("DELETE FROM log_line WHERE run_id = ?").bind(id).execute(&mut *transaction).await?;
        sqlx::query("UPDATE run SET log_line_bytes = 0 WHERE id = ?").bind(id).execute(&mut *transaction).await?;
    }
    // What one organization does not allow, others may: their runs go on. So do those of a user's own task that wait
    // for their admins, whose results somebody wants by themselves; for a subtask it is too late.
    let ends_others = |status: &&Status| status.is_failure() && **status != Status::NotAllowed;
    if let Some(status) = report.status.as_ref().filter(ends_others) {
        let others: Vec<(i64, Option<i64>)> = sqlx::query_as(
            "UPDATE run SET status = ?1, finished_at = ?2, log = coalesce(nullif(log, ''), ?3)
             WHERE task_id = ?4 AND started_at IS NULL AND finished_at IS NULL AND id <> ?5
             AND ((SELECT parent_id FROM task WHERE id = ?4) IS NOT NULL
                 OR NOT EXISTS (SELECT 1 FROM review WHERE run_id = run.id AND state = 'waiting'))
             RETURNING id, organization_id",
        )
        .bind(Status::Failed.as_str())
        .bind(timestamp::now())
        .bind(format!("Marked as failed because sibling run id={id} failed with status '{status}'."))
        .bind(task_id)
        .bind(id)
        .fetch_all(&mut *transaction)
        .await?;
        for (other, of) in others {
            let details = format!("{}: run {id} of the same task has ended so", Status::Failed.as_str());
            let entry = caller.did("run.end", "run", other).of(of).details(details);
            crate::audit::append(&mut transaction, &entry).await?;
        }
    }
    task::update_status(&mut transaction, task_id).await?;
    review::end_those_without_run(&mut transaction).await?;
    let ended: Option<String> = sqlx::query_scalar(
        "SELECT status FROM task WHERE id = ? AND parent_id IS NULL
         AND NOT EXISTS (SELECT 1 FROM run WHERE task_id = task.id AND finished_at IS NULL)",
    )
    .bind(task_id)
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some(status) = ended {
        notice::tell(&mut transaction, &hub, &Notice::TaskEnded { task_id, status }).await?;
    }
    let fails = report.status.as_ref().is_some_and(Status::is_failure) && !status_before.is_failure();
    if has_ended || fails {
        let status = report.status.as_ref().unwrap_or(&status_before).as_str();
        let entry = caller.did("run.end", "run", id).details(status.to_owned());
        crate::audit::append(&mut transaction, &entry).await?;
    }
    transaction.commit().await?;
    hub.jobs.wake();
    // After the change is stored, unlike the original: whoever asks now sees it.
    hub.events.to_collaboration(collaboration_id, "status_update", &json!({"run_id": id})).await;
    // Others may be in memory from here on.
    drop((log, turn));
    match one(&hub, &caller, id, &query, None).await {
        // What is stored is stored, also where the server is too busy to show it.
        Err(HubError::Busy | HubError::PageTooLarge(_)) => {
            let row = Row { log: None, ..load(&hub, id, WITHOUT_INPUT.columns).await? };
            Ok(Json(row.into_wire(None)).into_response())
        }
        answered => answered,
    }
}

/// A run by itself, as it was asked for.
async fn one(
    hub: &HubState,
    caller: &Caller,
    id: i64,
    query: &ListQuery,
    task: Option<Task>,
) -> Result<Response, HubError> {
    let (columns, bytes) = match asks_without_input(query) {
        true => (WITHOUT_INPUT.columns, WITHOUT_INPUT.bytes),
        false => (COLUMNS, BYTES),
    };
    let bytes: Option<i64> = sqlx::query_scalar(&format!("SELECT {bytes} FROM run WHERE id = ?"))
        .bind(id)
        .fetch_optional(hub.store.reader())
        .await?;
    let turn = turn_of(caller, 1, bytes.unwrap_or_default(), PAGE_BYTES).await?;
    answer(load(hub, id, columns).await?.into_wire(task), turn).await
}

/// The first bytes of a text, cut between characters.
fn truncate(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}
