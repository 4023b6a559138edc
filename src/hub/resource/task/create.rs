use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde_json::Value;
use sqlx::SqliteConnection;

use super::{
    COLUMNS, Row,
    check::{check_inputs, check_places},
    load,
    new_task::NewTask,
    parameters_of,
};
use crate::{
    hub::{
        HubError,
        authentication::caller_of_kind,
        body::LargeBody,
        permission::{Caller, CallerKind, Reach, Resource},
        resource::algorithm_store,
        server::HubState,
        token::ContainerSubject,
    },
    protocol::{domain::Operation, event, status::Status, timestamp, wire::v4::Task},
};

/// Where a new task belongs: follows from who asks.
pub struct Origin {
    pub collaboration_id: i64,
    pub study_id: Option<i64>,
    pub image: String,
    pub store_id: Option<i64>,
    pub init_organization_id: i64,
    pub init_user_id: Option<i64>,
    /// Parent and job, for subtasks.
    pub parent: Option<(i64, i64)>,
}

/// `POST /task`
pub async fn create(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    // Kept until the task is stored: no other large body is in memory meanwhile.
    LargeBody { body: new, turn: _turn }: LargeBody<NewTask>,
) -> Result<(StatusCode, Json<Task>), HubError> {
    create_checked(hub, caller, new).await
}

/// Creates a task whose fields are as they have to be.
pub async fn create_checked(
    hub: Arc<HubState>,
    caller: Caller,
    new: NewTask,
) -> Result<(StatusCode, Json<Task>), HubError> {
    let origin = match &caller.kind {
        CallerKind::User { id } => of_user(&hub, &caller, *id, &new).await?,
        CallerKind::Container(subject) => of_container(&hub, subject, &new).await?,
        CallerKind::Node { .. } => return Err(HubError::WrongClient("users and containers")),
    };
    check_places(&hub, &caller, &origin, &new).await?;
    let is_of_version3 = check_inputs(&hub, &origin, &new).await?;
    let mut change = hub.change(&caller).await?;
    if let Some((parent_id, _)) = origin.parent {
        check_parent(&mut change, parent_id, origin.init_organization_id).await?;
        check_beginner(&hub, origin.init_user_id, origin.collaboration_id).await?;
    }
    let id = insert(&mut change, &origin, new, is_of_version3).await?;
    let row: Row =
        sqlx::query_as(&format!("SELECT {COLUMNS} FROM task WHERE id = ?")).bind(id).fetch_one(&mut *change).await?;
    change.commit(&caller.did("task.create", "task", id)).await?;
    let event = event::NewTask { id, parent_id: row.parent_id };
    hub.events.to_collaboration(row.collaboration_id, "new_task", &event).await;
    Ok((StatusCode::CREATED, Json(row.into())))
}

const INVALID: HubError = HubError::Unauthenticated("Container-token is not valid");

/// The most subtasks of a task.
const SUBTASKS: i64 = 10_000;

/// Once more, where nothing can come between: a task that was stopped or deleted meanwhile gets no subtask.
async fn check_parent(connection: &mut SqliteConnection, id: i64, organization_id: i64) -> Result<(), HubError> {
    let open: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM run WHERE task_id = ? AND organization_id = ? AND finished_at IS NULL",
    )
    .bind(id)
    .bind(organization_id)
    .fetch_one(&mut *connection)
    .await?;
    let subtasks: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM task WHERE parent_id = ?").bind(id).fetch_one(connection).await?;
    match open {
        0 => Err(INVALID),
        _ if subtasks >= SUBTASKS => Err(HubError::bad(format!("A task has {SUBTASKS} subtasks at most."))),
        _ => Ok(()),
    }
}

/// Whether somebody may begin tasks in a collaboration. Also Root only there: who asks must belong to one of the
/// organizations that agreed to compute together.
fn may_begin(caller: &Caller, collaboration_id: i64) -> bool {
    matches!(caller.reach(Resource::Task, Operation::Create), Some(Reach::Everything | Reach::Collaboration))
        && caller.is_in_collaboration(collaboration_id)
}

/// An error if who began a task may not begin it any more: nobody lends their name any longer than that.
async fn check_beginner(hub: &HubState, user_id: Option<i64>, collaboration_id: i64) -> Result<(), HubError> {
    let Some(id) = user_id else { return Ok(()) };
    let beginner = caller_of_kind(hub, CallerKind::User { id }).await.map_err(|_| INVALID)?;
    if may_begin(&beginner, collaboration_id) { Ok(()) } else { Err(INVALID) }
}

async fn of_user(hub: &HubState, caller: &Caller, user_id: i64, new: &NewTask) -> Result<Origin, HubError> {
    let study: Option<(i64, i64)> = match new.study_id {
        Some(id) => sqlx::query_as("SELECT id, collaboration_id FROM study WHERE id = ?")
            .bind(id)
            .fetch_optional(hub.store.reader())
            .await?
            .map(Some)
            .ok_or_else(|| HubError::NotFound(format!("Study with id={id} not found")))?,
        None => None,
    };
    let collaboration_id = match (new.collaboration_id, study) {
        (Some(given), Some((id, of_study))) if given != of_study => {
            return Err(HubError::field(
                "study_id",
                format!("The study_id '{id}' does not belong to the collaboration_id '{given}' that is given."),
            ));
        }
        (Some(given), _) => given,
        (None, Some((_, of_study))) => of_study,
        (None, None) => return Err(HubError::field("_schema", "Collaboration_id or study_id is required")),
    };
    let known: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM collaboration WHERE id = ?")
        .bind(collaboration_id)
        .fetch_one(hub.store.reader())
        .await?;
    if known == 0 {
        return Err(HubError::NotFound(format!("Collaboration id={collaboration_id} not found!")));
    }
    caller.require(Resource::Task, Operation::Create)?;
    if !may_begin(caller, collaboration_id) {
        return Err(HubError::Unauthenticated(
            "You can only create tasks for collaborations you are participating in!",
        ));
    }
    let image = match new.store_id {
        Some(store_id) => algorithm_store::image_in_store(hub, store_id, &new.image)?,
        None => new.image.clone(),
    };
    Ok(Origin {
        collaboration_id,
        study_id: new.study_id,
        image,
        store_id: new.store_id,
        init_organization_id: caller.authority.organization_id,
        init_user_id: Some(user_id),
        parent: None,
    })
}

async fn of_container(hub: &HubState, subject: &ContainerSubject, new: &NewTask) -> Result<Origin, HubError> {
    let parent = load(hub, subject.task_id).await?;
    let elsewhere = new.collaboration_id.is_some_and(|id| id != subject.collaboration_id);
    // The whole image, where the original compares only the end of the name.
    let other_image = new.image != subject.image || parent.image != subject.image;
    let ended = Status::from(parent.status.as_str()).is_final();
    let other_study = new.study_id.is_some_and(|id| Some(id) != parent.study_id);
    if elsewhere || other_study || other_image || ended || parent.collaboration_id != subject.collaboration_id {
        return Err(INVALID);
    }
    check_beginner(hub, parent.init_user_id, parent.collaboration_id).await?;
    Ok(Origin {
        collaboration_id: subject.collaboration_id,
        study_id: parent.study_id,
        image: parent.image,
        store_id: parent.store_id,
        init_organization_id: subject.organization_id,
        init_user_id: parent.init_user_id,
        parent: Some((parent.id, parent.job_id)),
    })
}

async fn insert(
    connection: &mut SqliteConnection,
    origin: &Origin,
    new: NewTask,
    is_of_version3: bool,
) -> Result<i64, HubError> {
    let now = timestamp::now();
    let job_id: i64 = match origin.parent {
        Some((_, job_id)) => job_id,
        None => sqlx::query_scalar("SELECT coalesce(max(job_id), 0) + 1 FROM task").fetch_one(&mut *connection).await?,
    };
    let id = sqlx::query(
        "INSERT INTO task (name, description, image, job_id, status, created_at, collaboration_id, study_id,
         parent_id, init_organization_id, init_user_id, store_id, is_of_version3)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(new.name.as_deref().unwrap_or_default())
    .bind(new.description.as_deref().unwrap_or_default())
    .bind(&origin.image)
    .bind(job_id)
    .bind(Status::Pending.as_str())
    .bind(&now)
    .bind(origin.collaboration_id)
    .bind(origin.study_id)
    .bind(origin.parent.map(|(id, _)| id))
    .bind(origin.init_organization_id)
    .bind(origin.init_user_id)
    .bind(origin.store_id)
    .bind(is_of_version3)
    .execute(&mut *connection)
    .await?
    .last_insert_rowid();
    for (position, database) in new.databases().iter().enumerate() {
        sqlx::query("INSERT INTO task_database (task_id, position, label, parameters) VALUES (?, ?, ?, ?)")
            .bind(id)
            .bind(position as i64)
            .bind(database.get("label").and_then(Value::as_str).unwrap_or_default())
            .bind(parameters_of(database))
            .execute(&mut *connection)
            .await?;
    }
    for organization in new.organizations {
        let run = sqlx::query("INSERT INTO run (task_id, organization_id, status, assigned_at) VALUES (?, ?, ?, ?)")
            .bind(id)
            .bind(organization.id)
            .bind(Status::Pending.as_str())
            .bind(&now)
            .execute(&mut *connection)
            .await?;
        sqlx::query("INSERT INTO run_input (run_id, text) VALUES (?, ?)")
            // Statements that are kept keep what was bound to them and read with them, too.
            .persistent(false)
            .bind(run.last_insert_rowid())
            // Moved: it can be large, and is not in memory more often than it has to be.
            .bind(organization.input)
            .execute(&mut *connection)
            .await?;
    }
    Ok(id)
}
