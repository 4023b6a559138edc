use std::{collections::HashSet, sync::Arc};

use axum::{Json, extract::State, http::StatusCode};
use base64::{Engine, engine::general_purpose::STANDARD};
use garde::Validate;
use serde::Deserialize;
use serde_json::Value;
use sqlx::SqliteConnection;

use super::{COLUMNS, Row, load, parameters_of};
use crate::{
    hub::{
        HubError,
        body::Body,
        listing::comma_separated,
        permission::{Caller, CallerKind, Reach, Resource},
        resource::{algorithm_store, check_optional_name, check_optional_text},
        server::HubState,
        token::ContainerSubject,
    },
    protocol::{
        domain::Operation,
        event,
        status::Status,
        timestamp,
        wire::v4::{NewTaskOrganization, Task},
    },
};

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct NewTask {
    #[garde(custom(check_optional_name))]
    #[serde(default)]
    name: Option<String>,
    #[garde(custom(check_optional_text))]
    #[serde(default)]
    description: Option<String>,
    #[garde(length(chars, min = 1, max = 1024), custom(check_image))]
    image: String,
    #[garde(inner(range(min = 1)))]
    #[serde(default)]
    collaboration_id: Option<i64>,
    #[garde(inner(range(min = 1)))]
    #[serde(default)]
    study_id: Option<i64>,
    #[garde(inner(range(min = 1)))]
    #[serde(default)]
    store_id: Option<i64>,
    /// Where the client believes this server to be; of no use here.
    #[garde(skip)]
    #[serde(default, rename = "server_url")]
    _server_url: Option<String>,
    #[garde(custom(check_organizations))]
    organizations: Vec<NewTaskOrganization>,
    #[garde(custom(check_databases))]
    #[serde(default)]
    databases: Option<Vec<Value>>,
}

/// An image is handed to a container engine by nodes: no blanks, no control characters, no leading dash.
fn check_image(image: &str, _: &()) -> garde::Result {
    let valid = |character: char| character.is_ascii_alphanumeric() || "./:@_-".contains(character);
    if image.starts_with('-') || !image.chars().all(valid) {
        return Err(garde::Error::new("Not a valid image name"));
    }
    Ok(())
}

fn check_organizations(organizations: &[NewTaskOrganization], _: &()) -> garde::Result {
    let ids: HashSet<i64> = organizations.iter().map(|organization| organization.id).collect();
    match organizations {
        [] => Err(garde::Error::new("At least one organization is required")),
        organizations if ids.len() < organizations.len() => {
            Err(garde::Error::new("Every organization can be given only once"))
        }
        _ => Ok(()),
    }
}

const DATABASE_KEYS: [&str; 5] = ["label", "arguments", "preprocessing", "query", "sheet_name"];

fn check_databases(databases: &Option<Vec<Value>>, _: &()) -> garde::Result {
    for database in databases.iter().flatten() {
        let label = database.get("label").and_then(Value::as_str).unwrap_or_default();
        if label.trim().is_empty() {
            return Err(garde::Error::new("Database label is required for each database"));
        }
        let unknown = database.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        if let Some(key) = unknown.into_iter().find(|key| !DATABASE_KEYS.contains(key)) {
            return Err(garde::Error::new(format!(
                "Database has the unknown key '{key}'. Allowed keys are {}.",
                DATABASE_KEYS.join(", ")
            )));
        }
    }
    Ok(())
}

/// Where a new task belongs: follows from who asks.
struct Origin {
    collaboration_id: i64,
    study_id: Option<i64>,
    image: String,
    store_id: Option<i64>,
    init_organization_id: i64,
    init_user_id: Option<i64>,
    /// Parent and job, for subtasks.
    parent: Option<(i64, i64)>,
}

/// `POST /task`
pub async fn create(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(new): Body<NewTask>,
) -> Result<(StatusCode, Json<Task>), HubError> {
    let origin = match &caller.kind {
        CallerKind::User { id } => of_user(&hub, &caller, *id, &new).await?,
        CallerKind::Container(subject) => of_container(&hub, subject, &new).await?,
        CallerKind::Node { .. } => return Err(HubError::WrongClient("users and containers")),
    };
    check_places(&hub, &caller, &origin, &new).await?;
    check_inputs(&hub, &origin, &new).await?;
    let mut transaction = hub.store.writer().begin().await?;
    let id = insert(&mut transaction, &origin, &new).await?;
    let row: Row = sqlx::query_as(&format!("SELECT {COLUMNS} FROM task WHERE id = ?"))
        .bind(id)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    let event = event::NewTask { id, parent_id: row.parent_id };
    hub.events.to_collaboration(row.collaboration_id, "new_task", &event).await;
    Ok((StatusCode::CREATED, Json(row.into())))
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
    match caller.require(Resource::Task, Operation::Create)? {
        // Also for Root: who asks must belong to one of the organizations that agreed to compute together.
        Reach::Everything | Reach::Collaboration if caller.is_in_collaboration(collaboration_id) => {}
        _ => {
            return Err(HubError::Unauthenticated(
                "You can only create tasks for collaborations you are participating in!",
            ));
        }
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
    const INVALID: HubError = HubError::Unauthenticated("Container-token is not valid");
    let parent = load(hub, subject.task_id).await?;
    let elsewhere = new.collaboration_id.is_some_and(|id| id != subject.collaboration_id);
    // The whole image, where the original compares only the end of the name.
    let other_image = new.image != subject.image || parent.image != subject.image;
    let ended = Status::from(parent.status.as_str()).is_final();
    if elsewhere || other_image || ended || parent.collaboration_id != subject.collaboration_id {
        return Err(INVALID);
    }
    Ok(Origin {
        collaboration_id: subject.collaboration_id,
        study_id: new.study_id.filter(|id| Some(*id) == parent.study_id),
        image: parent.image,
        store_id: parent.store_id,
        init_organization_id: subject.organization_id,
        init_user_id: parent.init_user_id,
        parent: Some((parent.id, parent.job_id)),
    })
}

/// The organizations must belong to the collaboration (and study), have a node, and that node must not refuse
/// whoever asks.
async fn check_places(hub: &HubState, caller: &Caller, origin: &Origin, new: &NewTask) -> Result<(), HubError> {
    let ids: Vec<i64> = new.organizations.iter().map(|organization| organization.id).collect();
    let list = comma_separated(&ids);
    let members: i64 = sqlx::query_scalar(&format!(
        "SELECT COUNT(*) FROM collaboration_organization WHERE collaboration_id = ? AND organization_id IN ({list})"
    ))
    .bind(origin.collaboration_id)
    .fetch_one(hub.store.reader())
    .await?;
    if members < ids.len() as i64 {
        return Err(HubError::field(
            "organizations",
            "At least one of the supplied organizations in not within the collaboration.",
        ));
    }
    if let Some(study_id) = origin.study_id {
        let members: i64 = sqlx::query_scalar(&format!(
            "SELECT COUNT(*) FROM study_organization WHERE study_id = ? AND organization_id IN ({list})"
        ))
        .bind(study_id)
        .fetch_one(hub.store.reader())
        .await?;
        if members < ids.len() as i64 {
            return Err(HubError::field(
                "organizations",
                "At least one of the supplied organizations in not within the specified study.",
            ));
        }
    }
    let nodes: Vec<(i64, i64)> = sqlx::query_as(&format!(
        "SELECT id, organization_id FROM node WHERE collaboration_id = ? AND organization_id IN ({list})"
    ))
    .bind(origin.collaboration_id)
    .fetch_all(hub.store.reader())
    .await?;
    let missing: Vec<String> =
        ids.iter().filter(|id| !nodes.iter().any(|(_, owner)| owner == *id)).map(i64::to_string).collect();
    if !missing.is_empty() {
        return Err(HubError::field(
            "organizations",
            format!(
                "Cannot create this task because there are no nodes registered for the following organization(s): {}.",
                missing.join(", ")
            ),
        ));
    }
    if let Some(user_id) = caller.user_id() {
        check_node_policies(hub, caller, user_id, &nodes).await?;
    }
    Ok(())
}

/// Nodes share whom they allow; one match among users or organizations suffices. The node itself decides again.
async fn check_node_policies(
    hub: &HubState,
    caller: &Caller,
    user_id: i64,
    nodes: &[(i64, i64)],
) -> Result<(), HubError> {
    let node_ids: Vec<i64> = nodes.iter().map(|(id, _)| *id).collect();
    let allowed: Vec<(i64, String, String)> = sqlx::query_as(&format!(
        "SELECT node_id, key, value FROM node_config
         WHERE key IN ('allowed_users', 'allowed_orgs') AND node_id IN ({})",
        comma_separated(&node_ids)
    ))
    .fetch_all(hub.store.reader())
    .await?;
    if allowed.is_empty() {
        return Ok(());
    }
    let (username, organization): (String, String) = sqlx::query_as(
        "SELECT username, organization.name FROM user JOIN organization ON organization.id = organization_id
         WHERE user.id = ?",
    )
    .bind(user_id)
    .fetch_one(hub.store.reader())
    .await?;
    let user = [user_id.to_string(), username];
    let organization = [caller.authority.organization_id.to_string(), organization];
    for node_id in node_ids {
        let mut entries = allowed.iter().filter(|(id, ..)| *id == node_id).peekable();
        let matches = |(_, key, value): &(i64, String, String)| match key.as_str() {
            "allowed_users" => user.contains(value),
            _ => organization.contains(value),
        };
        if entries.peek().is_some() && !entries.any(matches) {
            return Err(HubError::field(
                "organizations",
                "Cannot create this task because one of the nodes that you are trying to send this task to does not \
                 allow you to create tasks.",
            ));
        }
    }
    Ok(())
}

/// In an encrypted collaboration nothing readable is accepted, in another one nothing unreadable (CVE-2024-22193).
async fn check_inputs(hub: &HubState, origin: &Origin, new: &NewTask) -> Result<(), HubError> {
    let encrypted: bool = sqlx::query_scalar("SELECT encrypted FROM collaboration WHERE id = ?")
        .bind(origin.collaboration_id)
        .fetch_one(hub.store.reader())
        .await?;
    for (index, organization) in new.organizations.iter().enumerate() {
        let field = format!("organizations[{index}].input");
        let readable = STANDARD
            .decode(organization.input.trim())
            .ok()
            .is_some_and(|bytes| !bytes.is_empty() && std::str::from_utf8(&bytes).is_ok());
        if encrypted && readable {
            return Err(HubError::field(
                field,
                "Your collaboration requires encryption, but input is not encrypted! Please encrypt your input before \
                 sending it.",
            ));
        }
        if !encrypted && !readable {
            return Err(HubError::field(
                field,
                "Your task's input cannot be parsed. Your input should be a base64 encoded JSON string, and not \
                 encrypted, as your collaboration is set to not use encryption.",
            ));
        }
    }
    Ok(())
}

async fn insert(connection: &mut SqliteConnection, origin: &Origin, new: &NewTask) -> Result<i64, HubError> {
    let now = timestamp::now();
    let job_id: i64 = match origin.parent {
        Some((_, job_id)) => job_id,
        None => sqlx::query_scalar("SELECT coalesce(max(job_id), 0) + 1 FROM task").fetch_one(&mut *connection).await?,
    };
    let id = sqlx::query(
        "INSERT INTO task (name, description, image, job_id, status, created_at, collaboration_id, study_id,
         parent_id, init_organization_id, init_user_id, store_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
    .execute(&mut *connection)
    .await?
    .last_insert_rowid();
    for (position, database) in new.databases.iter().flatten().enumerate() {
        sqlx::query("INSERT INTO task_database (task_id, position, label, parameters) VALUES (?, ?, ?, ?)")
            .bind(id)
            .bind(position as i64)
            .bind(database.get("label").and_then(Value::as_str).unwrap_or_default())
            .bind(parameters_of(database))
            .execute(&mut *connection)
            .await?;
    }
    for organization in &new.organizations {
        sqlx::query("INSERT INTO run (task_id, organization_id, status, input, assigned_at) VALUES (?, ?, ?, ?, ?)")
            .bind(id)
            .bind(organization.id)
            .bind(Status::Pending.as_str())
            .bind(&organization.input)
            .bind(&now)
            .execute(&mut *connection)
            .await?;
    }
    Ok(id)
}
