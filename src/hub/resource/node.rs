use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, Router, extract::State, http::StatusCode, response::Response, routing::get};
use garde::Validate;
use serde::Deserialize;
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use super::{Id, check_optional_name, is_taken, message, study, token::hash_api_key};
use crate::{
    hub::{
        HubError,
        audit::{self, changed},
        body::Body,
        events::CONFIG_BYTES,
        listing::{Filters, ListQuery, Listing, comma_separated},
        notice,
        permission::{Caller, Reach, Resource},
        server::{API_PATH, HubState},
    },
    protocol::{
        domain::Operation,
        wire::v4::{ConfigItem, Link, Node},
    },
};

pub fn routes() -> Router<Arc<HubState>> {
    Router::new().route("/node", get(list).post(create)).route("/node/{id}", get(show).patch(edit).delete(remove))
}

#[derive(FromRow)]
struct Row {
    id: i64,
    name: String,
    organization_id: i64,
    collaboration_id: i64,
    online: bool,
    ip: Option<String>,
    last_seen: Option<String>,
}

impl Row {
    fn into_wire(self, config: Vec<ConfigItem>) -> Node {
        let link = |resource: &str, id: i64| Some(Link::new(API_PATH, resource, id, &["GET", "PATCH", "DELETE"]));
        Node {
            organization: link("organization", self.organization_id),
            collaboration: link("collaboration", self.collaboration_id),
            config,
            id: self.id,
            kind: "node".to_owned(),
            ip: self.ip,
            last_seen: self.last_seen,
            status: Some(if self.online { "online" } else { "offline" }.to_owned()),
            name: self.name,
            api_key: None,
        }
    }
}

const COLUMNS: &str = "node.id, node.name, organization_id, collaboration_id, online, ip, last_seen";
const LISTING: Listing = Listing {
    id: "node.id",
    from: "node",
    joined: "",
    columns: COLUMNS,
    sortable: &[("id", "node.id"), ("name", "node.name"), ("status", "online"), ("last_seen", "last_seen")],
    newest_first: false,
    bytes: "(SELECT coalesce(sum(octet_length(key) + octet_length(value)), 0) FROM node_config WHERE node_id = node.id)",
    row_limit: CONFIG_BYTES as i64,
};

async fn configs(hub: &HubState, ids: &[i64]) -> Result<BTreeMap<i64, Vec<ConfigItem>>, HubError> {
    let rows: Vec<(i64, String, String)> = sqlx::query_as(&format!(
        "SELECT node_id, key, value FROM node_config WHERE node_id IN ({}) ORDER BY id",
        comma_separated(ids)
    ))
    .fetch_all(hub.store.reader())
    .await?;
    let mut by_node: BTreeMap<i64, Vec<ConfigItem>> = BTreeMap::new();
    for (node_id, key, value) in rows {
        by_node.entry(node_id).or_default().push(ConfigItem { key, value });
    }
    Ok(by_node)
}

async fn list(State(hub): State<Arc<HubState>>, caller: Caller, query: ListQuery) -> Result<Response, HubError> {
    caller.refuse_containers()?;
    let mut filters = Filters::default();
    let reach = caller.require(Resource::Node, Operation::View)?;
    match reach {
        Reach::Everything => {}
        Reach::Collaboration => filters.among("collaboration_id", &caller.authority.collaborations),
        _ => filters.integer("organization_id = ?", Some(caller.authority.organization_id)),
    }
    if let Some(id) = query.integer("organization_id")? {
        if !caller.may_at_organization(Resource::Node, Operation::View, id) {
            return Err(HubError::NotAllowed);
        }
        filters.integer("organization_id = ?", Some(id));
    }
    if let Some(id) = query.integer("collaboration_id")? {
        match reach {
            Reach::Everything => {}
            Reach::Collaboration | Reach::Organization if caller.is_in_collaboration(id) => {}
            _ => return Err(HubError::NotAllowed),
        }
        filters.integer("collaboration_id = ?", Some(id));
    }
    if let Some(id) = query.integer("study_id")? {
        study::require_view(&hub, &caller, id).await?;
        filters.integer(
            "(organization_id, collaboration_id) IN (SELECT study_organization.organization_id, study.collaboration_id
                 FROM study JOIN study_organization ON study_id = study.id WHERE study.id = ?)",
            Some(id),
        );
    }
    match query.text("status") {
        None => {}
        Some("online") => filters.when("online = 1".to_owned()),
        Some("offline") => filters.when("online = 0".to_owned()),
        // No node has another one.
        Some(_) => filters.when("0".to_owned()),
    }
    filters.text("ip = ?", query.text("ip"));
    filters.like("node.name", query.text("name"))?;
    filters.text("last_seen >= ?", query.time("last_seen_from")?);
    filters.text("last_seen <= ?", query.time("last_seen_till")?);
    let rows = LISTING.fetch::<Row>(hub.store.lists(), &caller, query, filters).await?;
    let ids: Vec<i64> = rows.rows.iter().map(|row| row.id).collect();
    let mut configs = configs(&hub, &ids).await?;
    rows.answer(|row| {
        let config = configs.remove(&row.id).unwrap_or_default();
        row.into_wire(config)
    })
    .await
}

/// The nodes of a collaboration.
pub async fn of_collaboration(hub: &HubState, collaboration_id: i64) -> Result<Vec<Node>, HubError> {
    let rows: Vec<Row> = sqlx::query_as(&format!("SELECT {COLUMNS} FROM node WHERE collaboration_id = ? ORDER BY id"))
        .bind(collaboration_id)
        .fetch_all(hub.store.reader())
        .await?;
    Ok(rows.into_iter().map(|row| row.into_wire(Vec::new())).collect())
}

/// The organization of a node whose key the caller may replace.
pub async fn require_key(hub: &HubState, caller: &Caller, id: i64) -> Result<i64, HubError> {
    let row = load(hub, caller, id, Operation::Edit).await?;
    match caller.is_inside(Resource::Node, Operation::Edit, row.organization_id) {
        true => Ok(row.organization_id),
        false => Err(HubError::NotAllowed),
    }
}

/// The node, if the caller may do this to it.
async fn load(hub: &HubState, caller: &Caller, id: i64, operation: Operation) -> Result<Row, HubError> {
    caller.refuse_containers()?;
    let row: Option<Row> = sqlx::query_as(&format!("SELECT {COLUMNS} FROM node WHERE id = ?"))
        .bind(id)
        .fetch_optional(hub.store.reader())
        .await?;
    let row = row.ok_or_else(|| HubError::NotFound(format!("Node id={id} is not found!")))?;
    let may = match caller.require(Resource::Node, operation)? {
        Reach::Everything => true,
        Reach::Collaboration => {
            caller.is_in_collaboration(row.collaboration_id) || row.organization_id == caller.authority.organization_id
        }
        Reach::Organization => row.organization_id == caller.authority.organization_id,
        Reach::Own => false,
    };
    if may { Ok(row) } else { Err(HubError::NotAllowed) }
}

async fn with_config(hub: &HubState, row: Row) -> Result<Node, HubError> {
    let config = configs(hub, &[row.id]).await?.remove(&row.id).unwrap_or_default();
    Ok(row.into_wire(config))
}

async fn show(State(hub): State<Arc<HubState>>, caller: Caller, Id(id): Id) -> Result<Json<Node>, HubError> {
    let row = load(&hub, &caller, id, Operation::View).await?;
    Ok(Json(with_config(&hub, row).await?))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct NewNode {
    #[garde(range(min = 1))]
    collaboration_id: i64,
    #[garde(inner(range(min = 1)))]
    #[serde(default)]
    organization_id: Option<i64>,
    #[garde(custom(check_optional_name))]
    #[serde(default)]
    name: Option<String>,
}

async fn create(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(new): Body<NewNode>,
) -> Result<(StatusCode, Json<Node>), HubError> {
    caller.require_user()?;
    let organization_id = new.organization_id.unwrap_or(caller.authority.organization_id);
    let collaboration: Option<String> = sqlx::query_scalar("SELECT name FROM collaboration WHERE id = ?")
        .bind(new.collaboration_id)
        .fetch_optional(hub.store.reader())
        .await?;
    let collaboration = collaboration
        .ok_or_else(|| HubError::NotFound(format!("collaboration id={} does not exist", new.collaboration_id)))?;
    let organization: Option<String> = sqlx::query_scalar("SELECT name FROM organization WHERE id = ?")
        .bind(organization_id)
        .fetch_optional(hub.store.reader())
        .await?;
    let organization =
        organization.ok_or_else(|| HubError::NotFound(format!("organization id={organization_id} does not exist")))?;
    // Its key goes to who registers it.
    if !caller.is_inside(Resource::Node, Operation::Create, organization_id) {
        return Err(HubError::NotAllowed);
    }
    let name = new.name.unwrap_or_else(|| format!("{organization} - {collaboration} Node"));
    let api_key = Uuid::new_v4().to_string();
    let mut change = hub.change(&caller).await?;
    let done = sqlx::query(
        "INSERT INTO node (name, api_key_hash, organization_id, collaboration_id)
         SELECT ?, ?, organization_id, collaboration_id FROM collaboration_organization
         WHERE organization_id = ? AND collaboration_id = ?",
    )
    .bind(&name)
    .bind(hash_api_key(&api_key))
    .bind(organization_id)
    .bind(new.collaboration_id)
    .execute(&mut *change)
    .await
    .map_err(|error| match is_taken(&error) {
        true if error.to_string().contains("name") => name_taken(&name),
        true => HubError::bad(format!(
            "Organization id={organization_id} already has a node for collaboration id={}",
            new.collaboration_id
        )),
        false => error.into(),
    })?;
    if done.rows_affected() == 0 {
        return Err(HubError::bad(format!(
            "The organization id={organization_id} is not part of collabotation id={}. Add it first!",
            new.collaboration_id
        )));
    }
    let id = done.last_insert_rowid();
    let what = format!("An administrator has registered node {id} of your organization.");
    notice::tell_admins(&mut change, &hub, &caller, organization_id, &what).await?;
    change.commit(&caller.did("node.create", "node", id).of(organization_id)).await?;
    hub.jobs.wake();
    let row: Row = sqlx::query_as(&format!("SELECT {COLUMNS} FROM node WHERE id = ?"))
        .bind(id)
        .fetch_one(hub.store.reader())
        .await?;
    Ok((StatusCode::CREATED, Json(Node { api_key: Some(api_key), ..row.into_wire(Vec::new()) })))
}

fn name_taken(name: &str) -> HubError {
    HubError::field("name", format!("Node with name '{name}' already exists!"))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct EditNode {
    #[garde(custom(check_optional_name))]
    #[serde(default)]
    name: Option<String>,
    #[garde(skip)]
    #[serde(default)]
    ip: Option<std::net::IpAddr>,
    #[garde(skip)]
    #[serde(default)]
    clear_ip: bool,
}

async fn edit(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    Body(edit): Body<EditNode>,
) -> Result<Json<Node>, HubError> {
    let row = load(&hub, &caller, id, Operation::Edit).await?;
    let new_ip = edit.ip.map(|ip| ip.to_string());
    let is_moved = if edit.clear_ip { row.ip.is_some() } else { new_ip.is_some() && new_ip != row.ip };
    let details =
        audit::details([changed("name", &row.name, &edit.name), is_moved.then(|| "address in its network".to_owned())]);
    if details.is_empty() {
        // Nothing that the log would tell.
        return Ok(Json(with_config(&hub, row).await?));
    }
    let mut change = hub.change(&caller).await?;
    sqlx::query(
        "UPDATE node SET name = coalesce(?, name), ip = CASE WHEN ? THEN NULL ELSE coalesce(?, ip) END WHERE id = ?",
    )
    .bind(&edit.name)
    .bind(edit.clear_ip)
    .bind(new_ip)
    .bind(id)
    .execute(&mut *change)
    .await
    .map_err(|error| match is_taken(&error) {
        true => name_taken(edit.name.as_deref().unwrap_or_default()),
        false => error.into(),
    })?;
    change.commit(&caller.did("node.edit", "node", id).details(details).of(row.organization_id)).await?;
    let row = load(&hub, &caller, id, Operation::Edit).await?;
    Ok(Json(with_config(&hub, row).await?))
}

async fn remove(State(hub): State<Arc<HubState>>, caller: Caller, Id(id): Id) -> Result<Json<Value>, HubError> {
    caller.require_user()?;
    let row = load_to_delete(&hub, &caller, id).await?;
    let mut change = hub.change(&caller).await?;
    sqlx::query("DELETE FROM node WHERE id = ?").bind(id).execute(&mut *change).await?;
    let what = format!("An administrator has deleted node {id} of your organization.");
    notice::tell_admins(&mut change, &hub, &caller, row.organization_id, &what).await?;
    change.commit(&caller.did("node.delete", "node", id).of(row.organization_id)).await?;
    hub.jobs.wake();
    hub.store.forget_authorities();
    Ok(message(format!("Successfully deleted node id={id}")))
}

/// Deletes a node if it is one of this collaboration and the caller may delete it.
pub async fn delete_of(hub: &HubState, caller: &Caller, id: i64, collaboration_id: i64) -> Result<(), HubError> {
    let row = load_to_delete(hub, caller, id).await?;
    if row.collaboration_id != collaboration_id {
        return Err(HubError::bad(format!("node id={id} is not part of collaboration id={collaboration_id}")));
    }
    let mut change = hub.change(caller).await?;
    sqlx::query("DELETE FROM node WHERE id = ?").bind(id).execute(&mut *change).await?;
    let details = format!("taken out of collaboration {collaboration_id}");
    let what = format!("An administrator has deleted node {id} of your organization.");
    notice::tell_admins(&mut change, hub, caller, row.organization_id, &what).await?;
    change.commit(&caller.did("node.delete", "node", id).details(details).of(row.organization_id)).await?;
    hub.jobs.wake();
    hub.store.forget_authorities();
    Ok(())
}

/// A node that the caller may delete: its key is worth nothing afterwards, so only its own organization's admins and Root
/// may.
async fn load_to_delete(hub: &HubState, caller: &Caller, id: i64) -> Result<Row, HubError> {
    let row = load(hub, caller, id, Operation::Delete).await?;
    match caller.is_inside(Resource::Node, Operation::Delete, row.organization_id) {
        true => Ok(row),
        false => Err(HubError::NotAllowed),
    }
}
