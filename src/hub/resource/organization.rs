use std::sync::Arc;

use axum::{Json, Router, extract::State, http::StatusCode, response::Response, routing::get};
use garde::Validate;
use serde::Deserialize;
use serde_json::Value;
use sqlx::{FromRow, SqliteConnection};

use super::{Id, check_optional_trusted_name, check_trusted_name, is_taken, message, require_new_name, study, task};
use crate::{
    audit::append,
    hub::{
        HubError,
        audit::{self, changed},
        body::Body,
        listing::{Filters, ListQuery, Listing, SMALL_ROW, SMALL_ROWS},
        notice,
        permission::{Caller, CallerKind, Reach, Resource},
        server::{API_PATH, HubState},
    },
    protocol::{domain::Operation, name::plain_name, wire::v4::Organization},
};

pub fn routes() -> Router<Arc<HubState>> {
    Router::new()
        .route("/organization", get(list).post(create))
        .route("/organization/{id}", get(show).patch(edit).delete(remove))
}

#[derive(FromRow)]
pub struct Row {
    id: i64,
    name: String,
    domain: String,
    address1: String,
    address2: String,
    zipcode: String,
    country: String,
    public_key: String,
}

impl From<Row> for Organization {
    fn from(row: Row) -> Organization {
        let address = |resource: &str, parameter: &str| format!("{API_PATH}/{resource}?{parameter}={}", row.id);
        Organization {
            collaborations: address("collaboration", "organization_id"),
            nodes: address("node", "organization_id"),
            users: address("user", "organization_id"),
            tasks: address("task", "init_org_id"),
            runs: address("run", "organization_id"),
            studies: address("study", "organization_id"),
            id: row.id,
            name: row.name,
            domain: Some(row.domain),
            address1: Some(row.address1),
            address2: Some(row.address2),
            zipcode: Some(row.zipcode),
            country: Some(row.country),
            public_key: Some(row.public_key),
        }
    }
}

const LISTING: Listing = Listing {
    id: "organization.id",
    from: "organization",
    joined: "",
    columns: "*",
    sortable: &[("id", "organization.id"), ("name", "name"), ("country", "country"), ("domain", "domain")],
    newest_first: false,
    bytes: SMALL_ROWS,
    row_limit: SMALL_ROW,
};

async fn list(State(hub): State<Arc<HubState>>, caller: Caller, query: ListQuery) -> Result<Response, HubError> {
    let mut filters = Filters::default();
    let reach = caller.require(Resource::Organization, Operation::View)?;
    match reach {
        Reach::Everything => {}
        Reach::Collaboration => filters.among("organization.id", &caller.authority.organizations),
        _ => filters.integer("organization.id = ?", Some(caller.authority.organization_id)),
    }
    filters.like("name", query.text("name"))?;
    filters.text("country = ?", query.text("country"));
    let ids = query.integers("ids")?;
    if !ids.is_empty() {
        filters.among("organization.id", &ids);
    }
    if let Some(id) = query.integer("collaboration_id")? {
        if reach < Reach::Everything && !caller.is_in_collaboration(id) {
            return Err(HubError::NotAllowed);
        }
        filters.integer(
            "organization.id IN (SELECT organization_id FROM collaboration_organization WHERE collaboration_id = ?)",
            Some(id),
        );
    }
    if let Some(id) = query.integer("study_id")? {
        study::require_view(&hub, &caller, id).await?;
        filters.integer(
            "organization.id IN (SELECT organization_id FROM study_organization WHERE study_id = ?)",
            Some(id),
        );
    }
    LISTING.fetch::<Row>(hub.store.lists(), &caller, query, filters).await?.answer(Organization::from).await
}

async fn load(hub: &HubState, id: i64) -> Result<Organization, HubError> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM organization WHERE id = ?").bind(id).fetch_optional(hub.store.reader()).await?;
    row.map(Organization::from).ok_or_else(|| HubError::NotFound(format!("Organization id={id} not found!")))
}

async fn show(State(hub): State<Arc<HubState>>, caller: Caller, Id(id): Id) -> Result<Json<Organization>, HubError> {
    let organization = load(&hub, id).await?;
    if !caller.may_at_organization(Resource::Organization, Operation::View, id) {
        return Err(HubError::NotAllowed);
    }
    Ok(Json(organization))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct NewOrganization {
    #[garde(custom(check_trusted_name))]
    name: String,
    #[garde(length(chars, max = 128))]
    #[serde(default)]
    domain: String,
    #[garde(length(chars, max = 128))]
    #[serde(default)]
    address1: String,
    #[garde(length(chars, max = 128))]
    #[serde(default)]
    address2: String,
    #[garde(length(chars, max = 128))]
    #[serde(default)]
    zipcode: String,
    #[garde(length(chars, max = 128))]
    #[serde(default)]
    country: String,
    #[garde(length(max = 16384))]
    #[serde(default)]
    public_key: String,
}

async fn create(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(new): Body<NewOrganization>,
) -> Result<(StatusCode, Json<Organization>), HubError> {
    caller.require_user()?;
    if caller.reach(Resource::Organization, Operation::Create) != Some(Reach::Everything) {
        return Err(HubError::NotAllowed);
    }
    let mut change = hub.change(&caller).await?;
    require_free(&mut change, 0, &new.name).await?;
    let done = sqlx::query(
        "INSERT INTO organization (name, domain, address1, address2, zipcode, country, public_key)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&new.name)
    .bind(&new.domain)
    .bind(&new.address1)
    .bind(&new.address2)
    .bind(&new.zipcode)
    .bind(&new.country)
    .bind(&new.public_key)
    .execute(&mut *change)
    .await
    .map_err(|error| taken(error, &new.name))?;
    let id = done.last_insert_rowid();
    change.commit(&caller.did("organization.create", "organization", id).of(id)).await?;
    Ok((StatusCode::CREATED, Json(load(&hub, id).await?)))
}

/// No other organization has this name, nor one that differs only by capitals, spaces or signs: it would be taken for the
/// other in a policy or a review.
async fn require_free(connection: &mut SqliteConnection, id: i64, name: &str) -> Result<(), HubError> {
    let others: Vec<String> =
        sqlx::query_scalar("SELECT name FROM organization WHERE id <> ?").bind(id).fetch_all(connection).await?;
    let plain = plain_name(name);
    match others.iter().find(|other| plain_name(other) == plain) {
        Some(other) => Err(HubError::field("name", format!("Organization with name '{other}' already exists!"))),
        None => Ok(()),
    }
}

fn taken(error: sqlx::Error, name: &str) -> HubError {
    match is_taken(&error) {
        true => HubError::field("name", format!("Organization with name '{name}' already exists!")),
        false => error.into(),
    }
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct EditOrganization {
    #[garde(custom(check_optional_trusted_name))]
    #[serde(default)]
    name: Option<String>,
    #[garde(inner(length(chars, max = 128)))]
    #[serde(default)]
    domain: Option<String>,
    #[garde(inner(length(chars, max = 128)))]
    #[serde(default)]
    address1: Option<String>,
    #[garde(inner(length(chars, max = 128)))]
    #[serde(default)]
    address2: Option<String>,
    #[garde(inner(length(chars, max = 128)))]
    #[serde(default)]
    zipcode: Option<String>,
    #[garde(inner(length(chars, max = 128)))]
    #[serde(default)]
    country: Option<String>,
    #[garde(inner(length(max = 16384)))]
    #[serde(default)]
    public_key: Option<String>,
}

async fn edit(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    Body(edit): Body<EditOrganization>,
) -> Result<Json<Organization>, HubError> {
    if matches!(caller.kind, CallerKind::Container(_)) {
        return Err(HubError::WrongClient("users and nodes"));
    }
    let before = load(&hub, id).await?;
    if !caller.may_at_organization(Resource::Organization, Operation::Edit, id) {
        return Err(HubError::NotAllowed);
    }
    // Nodes let organizations in by their names.
    let new_name = edit.name.as_ref().filter(|name| **name != before.name);
    if new_name.is_some() {
        caller.require_user()?;
        if !caller.is_inside(Resource::Organization, Operation::Edit, id) {
            return Err(HubError::NotAllowed);
        }
    }
    if edit.public_key.is_some() && caller.authority.organization_id != id {
        return Err(HubError::Unauthenticated("Only members of an organization can update its public key!"));
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let details = audit::details([
        changed("name", &before.name, &edit.name),
        changed("domain", &text(&before.domain), &edit.domain),
        changed("address1", &text(&before.address1), &edit.address1),
        changed("address2", &text(&before.address2), &edit.address2),
        changed("zipcode", &text(&before.zipcode), &edit.zipcode),
        changed("country", &text(&before.country), &edit.country),
        changed("public key", &text(&before.public_key), &edit.public_key),
    ]);
    let mut change = hub.change(&caller).await?;
    if let Some(name) = new_name {
        require_free(&mut change, id, name).await?;
        require_new_name(&mut change, &caller, "organization", id, name, "name").await?;
        let others: Vec<i64> = sqlx::query_scalar(
            "SELECT DISTINCT other.organization_id FROM collaboration_organization AS own
             JOIN collaboration_organization AS other USING (collaboration_id) WHERE own.organization_id = ?",
        )
        .bind(id)
        .fetch_all(&mut *change)
        .await?;
        let what = format!(
            "The organization \"{}\" is called \"{name}\" now; look at the policies of your nodes.",
            before.name
        );
        for other in others {
            notice::tell_admins(&mut change, &hub, &caller, other, &what).await?;
        }
    }
    if details.is_empty() {
        // Nothing that the log would tell.
        return Ok(Json(before));
    }
    sqlx::query(
        "UPDATE organization SET name = coalesce(?, name), domain = coalesce(?, domain),
         address1 = coalesce(?, address1), address2 = coalesce(?, address2), zipcode = coalesce(?, zipcode),
         country = coalesce(?, country), public_key = coalesce(?, public_key) WHERE id = ?",
    )
    .bind(&edit.name)
    .bind(&edit.domain)
    .bind(&edit.address1)
    .bind(&edit.address2)
    .bind(&edit.zipcode)
    .bind(&edit.country)
    .bind(&edit.public_key)
    .bind(id)
    .execute(&mut *change)
    .await
    .map_err(|error| taken(error, edit.name.as_deref().unwrap_or_default()))?;
    change.commit(&caller.did("organization.edit", "organization", id).details(details).of(id)).await?;
    hub.jobs.wake();
    Ok(Json(load(&hub, id).await?))
}

/// What is deleted with an organization has entries of its own, as what belongs to something else has: nodes, and for those
/// who asked what it had computed for them.
async fn note_what_goes_along(connection: &mut SqliteConnection, caller: &Caller, id: i64) -> Result<(), HubError> {
    let nodes: Vec<i64> = sqlx::query_scalar("SELECT id FROM node WHERE organization_id = ?")
        .bind(id)
        .fetch_all(&mut *connection)
        .await?;
    for node in nodes {
        append(&mut *connection, &caller.did("node.delete", "node", node).of(id)).await?;
    }
    let asked: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT init_organization_id, COUNT(DISTINCT task.id) FROM task JOIN run ON task_id = task.id
         WHERE run.organization_id = ?1 AND init_organization_id <> ?1 GROUP BY init_organization_id",
    )
    .bind(id)
    .fetch_all(&mut *connection)
    .await?;
    for (organization_id, tasks) in asked {
        let entry = caller.did("organization.delete", "organization", id).of(organization_id);
        append(&mut *connection, &entry.details(format!("with its runs in {tasks} tasks"))).await?;
    }
    Ok(())
}

async fn remove(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    query: ListQuery,
) -> Result<Json<Value>, HubError> {
    caller.require_user()?;
    if caller.reach(Resource::Organization, Operation::Delete) != Some(Reach::Everything) {
        return Err(HubError::NotAllowed);
    }
    load(&hub, id).await?;
    if caller.authority.organization_id == id {
        return Err(HubError::bad("You cannot delete your own organization!"));
    }
    let with_dependents = query.flag("delete_dependents")?.unwrap_or(false);
    let mut change = hub.change(&caller).await?;
    let (runs, tasks, nodes, users, roles): (i64, i64, i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT COUNT(*) FROM run WHERE organization_id = ?1),
                (SELECT COUNT(*) FROM task WHERE init_organization_id = ?1),
                (SELECT COUNT(*) FROM node WHERE organization_id = ?1),
                (SELECT COUNT(*) FROM user WHERE organization_id = ?1),
                (SELECT COUNT(*) FROM role WHERE organization_id = ?1)",
    )
    .bind(id)
    .fetch_one(&mut *change)
    .await?;
    if runs + tasks + nodes + users + roles > 0 && !with_dependents {
        return Err(HubError::bad(format!(
            "Organization has dependents: {runs} runs, {tasks} tasks, {nodes} nodes, {users} users, and {roles} roles. \
             Please specify 'delete_dependents=true' to delete them."
        )));
    }
    let users: Vec<(i64, String)> =
        sqlx::query_as("SELECT id, email FROM user WHERE organization_id = ?").bind(id).fetch_all(&mut *change).await?;
    for (user_id, email) in users {
        append(&mut change, &caller.did("user.delete", "user", user_id).of(id)).await?;
        let what = "An administrator has deleted your organization, and with it your account and its nodes.";
        notice::tell_user(&mut change, &hub, user_id, &[&email], what).await?;
    }
    note_what_goes_along(&mut change, &caller, id).await?;
    task::hand_on_subtasks(&mut change, id).await?;
    let tasks = task::delete_where(&mut change, &caller, "init_organization_id = ?", id).await?;
    let runs = task::delete_runs_of(&mut change, id).await?;
    for statement in [
        "DELETE FROM node WHERE organization_id = ?",
        "DELETE FROM user WHERE organization_id = ?",
        "DELETE FROM role WHERE organization_id = ?",
        "DELETE FROM study_organization WHERE organization_id = ?",
        "DELETE FROM collaboration_organization WHERE organization_id = ?",
        "DELETE FROM organization WHERE id = ?",
    ] {
        sqlx::query(statement).bind(id).execute(&mut *change).await?;
    }
    change.commit(&caller.did("organization.delete", "organization", id).of(id)).await?;
    hub.jobs.wake();
    hub.store.forget_authorities();
    tasks.tell(&hub).await;
    runs.tell(&hub).await;
    Ok(message(format!("Organization id={id} was removed from the database")))
}
