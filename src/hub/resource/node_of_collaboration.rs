//! Nodes that are put into a collaboration and taken out of it.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde_json::Value;

use super::{
    Id,
    collaboration::load_to_change,
    is_taken,
    members::{self, ById, COLLABORATION},
    message, node,
};
use crate::{
    hub::{
        HubError,
        body::Body,
        notice,
        permission::{Caller, Resource},
        server::HubState,
    },
    protocol::{domain::Operation, wire::v4::Node},
};

/// `POST /collaboration/{id}/node`: moves a node here.
pub async fn add(
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
    // Moving a node takes it from another collaboration, so that one must be the caller's to change too; and whom a node
    // serves is a matter of its own organization.
    load_to_change(&hub, &caller, present, Operation::Edit).await?;
    if !caller.is_inside(Resource::Node, Operation::Edit, organization_id) {
        return Err(HubError::NotAllowed);
    }
    if !members::of(&hub, COLLABORATION, id).await?.iter().any(|organization| organization.id == organization_id) {
        return Err(HubError::bad(format!(
            "Node id={} belongs to an organization that is not part of collaboration id={id}. Please add the \
             organization to the collaboration first",
            member.id
        )));
    }
    let mut change = hub.change(&caller).await?;
    sqlx::query("UPDATE node SET collaboration_id = ? WHERE id = ?")
        .bind(id)
        .bind(member.id)
        .execute(&mut *change)
        .await
        .map_err(|error| match is_taken(&error) {
            true => HubError::bad("The organization already has a node in this collaboration"),
            false => error.into(),
        })?;
    let what = "An administrator has moved your node to another collaboration.";
    notice::tell_admins(&mut change, &hub, &caller, organization_id, what).await?;
    let entry = caller.did("member.add", "collaboration", id).details(format!("node {}", member.id));
    change.commit(&entry.of(organization_id)).await?;
    hub.jobs.wake();
    hub.store.forget_authorities();
    Ok((StatusCode::CREATED, Json(node::of_collaboration(&hub, id).await?)))
}

/// `DELETE /collaboration/{id}/node`
pub async fn remove(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    Body(member): Body<ById>,
) -> Result<Json<Value>, HubError> {
    load_to_change(&hub, &caller, id, Operation::Edit).await?;
    // A node without a collaboration has no use here: it is deleted, which needs that permission as well.
    node::delete_of(&hub, &caller, member.id, id).await?;
    Ok(message(format!("node id={} removed from collaboration id={id}", member.id)))
}
