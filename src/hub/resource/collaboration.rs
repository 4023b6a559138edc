use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use garde::Validate;
use serde::Deserialize;
use serde_json::Value;
use sqlx::{FromRow, SqliteConnection};

use super::{Id, check_name, check_optional_name, is_taken, message, organization};
use crate::{
    hub::{
        HubError,
        body::Body,
        listing::{Filters, ListQuery, Listing, comma_separated},
        permission::{Caller, CallerKind, Reach, Resource},
        server::{API_PATH, HubState},
    },
    protocol::{
        domain::Operation,
        wire::v4::{Collaboration, Included, Node, Organization},
    },
};

pub fn routes() -> Router<Arc<HubState>> {
    Router::new()
        .route("/collaboration", get(list).post(create))
        .route("/collaboration/{id}", get(show).patch(edit).delete(remove))
        .route("/collaboration/{id}/organization", post(add_organization).delete(remove_organization))
        .route("/collaboration/{id}/node", post(add_node).delete(remove_node))
}

#[derive(FromRow)]
struct Row {
    id: i64,
    name: String,
    encrypted: bool,
}

impl Row {
    fn into_wire(self, organizations: Option<Vec<Organization>>) -> Collaboration {
        let address = |resource: &str| format!("{API_PATH}/{resource}?collaboration_id={}", self.id);
        Collaboration {
            organizations: match organizations {
                Some(organizations) => Included::Items(organizations),
                None => Included::Address(address("organization")),
            },
            nodes: address("node"),
            tasks: address("task"),
            algorithm_stores: address("algorithmstore"),
            studies: address("study"),
            id: self.id,
            name: self.name,
            encrypted: self.encrypted,
        }
    }
}

const LISTING: Listing = Listing {
    from: "collaboration",
    columns: "*",
    sortable: &[("id", "collaboration.id"), ("name", "name"), ("encrypted", "encrypted")],
    newest_first: false,
};

/// The organizations of these collaborations or studies, by collaboration or study.
pub async fn members_of(
    hub: &HubState,
    owner: &'static str,
    ids: &[i64],
) -> Result<BTreeMap<i64, Vec<Organization>>, HubError> {
    #[derive(FromRow)]
    struct Member {
        owner_id: i64,
        #[sqlx(flatten)]
        organization: organization::Row,
    }
    let members: Vec<Member> = sqlx::query_as(&format!(
        "SELECT {owner}_id AS owner_id, organization.* FROM {owner}_organization
         JOIN organization ON organization.id = organization_id
         WHERE {owner}_id IN ({}) ORDER BY organization.id",
        comma_separated(ids)
    ))
    .fetch_all(hub.store.reader())
    .await?;
    let mut by_owner: BTreeMap<i64, Vec<Organization>> = BTreeMap::new();
    for member in members {
        by_owner.entry(member.owner_id).or_default().push(member.organization.into());
    }
    Ok(by_owner)
}

async fn list(State(hub): State<Arc<HubState>>, caller: Caller, query: ListQuery) -> Result<Response, HubError> {
    let mut filters = Filters::default();
    let reach = caller.require(Resource::Collaboration, Operation::View)?;
    if reach < Reach::Everything {
        filters.among("collaboration.id", &caller.authority.collaborations);
    }
    filters.like("name", query.text("name"));
    filters.integer("encrypted = ?", query.flag("encrypted")?.map(i64::from));
    if let Some(id) = query.integer("organization_id")? {
        if reach < Reach::Everything && id != caller.authority.organization_id {
            return Err(HubError::NotAllowed);
        }
        filters.integer(
            "collaboration.id IN
             (SELECT collaboration_id FROM collaboration_organization WHERE organization_id = ?)",
            Some(id),
        );
    }
    let with_organizations = query.includes("organizations");
    let rows = LISTING.fetch::<Row>(hub.store.reader(), query, filters).await?;
    let ids: Vec<i64> = rows.rows.iter().map(|row| row.id).collect();
    let mut members = if with_organizations { members_of(&hub, "collaboration", &ids).await? } else { BTreeMap::new() };
    Ok(rows.answer(|row| {
        let organizations = with_organizations.then(|| members.remove(&row.id).unwrap_or_default());
        row.into_wire(organizations)
    }))
}

async fn load(hub: &HubState, id: i64) -> Result<Row, HubError> {
    let row =
        sqlx::query_as("SELECT * FROM collaboration WHERE id = ?").bind(id).fetch_optional(hub.store.writer()).await?;
    row.ok_or_else(|| HubError::NotFound(format!("collaboration having id={id} not found")))
}

async fn show(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    query: ListQuery,
) -> Result<Json<Collaboration>, HubError> {
    let row = load(&hub, id).await?;
    if caller.require(Resource::Collaboration, Operation::View)? < Reach::Everything && !caller.is_in_collaboration(id)
    {
        return Err(HubError::NotAllowed);
    }
    let organizations = match query.includes("organizations") {
        true => Some(members_of(&hub, "collaboration", &[id]).await?.remove(&id).unwrap_or_default()),
        false => None,
    };
    Ok(Json(row.into_wire(organizations)))
}

/// Lists of organization ids: at least one, none twice.
pub fn check_organization_ids(ids: &[i64], _: &()) -> garde::Result {
    match ids {
        [] => Err(garde::Error::new("At least one organization id is required")),
        ids if ids.iter().any(|id| *id < 1) => Err(garde::Error::new("Organization ids must be greater than 0")),
        ids if ids.iter().collect::<HashSet<_>>().len() < ids.len() => {
            Err(garde::Error::new("Organization ids must be unique"))
        }
        _ => Ok(()),
    }
}

/// As [`check_organization_ids`], where the list may be left out.
pub fn check_optional_organization_ids(ids: &Option<Vec<i64>>, context: &()) -> garde::Result {
    ids.as_deref().map_or(Ok(()), |ids| check_organization_ids(ids, context))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct NewCollaboration {
    #[garde(custom(check_name))]
    name: String,
    #[garde(custom(|ids: &Vec<i64>, context: &()| check_organization_ids(ids, context)))]
    organization_ids: Vec<i64>,
    #[garde(skip)]
    encrypted: bool,
}

async fn create(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(new): Body<NewCollaboration>,
) -> Result<Json<Collaboration>, HubError> {
    caller.require_user()?;
    if caller.reach(Resource::Collaboration, Operation::Create) != Some(Reach::Everything) {
        return Err(HubError::NotAllowed);
    }
    let mut transaction = hub.store.writer().begin().await?;
    let id = sqlx::query("INSERT INTO collaboration (name, encrypted) VALUES (?, ?)")
        .bind(&new.name)
        .bind(new.encrypted)
        .execute(&mut *transaction)
        .await
        .map_err(|error| taken(error, &new.name))?
        .last_insert_rowid();
    set_organizations(&mut transaction, id, &new.organization_ids).await?;
    transaction.commit().await?;
    hub.store.forget_authorities();
    // 200, not 201, as in the original
    Ok(Json(load(&hub, id).await?.into_wire(None)))
}

fn taken(error: sqlx::Error, name: &str) -> HubError {
    match is_taken(&error) {
        true => HubError::field("name", format!("Collaboration name '{name}' already exists!")),
        false => error.into(),
    }
}

/// Replaces the organizations of a collaboration. Unknown ids are told, not dropped.
async fn set_organizations(connection: &mut SqliteConnection, id: i64, organizations: &[i64]) -> Result<(), HubError> {
    sqlx::query("DELETE FROM collaboration_organization WHERE collaboration_id = ?")
        .bind(id)
        .execute(&mut *connection)
        .await?;
    for organization_id in organizations {
        insert_organization(&mut *connection, id, *organization_id).await?;
    }
    Ok(())
}

async fn insert_organization(connection: &mut SqliteConnection, id: i64, organization_id: i64) -> Result<(), HubError> {
    let known: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM organization WHERE id = ?")
        .bind(organization_id)
        .fetch_one(&mut *connection)
        .await?;
    if known == 0 {
        return Err(HubError::NotFound(format!("organization with id={organization_id} is not found")));
    }
    sqlx::query("INSERT OR IGNORE INTO collaboration_organization (collaboration_id, organization_id) VALUES (?, ?)")
        .bind(id)
        .bind(organization_id)
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// The collaboration, if the caller may do this to it.
async fn load_to_change(hub: &HubState, caller: &Caller, id: i64, operation: Operation) -> Result<Row, HubError> {
    caller.require_user()?;
    let row = load(hub, id).await?;
    match caller.require(Resource::Collaboration, operation)? {
        Reach::Everything => Ok(row),
        Reach::Collaboration if caller.is_in_collaboration(id) => Ok(row),
        _ => Err(HubError::NotAllowed),
    }
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct EditCollaboration {
    #[garde(custom(check_optional_name))]
    #[serde(default)]
    name: Option<String>,
    #[garde(custom(check_optional_organization_ids))]
    #[serde(default)]
    organization_ids: Option<Vec<i64>>,
    #[garde(skip)]
    #[serde(default)]
    encrypted: Option<bool>,
}

async fn edit(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    Body(edit): Body<EditCollaboration>,
) -> Result<Json<Collaboration>, HubError> {
    load_to_change(&hub, &caller, id, Operation::Edit).await?;
    if edit.organization_ids.is_some()
        && caller.reach(Resource::Collaboration, Operation::Edit) != Some(Reach::Everything)
    {
        return Err(HubError::Unauthenticated(
            "You lack the permission to change the organizations of a collaboration!",
        ));
    }
    let mut transaction = hub.store.writer().begin().await?;
    sqlx::query("UPDATE collaboration SET name = coalesce(?, name), encrypted = coalesce(?, encrypted) WHERE id = ?")
        .bind(&edit.name)
        .bind(edit.encrypted)
        .bind(id)
        .execute(&mut *transaction)
        .await
        .map_err(|error| taken(error, edit.name.as_deref().unwrap_or_default()))?;
    if let Some(organizations) = &edit.organization_ids {
        set_organizations(&mut transaction, id, organizations).await?;
    }
    transaction.commit().await?;
    hub.store.forget_authorities();
    Ok(Json(load(&hub, id).await?.into_wire(None)))
}

async fn remove(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    query: ListQuery,
) -> Result<Json<Value>, HubError> {
    load_to_change(&hub, &caller, id, Operation::Delete).await?;
    let with_dependents = query.flag("delete_dependents")?.unwrap_or(false);
    let mut transaction = hub.store.writer().begin().await?;
    let (tasks, nodes, studies): (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT COUNT(*) FROM task WHERE collaboration_id = ?1),
                (SELECT COUNT(*) FROM node WHERE collaboration_id = ?1),
                (SELECT COUNT(*) FROM study WHERE collaboration_id = ?1)",
    )
    .bind(id)
    .fetch_one(&mut *transaction)
    .await?;
    if tasks + nodes + studies > 0 && !with_dependents {
        return Err(HubError::bad(format!(
            "Collaboration id={id} has {tasks} tasks, {nodes} nodes and {studies} studies. Please delete them \
             separately or set delete_dependents=True"
        )));
    }
    sqlx::query("DELETE FROM collaboration WHERE id = ?").bind(id).execute(&mut *transaction).await?;
    transaction.commit().await?;
    hub.store.forget_authorities();
    Ok(message(format!("Collaboration id={id} successfully deleted")))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct ById {
    #[garde(range(min = 1))]
    pub id: i64,
}

async fn members(hub: &HubState, id: i64) -> Result<Vec<Organization>, HubError> {
    Ok(members_of(hub, "collaboration", &[id]).await?.remove(&id).unwrap_or_default())
}

async fn add_organization(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    Body(member): Body<ById>,
) -> Result<Json<Vec<Organization>>, HubError> {
    load_to_change(&hub, &caller, id, Operation::Edit).await?;
    let mut transaction = hub.store.writer().begin().await?;
    insert_organization(&mut transaction, id, member.id).await?;
    transaction.commit().await?;
    hub.store.forget_authorities();
    Ok(Json(members(&hub, id).await?))
}

async fn remove_organization(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    Body(member): Body<ById>,
) -> Result<Json<Vec<Organization>>, HubError> {
    load_to_change(&hub, &caller, id, Operation::Edit).await?;
    let done = sqlx::query("DELETE FROM collaboration_organization WHERE collaboration_id = ? AND organization_id = ?")
        .bind(id)
        .bind(member.id)
        .execute(hub.store.writer())
        .await?;
    if done.rows_affected() == 0 {
        return Err(HubError::NotFound(format!("Organization with id={} is not found", member.id)));
    }
    hub.store.forget_authorities();
    Ok(Json(members(&hub, id).await?))
}

async fn add_node(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    Body(member): Body<ById>,
) -> Result<(StatusCode, Json<Vec<Node>>), HubError> {
    load_to_change(&hub, &caller, id, Operation::Edit).await?;
    let place: Option<(i64, i64)> = sqlx::query_as("SELECT organization_id, collaboration_id FROM node WHERE id = ?")
        .bind(member.id)
        .fetch_optional(hub.store.reader())
        .await?;
    let (organization_id, present) =
        place.ok_or_else(|| HubError::NotFound(format!("node id={} not found", member.id)))?;
    if present == id {
        return Err(HubError::bad(format!("node id={} is already in collaboration id={id}", member.id)));
    }
    // Moving a node takes it from another collaboration, so that one must be the caller's to change too.
    load_to_change(&hub, &caller, present, Operation::Edit).await?;
    if !members(&hub, id).await?.iter().any(|organization| organization.id == organization_id) {
        return Err(HubError::bad(format!(
            "Node id={} belongs to an organization that is not part of collaboration id={id}. Please add the \
             organization to the collaboration first",
            member.id
        )));
    }
    sqlx::query("UPDATE node SET collaboration_id = ? WHERE id = ?")
        .bind(id)
        .bind(member.id)
        .execute(hub.store.writer())
        .await
        .map_err(|error| match is_taken(&error) {
            true => HubError::bad("The organization already has a node in this collaboration"),
            false => error.into(),
        })?;
    hub.store.forget_authorities();
    Ok((StatusCode::CREATED, Json(super::node::of_collaboration(&hub, id).await?)))
}

async fn remove_node(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    Body(member): Body<ById>,
) -> Result<Json<Value>, HubError> {
    load_to_change(&hub, &caller, id, Operation::Edit).await?;
    // A node without a collaboration has no use here: it is deleted, which needs that permission as well.
    super::node::delete_of(&hub, &caller, member.id, id).await?;
    Ok(message(format!("node id={} removed from collaboration id={id}", member.id)))
}

/// Whether a caller may use an endpoint that containers have no use for.
pub fn refuse_containers(caller: &Caller) -> Result<(), HubError> {
    match caller.kind {
        CallerKind::Container(_) => Err(HubError::WrongClient("users and nodes")),
        _ => Ok(()),
    }
}
