use axum::{
    extract::{Form as Fields, Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use leptos::prelude::*;

use super::register::{NewKey, keys_page};
use crate::{
    pages::{
        components::{Breadcrumbs, DatabaseList, NodePolicies, NodeState, SecondProgram, TextField},
        confirm::Question,
        error::PageError,
        form::Sent,
        render::Page,
        state::PageState,
        user::User,
    },
    protocol::{
        client::{ClientError, refusal},
        domain::{Node, Operation},
    },
    session::{FlashKind, SignedIn, put_flash, take_flash},
};

fn number(id: &str) -> Result<i64, PageError> {
    id.parse().map_err(|_| PageError::not_found("This node"))
}

async fn way(me: &SignedIn, node: &Node) -> Result<Vec<(String, String)>, PageError> {
    let mut way = vec![("/collaborations".to_owned(), "Collaborations".to_owned())];
    let names = me.names().await?;
    way.extend(node.collaboration_id.map(|id| (format!("/collaborations/{id}"), names.collaboration(id))));
    Ok(way)
}

/// Whether who is signed in may do this to a node; nodes that they see share a collaboration.
fn may(me: &SignedIn, node: &Node, operation: Operation) -> bool {
    let is_own = node.organization_id.is_some() && node.organization_id == me.user.organization_id;
    match operation {
        // With the node its key is gone.
        Operation::Delete => me.permissions.may_get_key(operation, is_own),
        _ => me.permissions.may_at_node(operation, is_own, true),
    }
}

/// `GET /nodes/{id}`
pub async fn show(State(state): State<PageState>, user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id)?;
    let flash = take_flash(&user.session).await?;
    render(&state, user.signed_in, id, flash, None).await
}

async fn render(
    state: &PageState,
    me: SignedIn,
    id: i64,
    flash: Option<crate::session::Flash>,
    wrong: Option<(String, String)>,
) -> Result<Response, PageError> {
    let node = me.hub.node(id).await?;
    let way = way(&me, &node).await?;
    let organization = node.organization_id.map(|id| (id, String::new()));
    let names = me.names().await?;
    let organization = organization.map(|(id, _)| (id, names.organization(id)));
    let (edits, deletes) = (may(&me, &node, Operation::Edit), may(&me, &node, Operation::Delete));
    let is_own = node.organization_id.is_some() && node.organization_id == me.user.organization_id;
    let gets_key = me.permissions.may_get_key(Operation::Edit, is_own);
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let title = format!("Node {}", node.name);
    let view = move || {
        let (node, way, organization, wrong) = (node.clone(), way.clone(), organization.clone(), wrong.clone());
        let (typed, error) = wrong.map_or((node.name.clone(), None), |(typed, error)| (typed, Some(error)));
        let of_databases = node.clone();
        view! {
            <Breadcrumbs way/>
            <div class="page-head">
                <h1>{node.name.clone()}</h1>
                <div class="actions">
                    {gets_key.then(|| view! { <a class="button" href=format!("/nodes/{id}/key")>"New API key"</a> })}
                    {deletes.then(|| view! { <a class="button danger" href=format!("/nodes/{id}/delete")>"Delete"</a> })}
                </div>
            </div>
            <dl class="facts">
                <div><dt>"State"</dt><dd><NodeState node=Some(node.clone())/> <SecondProgram at=node.second_program/></dd></div>
                <div><dt>"Organization"</dt><dd>{organization.map(|(id, name)| view! { <a href=format!("/organizations/{id}")>{name}</a> })}</dd></div>
                <div><dt>"Databases"</dt><dd><DatabaseList node=of_databases/></dd></div>
                <div><dt>"Policies"</dt><dd><NodePolicies node=node.clone()/></dd></div>
            </dl>
            {edits.then(|| view! {
                <section aria-labelledby="rename">
                    <h2 id="rename">"Rename"</h2>
                    <form method="post" action=format!("/nodes/{id}")>
                        <TextField name="name" label="Name" value=typed maxlength=128 required=true error/>
                        <button type="submit">"Save the name"</button>
                    </form>
                </section>
            })}
        }
    };
    Ok(Page::new(title).user(me).section("/collaborations").flash(flash).status(status).render(state, view).await)
}

/// `POST /nodes/{id}`
pub async fn rename(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
    Fields(fields): Fields<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let id = number(&id)?;
    let me = user.signed_in;
    let name = Sent(fields).text("name");
    match me.hub.rename_node(id, &name).await {
        Ok(()) => {
            put_flash(&user.session, FlashKind::Success, "The node is renamed.").await?;
            Ok(Redirect::to(&format!("/nodes/{id}")).into_response())
        }
        Err(error) => match refusal(&error) {
            Some(message) => render(&state, me, id, None, Some((name, message))).await,
            None => Err(error.into()),
        },
    }
}

/// `GET /nodes/{id}/key`
pub async fn confirm_key(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id = number(&id)?;
    let me = user.signed_in;
    let node = me.hub.node(id).await?;
    PageError::unless(may(&me, &node, Operation::Edit))?;
    let question = Question {
        heading: format!("Give {} a new API key?", node.name),
        section: "/collaborations",
        way: way(&me, &node).await?,
        text: "The present key is worth nothing from then on: the node is disconnected until the new key stands in its \
               configuration.",
        with_it: Vec::new(),
        action: format!("/nodes/{id}/key"),
        confirm: "Give it a new key",
        back: format!("/nodes/{id}"),
    };
    Ok(question.render(&state, me).await)
}

/// `POST /nodes/{id}/key`: the answer shows the key, once.
pub async fn new_key(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id = number(&id)?;
    let me = user.signed_in;
    let node = me.hub.node(id).await?;
    let key = me.hub.new_api_key(id).await?;
    let organization = node.organization_id.unwrap_or_default();
    let organization = me.names().await?.organization(organization);
    let mut way = way(&me, &node).await?;
    way.push((format!("/nodes/{id}"), node.name.clone()));
    Ok(keys_page(&state, me, way, vec![NewKey { node: node.name, organization, key }], Vec::new()).await)
}

/// `GET /nodes/{id}/delete`
pub async fn confirm_delete(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id = number(&id)?;
    let me = user.signed_in;
    let node = me.hub.node(id).await?;
    PageError::unless(may(&me, &node, Operation::Delete))?;
    let question = Question {
        heading: format!("Delete the node {}?", node.name),
        section: "/collaborations",
        way: way(&me, &node).await?,
        text: "Its API key is worth nothing from then on, and no task can be sent to the organization in this \
               collaboration until another node is registered. Tasks and results stay.",
        with_it: Vec::new(),
        action: format!("/nodes/{id}/delete"),
        confirm: "Delete the node",
        back: format!("/nodes/{id}"),
    };
    Ok(question.render(&state, me).await)
}

/// `POST /nodes/{id}/delete`
pub async fn delete(user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id)?;
    let me = user.signed_in;
    let collaboration = me.hub.node(id).await.ok().and_then(|node| node.collaboration_id);
    match me.hub.delete_node(id).await {
        // Somebody else, or the second press of the same button.
        Ok(()) | Err(ClientError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    put_flash(&user.session, FlashKind::Success, "The node is deleted.").await?;
    let next = collaboration.map_or_else(|| "/collaborations".to_owned(), |id| format!("/collaborations/{id}"));
    Ok(Redirect::to(&next).into_response())
}
