use std::sync::Arc;

use axum::{Json, Router, extract::State, response::Response, routing::get};
use sqlx::FromRow;

use super::Id;
use crate::{
    hub::{
        HubError,
        listing::{Filters, ListQuery, Listing, SMALL_ROW, SMALL_ROWS},
        permission::Caller,
        server::{API_PATH, HubState},
    },
    protocol::wire::v4::{Included, Rule},
};

pub fn routes() -> Router<Arc<HubState>> {
    Router::new().route("/rule", get(list)).route("/rule/{id}", get(show))
}

#[derive(FromRow)]
struct Row {
    id: i64,
    resource: String,
    scope: String,
    operation: String,
    description: String,
}

impl From<Row> for Rule {
    fn from(row: Row) -> Rule {
        Rule {
            id: row.id,
            name: row.resource,
            description: Some(row.description),
            scope: row.scope,
            operation: row.operation,
            users: Included::Address(format!("{API_PATH}/user?rule_id={}", row.id)),
        }
    }
}

/// Rules are the same for everybody; only whose they are is protected.
async fn list(State(hub): State<Arc<HubState>>, caller: Caller, query: ListQuery) -> Result<Response, HubError> {
    let mut filters = Filters::default();
    filters.like("resource", query.text("name"))?;
    filters.text("operation = upper(?)", query.text("operation"));
    filters.text("scope = upper(?)", query.text("scope"));
    let role_id = query.integer("role_id")?;
    if let Some(id) = role_id {
        super::role::require_view(&hub, &caller, id).await?;
    }
    filters.integer("id IN (SELECT rule_id FROM role_rule WHERE role_id = ?)", role_id);
    if let Some(user_id) = query.integer("user_id")? {
        super::user::require_view(&hub, &caller, user_id).await?;
        filters.when(format!(
            "id IN (SELECT rule_id FROM user_rule WHERE user_id = {user_id} UNION
             SELECT rule_id FROM role_rule JOIN user_role USING (role_id) WHERE user_id = {user_id})"
        ));
    }
    let listing = Listing {
        id: "id",
        from: "rule",
        joined: "",
        columns: "*",
        sortable: &[("id", "id"), ("name", "resource"), ("scope", "scope"), ("operation", "operation")],
        newest_first: false,
        bytes: SMALL_ROWS,
        row_limit: SMALL_ROW,
    };
    listing.fetch::<Row>(hub.store.lists(), &caller, query, filters).await?.answer(Rule::from).await
}

/// The rules of a role.
pub async fn of_role(hub: &HubState, role_id: i64) -> Result<Vec<Rule>, HubError> {
    let rows: Vec<Row> =
        sqlx::query_as("SELECT rule.* FROM rule JOIN role_rule ON rule_id = rule.id WHERE role_id = ? ORDER BY id")
            .bind(role_id)
            .fetch_all(hub.store.reader())
            .await?;
    Ok(rows.into_iter().map(Rule::from).collect())
}

async fn show(State(hub): State<Arc<HubState>>, _: Caller, Id(id): Id) -> Result<Json<Rule>, HubError> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM rule WHERE id = ?").bind(id).fetch_optional(hub.store.reader()).await?;
    row.map(|row| Json(row.into())).ok_or_else(|| HubError::not_found("Rule", id))
}
