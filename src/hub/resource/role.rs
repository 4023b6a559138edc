use std::{collections::HashSet, sync::Arc};

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

use super::{
    Id, LIST_LIMIT, TwoIds,
    assignment::{require_role_change, require_rules},
    check_optional_text, message, rule,
};
use crate::{
    hub::{
        HubError,
        audit::{self, changed, difference},
        body::Body,
        listing::{Filters, ListQuery, Listing, SMALL_ROW, SMALL_ROWS, comma_separated},
        notice,
        permission::{Caller, DEFAULT_ROLES, Reach, Resource},
        server::{API_PATH, HubState},
    },
    protocol::{
        domain::Operation,
        name::plain_name,
        wire::v4::{Included, Link, Role, Rule},
    },
};

pub fn routes() -> Router<Arc<HubState>> {
    Router::new()
        .route("/role", get(list).post(create))
        .route("/role/{id}", get(show).patch(edit).delete(remove))
        .route("/role/{id}/rule/{rule_id}", post(add_rule).delete(remove_rule))
}

#[derive(FromRow)]
struct Row {
    id: i64,
    name: String,
    description: String,
    is_default_role: bool,
    organization_id: Option<i64>,
}

impl From<Row> for Role {
    fn from(row: Row) -> Role {
        Role {
            id: row.id,
            name: row.name,
            description: Some(row.description),
            is_default_role: row.is_default_role,
            rules: Included::Address(format!("{API_PATH}/rule?role_id={}", row.id)),
            users: Included::Address(format!("{API_PATH}/user?role_id={}", row.id)),
            organization: row
                .organization_id
                .map(|id| Link::new(API_PATH, "organization", id, &["GET", "PATCH", "DELETE"])),
        }
    }
}

const LISTING: Listing = Listing {
    id: "role.id",
    from: "role",
    joined: "",
    columns: "*",
    sortable: &[("id", "role.id"), ("name", "name"), ("description", "description")],
    newest_first: false,
    bytes: SMALL_ROWS,
    row_limit: SMALL_ROW,
};

async fn list(State(hub): State<Arc<HubState>>, caller: Caller, query: ListQuery) -> Result<Response, HubError> {
    let own_id = caller.require_user()?;
    let own = format!("role.id IN (SELECT role_id FROM user_role WHERE user_id = {own_id})");
    let mut filters = Filters::default();
    match caller.reach(Resource::Role, Operation::View) {
        Some(Reach::Everything) => {}
        Some(reach @ (Reach::Collaboration | Reach::Organization)) => {
            let organizations = match reach {
                Reach::Collaboration => comma_separated(&caller.authority.organizations),
                _ => caller.authority.organization_id.to_string(),
            };
            filters.when(format!("{own} OR organization_id IS NULL OR organization_id IN ({organizations})"));
        }
        _ => filters.when(own),
    }
    let organizations = query.integers("organization_id")?;
    if organizations.iter().any(|id| !caller.may_at_organization(Resource::Role, Operation::View, *id)) {
        return Err(HubError::NotAllowed);
    }
    let or_root = if query.flag("include_root")?.unwrap_or(false) { " OR organization_id IS NULL" } else { "" };
    if !organizations.is_empty() {
        filters.when(format!("organization_id IN ({}){or_root}", comma_separated(&organizations)));
    }
    if let Some(id) = query.integer("collaboration_id")? {
        filters.when(format!(
            "organization_id IN (SELECT organization_id FROM collaboration_organization
             WHERE collaboration_id = {id}){or_root}"
        ));
    }
    if let Some(user_id) = query.integer("user_id")? {
        super::user::require_view(&hub, &caller, user_id).await?;
        filters.integer("role.id IN (SELECT role_id FROM user_role WHERE user_id = ?)", Some(user_id));
    }
    filters.integer("role.id IN (SELECT role_id FROM role_rule WHERE rule_id = ?)", query.integer("rule_id")?);
    filters.like("name", query.text("name"))?;
    filters.like("description", query.text("description"))?;
    LISTING.fetch::<Row>(hub.store.lists(), &caller, query, filters).await?.answer(Role::from).await
}

async fn load(hub: &HubState, id: i64) -> Result<Row, HubError> {
    let row = sqlx::query_as("SELECT * FROM role WHERE id = ?").bind(id).fetch_optional(hub.store.reader()).await?;
    row.ok_or_else(|| HubError::NotFound(format!("Role with id={id} not found.")))
}

async fn show(State(hub): State<Arc<HubState>>, caller: Caller, Id(id): Id) -> Result<Json<Role>, HubError> {
    Ok(Json(view(&hub, &caller, id).await?.into()))
}

/// An error unless the caller may see the role.
pub async fn require_view(hub: &HubState, caller: &Caller, id: i64) -> Result<(), HubError> {
    view(hub, caller, id).await.map(drop)
}

/// The role, if the caller may see it.
async fn view(hub: &HubState, caller: &Caller, id: i64) -> Result<Row, HubError> {
    let own_id = caller.require_user()?;
    let role = load(hub, id).await?;
    let is_own: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM user_role WHERE role_id = ? AND user_id = ?")
        .bind(id)
        .bind(own_id)
        .fetch_one(hub.store.reader())
        .await?;
    let may = is_own > 0
        || match role.organization_id {
            Some(owner) => caller.may_at_organization(Resource::Role, Operation::View, owner),
            None => caller.reach(Resource::Role, Operation::View) >= Some(Reach::Organization),
        };
    if may { Ok(role) } else { Err(HubError::NotAllowed) }
}

fn check_role_name(name: &str, context: &()) -> garde::Result {
    if DEFAULT_ROLES.iter().any(|role| plain_name(role.name) == plain_name(name)) {
        return Err(garde::Error::new("Role name cannot be one of the default roles"));
    }
    super::check_trusted_name(name, context)
}

fn check_optional_role_name(name: &Option<String>, context: &()) -> garde::Result {
    name.as_deref().map_or(Ok(()), |name| check_role_name(name, context))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct NewRole {
    #[garde(custom(check_role_name))]
    name: String,
    #[garde(custom(check_optional_text))]
    #[serde(default)]
    description: Option<String>,
    #[garde(length(max = LIST_LIMIT))]
    rules: Vec<i64>,
    #[garde(skip)]
    #[serde(default)]
    organization_id: Option<i64>,
}

async fn create(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(new): Body<NewRole>,
) -> Result<(StatusCode, Json<Role>), HubError> {
    caller.require_user()?;
    let organization_id = new.organization_id.unwrap_or(caller.authority.organization_id);
    if !caller.is_inside(Resource::Role, Operation::Create, organization_id) {
        return Err(HubError::NotAllowed);
    }
    require_rules(&caller, &new.rules)?;
    let mut change = hub.change(&caller).await?;
    let done = sqlx::query(
        "INSERT INTO role (name, description, organization_id) SELECT ?, ?, id FROM organization WHERE id = ?",
    )
    .bind(&new.name)
    .bind(new.description.unwrap_or_default())
    .bind(organization_id)
    .execute(&mut *change)
    .await?;
    if done.rows_affected() == 0 {
        return Err(HubError::NotFound(format!("Organization \"{organization_id}\" does not exist!")));
    }
    let id = done.last_insert_rowid();
    set_rules(&mut change, id, &new.rules).await?;
    let details = difference("rules", &[], &new.rules).unwrap_or_default();
    change.commit(&caller.did("role.create", "role", id).details(details).of(organization_id)).await?;
    Ok((StatusCode::CREATED, Json(load(&hub, id).await?.into())))
}

/// Tells the admins of a role's organization what somebody from elsewhere did to it.
async fn tell_owner(
    connection: &mut SqliteConnection,
    hub: &HubState,
    caller: &Caller,
    role: &Row,
    done: &str,
) -> Result<(), HubError> {
    let Some(organization_id) = role.organization_id else { return Ok(()) };
    let what = format!("An administrator has {done} the role \"{}\" of your organization.", role.name);
    notice::tell_admins(connection, hub, caller, organization_id, &what).await
}

/// Whose admins read of a change of a role: its organization, or that of who changes it.
fn owner(caller: &Caller, role: &Row) -> i64 {
    role.organization_id.unwrap_or(caller.authority.organization_id)
}

/// Ids of the rules of a role.
async fn rules_of(connection: &mut SqliteConnection, role_id: i64) -> Result<Vec<i64>, HubError> {
    let query = sqlx::query_scalar("SELECT rule_id FROM role_rule WHERE role_id = ?");
    Ok(query.bind(role_id).fetch_all(connection).await?)
}

async fn set_rules(connection: &mut SqliteConnection, role_id: i64, rules: &[i64]) -> Result<(), HubError> {
    sqlx::query("DELETE FROM role_rule WHERE role_id = ?").bind(role_id).execute(&mut *connection).await?;
    for rule_id in rules.iter().collect::<HashSet<_>>() {
        sqlx::query("INSERT INTO role_rule (role_id, rule_id) VALUES (?, ?)")
            .bind(role_id)
            .bind(rule_id)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// The role, if the caller may do this to it. Default roles belong to the program.
async fn load_to_change(hub: &HubState, caller: &Caller, id: i64, operation: Operation) -> Result<Row, HubError> {
    caller.require_user()?;
    let role = load(hub, id).await?;
    if role.is_default_role {
        // Who may do it at all is told why not; others are told nothing more.
        caller.require(Resource::Role, operation)?;
        return Err(HubError::bad(format!("Role {} is a default role and cannot be edited or deleted.", role.name)));
    }
    match role.organization_id {
        // With its roles people touch how others sign in, and keys.
        Some(owner) if caller.is_inside(Resource::Role, operation, owner) => Ok(role),
        None if caller.reach(Resource::Role, operation) == Some(Reach::Everything) => Ok(role),
        _ => Err(HubError::NotAllowed),
    }
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct EditRole {
    #[garde(custom(check_optional_role_name))]
    #[serde(default)]
    name: Option<String>,
    #[garde(custom(check_optional_text))]
    #[serde(default)]
    description: Option<String>,
    #[garde(inner(length(max = LIST_LIMIT)))]
    #[serde(default)]
    rules: Option<Vec<i64>>,
}

async fn edit(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    Body(edit): Body<EditRole>,
) -> Result<Json<Role>, HubError> {
    let row = load_to_change(&hub, &caller, id, Operation::Edit).await?;
    let mut change = hub.change(&caller).await?;
    let present = rules_of(&mut change, id).await?;
    let details = audit::details([
        changed("name", &row.name, &edit.name),
        changed("description", &row.description, &edit.description),
        edit.rules.as_ref().and_then(|wanted| difference("rules", &present, wanted)),
    ]);
    if let Some(wanted) = &edit.rules {
        require_rules(&caller, wanted)?;
        let removed = present.iter().filter(|id| !wanted.contains(id));
        let added = wanted.iter().filter(|id| !present.contains(id));
        let changed: Vec<i64> = removed.chain(added).copied().collect();
        require_role_change(&mut change, &caller, id, &changed).await?;
    }
    // What changes nothing has no entry, and nobody is told.
    if details.is_empty() {
        return Ok(Json(load(&hub, id).await?.into()));
    }
    sqlx::query("UPDATE role SET name = coalesce(?, name), description = coalesce(?, description) WHERE id = ?")
        .bind(&edit.name)
        .bind(&edit.description)
        .bind(id)
        .execute(&mut *change)
        .await?;
    if let Some(rules) = &edit.rules {
        set_rules(&mut change, id, rules).await?;
    }
    tell_owner(&mut change, &hub, &caller, &row, "changed").await?;
    change.commit(&caller.did("role.edit", "role", id).details(details).of(owner(&caller, &row))).await?;
    hub.jobs.wake();
    hub.store.forget_authorities();
    Ok(Json(load(&hub, id).await?.into()))
}

async fn remove(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    query: ListQuery,
) -> Result<Json<Value>, HubError> {
    let row = load_to_change(&hub, &caller, id, Operation::Delete).await?;
    let with_dependents = query.flag("delete_dependents")?.unwrap_or(false);
    let mut change = hub.change(&caller).await?;
    let users: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM user_role WHERE role_id = ?").bind(id).fetch_one(&mut *change).await?;
    if users > 0 && !with_dependents {
        return Err(HubError::bad(format!("Role {id} is assigned to users and cannot be deleted.")));
    }
    if users > 0 {
        let rules = rules_of(&mut change, id).await?;
        require_role_change(&mut change, &caller, id, &rules).await?;
    }
    sqlx::query("DELETE FROM role WHERE id = ?").bind(id).execute(&mut *change).await?;
    tell_owner(&mut change, &hub, &caller, &row, "deleted").await?;
    change.commit(&caller.did("role.delete", "role", id).of(owner(&caller, &row))).await?;
    hub.jobs.wake();
    hub.store.forget_authorities();
    Ok(message("Role removed from the database."))
}

async fn add_rule(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    TwoIds(id, rule_id): TwoIds,
) -> Result<(StatusCode, Json<Vec<Rule>>), HubError> {
    let row = load_to_change(&hub, &caller, id, Operation::Edit).await?;
    let mut change = hub.change(&caller).await?;
    require_role_change(&mut change, &caller, id, &[rule_id]).await?;
    sqlx::query("INSERT OR IGNORE INTO role_rule (role_id, rule_id) VALUES (?, ?)")
        .bind(id)
        .bind(rule_id)
        .execute(&mut *change)
        .await?;
    let entry = caller.did("role.edit", "role", id).details(format!("rules +{rule_id}"));
    tell_owner(&mut change, &hub, &caller, &row, "changed").await?;
    change.commit(&entry.of(owner(&caller, &row))).await?;
    hub.jobs.wake();
    hub.store.forget_authorities();
    Ok((StatusCode::CREATED, Json(rule::of_role(&hub, id).await?)))
}

async fn remove_rule(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    TwoIds(id, rule_id): TwoIds,
) -> Result<Json<Vec<Rule>>, HubError> {
    let row = load_to_change(&hub, &caller, id, Operation::Edit).await?;
    let mut change = hub.change(&caller).await?;
    require_role_change(&mut change, &caller, id, &[rule_id]).await?;
    sqlx::query("DELETE FROM role_rule WHERE role_id = ? AND rule_id = ?")
        .bind(id)
        .bind(rule_id)
        .execute(&mut *change)
        .await?;
    let entry = caller.did("role.edit", "role", id).details(format!("rules -{rule_id}"));
    tell_owner(&mut change, &hub, &caller, &row, "changed").await?;
    change.commit(&entry.of(owner(&caller, &row))).await?;
    hub.jobs.wake();
    hub.store.forget_authorities();
    Ok(Json(rule::of_role(&hub, id).await?))
}
