//! `GET /audit`, which vantage6 has not: the log for admins and auditors. It is read only.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use garde::Validate;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    audit::{self, Filter, Head},
    hub::{
        HubError,
        audit::{exchange_heads, verified},
        body::{Body, SIGN_IN_LIMIT},
        listing::ListQuery,
        permission::{Caller, Reach, Resource},
        server::HubState,
    },
    protocol::{
        audit::{Exchange, Exchanged},
        domain::Operation,
    },
};

pub fn routes() -> Router<Arc<HubState>> {
    Router::new()
        .route("/audit", get(list))
        .route("/audit/chain", get(chain))
        .route("/audit/head", post(exchange))
        .route("/audit/refused", post(refused))
}

async fn list(State(hub): State<Arc<HubState>>, caller: Caller, query: ListQuery) -> Result<Response, HubError> {
    caller.require_user()?;
    query.only(&["organization_id", "actor", "action", "subject", "outcome", "from", "until"])?;
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
    let (entries, total) = audit::page(hub.store.lists(), &filter, offset, limit).await?;
    query.answer_page(entries, total as usize).await
}

#[derive(Deserialize, Validate)]
#[serde(transparent)]
struct ExchangeBody {
    #[garde(skip)]
    exchange: Exchange,
}

/// `POST /audit/head`: hub and node tell each other the ends of their logs, so that neither is written anew unnoticed.
async fn exchange(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(ExchangeBody { exchange }): Body<ExchangeBody, SIGN_IN_LIMIT>,
) -> Result<Json<Exchanged>, HubError> {
    let node_id = caller.require_node()?;
    if hub.told_by_nodes.check_key(&node_id).is_err() {
        return Err(HubError::TooMany);
    }
    let read = |name: &str, text: &str| text.parse::<Head>().map_err(|error| HubError::field(name, error));
    let of_node = read("head", &exchange.head)?;
    let known = exchange.known.as_deref().map(|known| read("known", known)).transpose()?;
    let lost = exchange.lost.as_deref().map(|lost| read("lost", lost)).transpose()?;
    let organization_id = caller.authority.organization_id;
    Ok(Json(exchange_heads(&hub, node_id, organization_id, &of_node, known.as_ref(), lost.as_ref()).await?))
}

#[derive(Deserialize, Validate)]
struct RefusedPage {
    #[garde(length(bytes, max = 1_000))]
    page: String,
}

/// `POST /audit/refused`: a portal refused somebody a page, and so did not ask the hub.
async fn refused(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(RefusedPage { page }): Body<RefusedPage, SIGN_IN_LIMIT>,
) -> Result<Json<Value>, HubError> {
    let id = caller.require_user()?;
    let page: String = page.chars().filter(|character| !character.is_control()).take(200).collect();
    let entry = caller.did("page.view", "user", id).outcome("refused").details(page);
    if hub.repeated.count(&entry) {
        hub.change(&caller).await?.commit(&entry).await?;
    }
    Ok(Json(json!({"msg": "It is noted."})))
}

/// Whether nothing of the log was changed or taken away.
async fn chain(State(hub): State<Arc<HubState>>, caller: Caller, query: ListQuery) -> Result<Json<Value>, HubError> {
    caller.require_user()?;
    query.only(&[])?;
    caller.require(Resource::Audit, Operation::View)?;
    Ok(Json(match verified(&hub).await? {
        Ok(entries) => json!({"holds": true, "entries": entries}),
        Err(broken) => json!({"holds": false, "broken": broken.to_string()}),
    }))
}
