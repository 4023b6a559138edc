use std::{collections::BTreeMap, sync::Arc};

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
    Id, check_name, check_optional_name, is_taken,
    members::{self, ById, STUDY, check_optional_organization_ids, check_organization_ids},
    message, task,
};
use crate::{
    hub::{
        HubError,
        audit::{self, changed, difference},
        body::Body,
        listing::{Filters, ListQuery, Listing, SMALL_ROW, SMALL_ROWS},
        permission::{Caller, CallerKind, Reach, Resource},
        server::{API_PATH, HubState},
    },
    protocol::{
        domain::Operation,
        wire::v4::{Included, Link, Organization, Study},
    },
};

pub fn routes() -> Router<Arc<HubState>> {
    Router::new()
        .route("/study", get(list).post(create))
        .route("/study/{id}", get(show).patch(edit).delete(remove))
        .route("/study/{id}/organization", post(add_organization).delete(remove_organization))
}

#[derive(FromRow)]
struct Row {
    id: i64,
    name: String,
    collaboration_id: i64,
}

impl Row {
    fn into_wire(self, organizations: Option<Vec<Organization>>) -> Study {
        Study {
            collaboration: Some(Link::new(
                API_PATH,
                "collaboration",
                self.collaboration_id,
                &["GET", "PATCH", "DELETE"],
            )),
            organizations: match organizations {
                Some(organizations) => Included::Items(organizations),
                None => Included::Address(format!("{API_PATH}/organization?study_id={}", self.id)),
            },
            tasks: format!("{API_PATH}/task?study_id={}", self.id),
            id: self.id,
            name: self.name,
        }
    }
}

const LISTING: Listing = Listing {
    id: "study.id",
    from: "study",
    joined: "",
    columns: "*",
    sortable: &[("id", "study.id"), ("name", "name")],
    newest_first: false,
    bytes: SMALL_ROWS,
    row_limit: SMALL_ROW,
};

async fn list(State(hub): State<Arc<HubState>>, caller: Caller, query: ListQuery) -> Result<Response, HubError> {
    caller.refuse_containers()?;
    let mut filters = Filters::default();
    let reach = caller.require(Resource::Study, Operation::View)?;
    let of_organization = "study.id IN (SELECT study_id FROM study_organization WHERE organization_id = ?)";
    match reach {
        Reach::Everything => {}
        Reach::Collaboration => filters.among("collaboration_id", &caller.authority.collaborations),
        _ => filters.integer(of_organization, Some(caller.authority.organization_id)),
    }
    filters.like("name", query.text("name"))?;
    filters.integer("collaboration_id = ?", query.integer("collaboration_id")?);
    filters.integer(of_organization, query.integer("organization_id")?);
    let with_organizations = query.includes("organizations");
    let rows = LISTING.fetch::<Row>(hub.store.lists(), &caller, query, filters).await?;
    let ids: Vec<i64> = rows.rows.iter().map(|row| row.id).collect();
    let mut members = if with_organizations { members::of_all(&hub, STUDY, &ids).await? } else { BTreeMap::new() };
    rows.answer(|row| {
        let organizations = with_organizations.then(|| members.remove(&row.id).unwrap_or_default());
        row.into_wire(organizations)
    })
    .await
}

/// The study, if the caller may do this to it.
async fn load(hub: &HubState, caller: &Caller, id: i64, operation: Operation) -> Result<Row, HubError> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM study WHERE id = ?").bind(id).fetch_optional(hub.store.reader()).await?;
    let row = row.ok_or_else(|| HubError::NotFound(format!("Study with id={id} not found")))?;
    let may = match caller.require(Resource::Study, operation)? {
        Reach::Everything => true,
        Reach::Collaboration => caller.is_in_collaboration(row.collaboration_id),
        _ => {
            let member: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM study_organization WHERE study_id = ? AND organization_id = ?",
            )
            .bind(id)
            .bind(caller.authority.organization_id)
            .fetch_one(hub.store.reader())
            .await?;
            member > 0
        }
    };
    if may { Ok(row) } else { Err(HubError::NotAllowed) }
}

/// An error unless the caller may see who belongs to this study. Nodes and algorithms ask for those of their tasks, in
/// their collaboration.
pub async fn require_view(hub: &HubState, caller: &Caller, id: i64) -> Result<(), HubError> {
    match caller.kind {
        CallerKind::User { .. } => load(hub, caller, id, Operation::View).await.map(drop),
        _ => {
            let of: Option<i64> = sqlx::query_scalar("SELECT collaboration_id FROM study WHERE id = ?")
                .bind(id)
                .fetch_optional(hub.store.reader())
                .await?;
            if of.is_some_and(|of| caller.is_in_collaboration(of)) { Ok(()) } else { Err(HubError::NotAllowed) }
        }
    }
}

async fn with_members(hub: &HubState, row: Row) -> Result<Study, HubError> {
    let members = members::of(hub, STUDY, row.id).await?;
    Ok(row.into_wire(Some(members)))
}

async fn show(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    query: ListQuery,
) -> Result<Json<Study>, HubError> {
    let row = load(&hub, &caller, id, Operation::View).await?;
    match query.includes("organizations") {
        true => Ok(Json(with_members(&hub, row).await?)),
        false => Ok(Json(row.into_wire(None))),
    }
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct NewStudy {
    #[garde(custom(check_name))]
    name: String,
    #[garde(range(min = 1))]
    collaboration_id: i64,
    #[garde(custom(|ids: &Vec<i64>, context: &()| check_organization_ids(ids, context)))]
    organization_ids: Vec<i64>,
}

async fn create(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(new): Body<NewStudy>,
) -> Result<(StatusCode, Json<Study>), HubError> {
    caller.require_user()?;
    match caller.require(Resource::Study, Operation::Create)? {
        Reach::Everything => {}
        Reach::Collaboration if caller.is_in_collaboration(new.collaboration_id) => {}
        _ => return Err(HubError::NotAllowed),
    }
    let mut change = hub.change(&caller).await?;
    let done = sqlx::query("INSERT INTO study (name, collaboration_id) SELECT ?, id FROM collaboration WHERE id = ?")
        .bind(&new.name)
        .bind(new.collaboration_id)
        .execute(&mut *change)
        .await
        .map_err(|error| taken(error, &new.name))?;
    if done.rows_affected() == 0 {
        return Err(HubError::NotFound(format!("Collaboration id={} not found!", new.collaboration_id)));
    }
    let id = done.last_insert_rowid();
    require_members(&mut change, new.collaboration_id, &new.organization_ids).await?;
    members::exchange(&mut change, &hub, &caller, STUDY, id, &new.organization_ids).await?;
    let details = difference("organizations", &[], &new.organization_ids).unwrap_or_default();
    change.commit(&caller.did("study.create", "study", id).details(details)).await?;
    let row = Row { id, name: new.name, collaboration_id: new.collaboration_id };
    Ok((StatusCode::CREATED, Json(with_members(&hub, row).await?)))
}

fn taken(error: sqlx::Error, name: &str) -> HubError {
    match is_taken(&error) {
        true => HubError::field("name", format!("Study with name '{name}' already exists!")),
        false => error.into(),
    }
}

/// An error unless these organizations belong to the collaboration.
async fn require_members(
    connection: &mut SqliteConnection,
    collaboration_id: i64,
    organizations: &[i64],
) -> Result<(), HubError> {
    let members: Vec<i64> =
        sqlx::query_scalar("SELECT organization_id FROM collaboration_organization WHERE collaboration_id = ?")
            .bind(collaboration_id)
            .fetch_all(connection)
            .await?;
    match organizations.iter().all(|id| members.contains(id)) {
        true => Ok(()),
        false => Err(HubError::field("organization_ids", "Not all organizations are part of the collaboration!")),
    }
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct EditStudy {
    #[garde(custom(check_optional_name))]
    #[serde(default)]
    name: Option<String>,
    /// Accepted and without effect, as in the original.
    #[garde(skip)]
    #[serde(default, rename = "collaboration_id")]
    _collaboration_id: Option<i64>,
    #[garde(custom(check_optional_organization_ids))]
    #[serde(default)]
    organization_ids: Option<Vec<i64>>,
}

async fn edit(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    Body(edit): Body<EditStudy>,
) -> Result<Json<Study>, HubError> {
    caller.require_user()?;
    let mut row = load(&hub, &caller, id, Operation::Edit).await?;
    let present: Vec<i64> = sqlx::query_scalar("SELECT organization_id FROM study_organization WHERE study_id = ?")
        .bind(id)
        .fetch_all(hub.store.reader())
        .await?;
    let details = audit::details([
        changed("name", &row.name, &edit.name),
        edit.organization_ids.as_ref().and_then(|wanted| difference("organizations", &present, wanted)),
    ]);
    let mut change = hub.change(&caller).await?;
    if let Some(name) = edit.name {
        sqlx::query("UPDATE study SET name = ? WHERE id = ?")
            .bind(&name)
            .bind(id)
            .execute(&mut *change)
            .await
            .map_err(|error| taken(error, &name))?;
        row.name = name;
    }
    if let Some(organizations) = &edit.organization_ids {
        require_members(&mut change, row.collaboration_id, organizations).await?;
        members::exchange(&mut change, &hub, &caller, STUDY, id, organizations).await?;
    }
    change.commit(&caller.did("study.edit", "study", id).details(details)).await?;
    Ok(Json(with_members(&hub, row).await?))
}

async fn remove(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    query: ListQuery,
) -> Result<Json<Value>, HubError> {
    caller.require_user()?;
    load(&hub, &caller, id, Operation::Delete).await?;
    let with_dependents = query.flag("delete_dependents")?.unwrap_or(false);
    let mut change = hub.change(&caller).await?;
    let tasks: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM task WHERE study_id = ?").bind(id).fetch_one(&mut *change).await?;
    if tasks > 0 && !with_dependents {
        return Err(HubError::bad(format!(
            "Study id={id} has {tasks} tasks. Please delete them separately or set delete_dependents=True"
        )));
    }
    let members: Vec<i64> = sqlx::query_scalar("SELECT organization_id FROM study_organization WHERE study_id = ?")
        .bind(id)
        .fetch_all(&mut *change)
        .await?;
    let stopped = task::delete_where(&mut change, &caller, "study_id = ?", id).await?;
    sqlx::query("DELETE FROM study WHERE id = ?").bind(id).execute(&mut *change).await?;
    let entry = caller.did("study.delete", "study", id);
    for member in members.into_iter().filter(|member| *member != caller.authority.organization_id) {
        crate::audit::append(&mut change, &entry.clone().of(member)).await?;
    }
    change.commit(&entry).await?;
    stopped.tell(&hub).await;
    Ok(message(format!("Study id={id} successfully deleted")))
}

async fn add_organization(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    Body(member): Body<ById>,
) -> Result<Json<Vec<Organization>>, HubError> {
    caller.require_user()?;
    let row = load(&hub, &caller, id, Operation::Edit).await?;
    let mut change = hub.change(&caller).await?;
    if require_members(&mut change, row.collaboration_id, &[member.id]).await.is_err() {
        return Err(HubError::bad("Organization is not a member of the collaboration!"));
    }
    let entry = members::put_in(&mut change, &hub, &caller, STUDY, id, member.id).await?;
    change.commit(&entry).await?;
    hub.jobs.wake();
    Ok(Json(members::of(&hub, STUDY, id).await?))
}

async fn remove_organization(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    Body(member): Body<ById>,
) -> Result<Json<Vec<Organization>>, HubError> {
    caller.require_user()?;
    load(&hub, &caller, id, Operation::Edit).await?;
    members::remove(&hub, &caller, STUDY, id, member.id).await?;
    Ok(Json(members::of(&hub, STUDY, id).await?))
}
