use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use garde::Validate;
use serde::Deserialize;
use serde_json::Value;
use sqlx::FromRow;

use super::{
    Id, check_name, check_optional_name, is_taken,
    members::{self, ById, COLLABORATION, check_optional_organization_ids, check_organization_ids},
    message, node_of_collaboration, task,
};
use crate::{
    hub::{
        HubError,
        audit::{self, changed, difference},
        body::Body,
        listing::{Filters, ListQuery, Listing, SMALL_ROW, SMALL_ROWS},
        notice,
        permission::{Caller, Reach, Resource},
        server::{API_PATH, HubState},
    },
    protocol::{
        domain::Operation,
        wire::v4::{Collaboration, Included, Organization},
    },
};

pub fn routes() -> Router<Arc<HubState>> {
    Router::new()
        .route("/collaboration", get(list).post(create))
        .route("/collaboration/{id}", get(show).patch(edit).delete(remove))
        .route("/collaboration/{id}/organization", post(add_organization).delete(remove_organization))
        .route("/collaboration/{id}/node", post(node_of_collaboration::add).delete(node_of_collaboration::remove))
}

/// A collaboration as it is stored.
#[derive(FromRow)]
pub struct Row {
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
    id: "collaboration.id",
    from: "collaboration",
    joined: "",
    columns: "*",
    sortable: &[("id", "collaboration.id"), ("name", "name"), ("encrypted", "encrypted")],
    newest_first: false,
    bytes: SMALL_ROWS,
    row_limit: SMALL_ROW,
};

async fn list(State(hub): State<Arc<HubState>>, caller: Caller, query: ListQuery) -> Result<Response, HubError> {
    let mut filters = Filters::default();
    let reach = caller.require(Resource::Collaboration, Operation::View)?;
    if reach < Reach::Everything {
        filters.among("collaboration.id", &caller.authority.collaborations);
    }
    filters.like("name", query.text("name"))?;
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
    let rows = LISTING.fetch::<Row>(hub.store.lists(), &caller, query, filters).await?;
    let ids: Vec<i64> = rows.rows.iter().map(|row| row.id).collect();
    let mut members =
        if with_organizations { members::of_all(&hub, COLLABORATION, &ids).await? } else { BTreeMap::new() };
    rows.answer(|row| {
        let organizations = with_organizations.then(|| members.remove(&row.id).unwrap_or_default());
        row.into_wire(organizations)
    })
    .await
}

async fn load(hub: &HubState, id: i64) -> Result<Row, HubError> {
    let row =
        sqlx::query_as("SELECT * FROM collaboration WHERE id = ?").bind(id).fetch_optional(hub.store.reader()).await?;
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
        true => Some(members::of(&hub, COLLABORATION, id).await?),
        false => None,
    };
    Ok(Json(row.into_wire(organizations)))
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
    let mut change = hub.change(&caller).await?;
    let id = sqlx::query("INSERT INTO collaboration (name, encrypted) VALUES (?, ?)")
        .bind(&new.name)
        .bind(new.encrypted)
        .execute(&mut *change)
        .await
        .map_err(|error| taken(error, &new.name))?
        .last_insert_rowid();
    members::exchange(&mut change, &hub, &caller, COLLABORATION, id, &new.organization_ids).await?;
    let details = difference("organizations", &[], &new.organization_ids).unwrap_or_default();
    change.commit(&caller.did("collaboration.create", "collaboration", id).details(details)).await?;
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

/// The collaboration, if the caller may do this to it.
pub async fn load_to_change(hub: &HubState, caller: &Caller, id: i64, operation: Operation) -> Result<Row, HubError> {
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
    let row = load_to_change(&hub, &caller, id, Operation::Edit).await?;
    let present: Vec<i64> =
        sqlx::query_scalar("SELECT organization_id FROM collaboration_organization WHERE collaboration_id = ?")
            .bind(id)
            .fetch_all(hub.store.reader())
            .await?;
    let details = audit::details([
        changed("name", &row.name, &edit.name),
        edit.encrypted
            .filter(|encrypted| *encrypted != row.encrypted)
            .map(|encrypted| format!("encrypted: {encrypted}")),
        edit.organization_ids.as_ref().and_then(|wanted| difference("organizations", &present, wanted)),
    ]);
    if edit.organization_ids.is_some() {
        require_members_edit(&caller)?;
    }
    if details.is_empty() {
        return Ok(Json(load(&hub, id).await?.into_wire(None)));
    }
    let mut change = hub.change(&caller).await?;
    sqlx::query("UPDATE collaboration SET name = coalesce(?, name), encrypted = coalesce(?, encrypted) WHERE id = ?")
        .bind(&edit.name)
        .bind(edit.encrypted)
        .bind(id)
        .execute(&mut *change)
        .await
        .map_err(|error| taken(error, edit.name.as_deref().unwrap_or_default()))?;
    if let Some(organizations) = &edit.organization_ids {
        members::exchange(&mut change, &hub, &caller, COLLABORATION, id, organizations).await?;
    }
    let entry = caller.did("collaboration.edit", "collaboration", id).details(details);
    let own = caller.authority.organization_id;
    for member in present.into_iter().filter(|member| *member != own) {
        // What concerns all of them.
        crate::audit::append(&mut change, &entry.clone().of(member)).await?;
    }
    change.commit(&entry).await?;
    hub.store.forget_authorities();
    Ok(Json(load(&hub, id).await?.into_wire(None)))
}

/// An error unless the caller may say who takes part: rights within a collaboration reach to its organizations, so who
/// adds one gives rights over its users and nodes to themselves.
fn require_members_edit(caller: &Caller) -> Result<(), HubError> {
    match caller.reach(Resource::Collaboration, Operation::Edit) {
        Some(Reach::Everything) => Ok(()),
        _ => Err(HubError::Unauthenticated("You lack the permission to change the organizations of a collaboration!")),
    }
}

async fn remove(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    query: ListQuery,
) -> Result<Json<Value>, HubError> {
    load_to_change(&hub, &caller, id, Operation::Delete).await?;
    let with_dependents = query.flag("delete_dependents")?.unwrap_or(false);
    let mut change = hub.change(&caller).await?;
    let (tasks, nodes, studies): (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT COUNT(*) FROM task WHERE collaboration_id = ?1),
                (SELECT COUNT(*) FROM node WHERE collaboration_id = ?1),
                (SELECT COUNT(*) FROM study WHERE collaboration_id = ?1)",
    )
    .bind(id)
    .fetch_one(&mut *change)
    .await?;
    if tasks + nodes + studies > 0 && !with_dependents {
        return Err(HubError::bad(format!(
            "Collaboration id={id} has {tasks} tasks, {nodes} nodes and {studies} studies. Please delete them \
             separately or set delete_dependents=True"
        )));
    }
    let members: Vec<i64> =
        sqlx::query_scalar("SELECT organization_id FROM collaboration_organization WHERE collaboration_id = ?")
            .bind(id)
            .fetch_all(&mut *change)
            .await?;
    let owners: Vec<(i64, i64)> = sqlx::query_as("SELECT id, organization_id FROM node WHERE collaboration_id = ?")
        .bind(id)
        .fetch_all(&mut *change)
        .await?;
    for (node_id, owner) in owners {
        // As if each was deleted by itself.
        if !caller.is_inside(Resource::Node, Operation::Delete, owner) {
            return Err(HubError::Unauthenticated("You lack the permission to delete all nodes that belong to this!"));
        }
        let what =
            format!("An administrator has deleted collaboration {id}, and with it the node of your organization.");
        notice::tell_admins(&mut change, &hub, &caller, owner, &what).await?;
        crate::audit::append(&mut change, &caller.did("node.delete", "node", node_id).of(owner)).await?;
    }
    let stopped = task::delete_where(&mut change, &caller, "collaboration_id = ?", id).await?;
    sqlx::query("DELETE FROM collaboration WHERE id = ?").bind(id).execute(&mut *change).await?;
    let entry = caller.did("collaboration.delete", "collaboration", id);
    for member in members.into_iter().filter(|member| *member != caller.authority.organization_id) {
        crate::audit::append(&mut change, &entry.clone().of(member)).await?;
    }
    change.commit(&entry).await?;
    // While they still hear the collaboration.
    stopped.tell(&hub).await;
    hub.store.forget_authorities();
    Ok(message(format!("Collaboration id={id} successfully deleted")))
}

async fn add_organization(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    Body(member): Body<ById>,
) -> Result<Json<Vec<Organization>>, HubError> {
    load_to_change(&hub, &caller, id, Operation::Edit).await?;
    require_members_edit(&caller)?;
    let mut change = hub.change(&caller).await?;
    let entry = members::put_in(&mut change, &hub, &caller, COLLABORATION, id, member.id).await?;
    change.commit(&entry).await?;
    hub.jobs.wake();
    hub.store.forget_authorities();
    Ok(Json(members::of(&hub, COLLABORATION, id).await?))
}

async fn remove_organization(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    Body(member): Body<ById>,
) -> Result<Json<Vec<Organization>>, HubError> {
    load_to_change(&hub, &caller, id, Operation::Edit).await?;
    if member.id != caller.authority.organization_id {
        require_members_edit(&caller)?;
    }
    members::remove(&hub, &caller, COLLABORATION, id, member.id).await?;
    hub.store.forget_authorities();
    Ok(Json(members::of(&hub, COLLABORATION, id).await?))
}
