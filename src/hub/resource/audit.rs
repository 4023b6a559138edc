//! `GET /audit`, which vantage6 has not: the log for admins and auditors. It is read only.

use std::sync::Arc;

use axum::{Json, Router, extract::State, response::Response, routing::get};
use serde_json::{Value, json};

use crate::{
    audit::{self, Filter},
    hub::{
        HubError,
        audit::verified,
        listing::ListQuery,
        permission::{Caller, Reach, Resource},
        server::HubState,
    },
    protocol::domain::Operation,
};

pub fn routes() -> Router<Arc<HubState>> {
    Router::new().route("/audit", get(list)).route("/audit/chain", get(chain))
}

async fn list(State(hub): State<Arc<HubState>>, caller: Caller, query: ListQuery) -> Result<Response, HubError> {
    caller.require_user()?;
    let reach = caller.require(Resource::Audit, Operation::View)?;
    let own = (reach != Reach::Everything).then_some(caller.authority.organization_id);
    let asked = query.integer("organization_id")?;
    if own.is_some() && asked.is_some() && asked != own {
        return Err(HubError::NotAllowed);
    }
    let text = |name: &str| query.text(name).map(str::to_owned);
    let filter = Filter {
        organization_id: own.or(asked),
        actor: text("actor"),
        action: text("action"),
        subject: text("subject"),
        outcome: text("outcome"),
        from: query.time("from")?,
        until: query.time("until")?,
    };
    let (offset, limit) = query.window();
    let (entries, total) = audit::page(hub.store.reader(), &filter, offset, limit).await?;
    Ok(query.answer_page(entries, total as usize))
}

/// Whether nothing of the log was changed or taken away.
async fn chain(State(hub): State<Arc<HubState>>, caller: Caller) -> Result<Json<Value>, HubError> {
    caller.require_user()?;
    caller.require(Resource::Audit, Operation::View)?;
    Ok(Json(match verified(&hub).await? {
        Ok(entries) => json!({"holds": true, "entries": entries}),
        Err(broken) => json!({"holds": false, "broken": broken.to_string()}),
    }))
}
