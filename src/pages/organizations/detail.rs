use axum::{
    extract::{Path, State},
    response::Response,
};
use leptos::prelude::*;

use crate::pages::{
    components::{Breadcrumbs, DatabaseList, NodePolicies, NodeState, SecondProgram},
    error::PageError,
    render::Page,
    state::PageState,
    user::User,
};
use crate::session::take_flash;

/// `GET /organizations/{id}`: what is known of it, its collaborations and its nodes.
pub async fn show(State(state): State<PageState>, user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id: i64 = id.parse().map_err(|_| PageError::not_found("This organization"))?;
    let me = user.signed_in;
    let (organization, collaborations, nodes) =
        futures::try_join!(me.hub.organization(id), me.hub.collaborations(), me.hub.nodes())?;
    let title = organization.name.clone();
    let flash = take_flash(&user.session).await?;
    let is_own = me.user.organization_id == Some(id);
    let shares = collaborations.iter().any(|collaboration| {
        let takes_part = |id| collaboration.organizations.iter().any(|member| Some(member.id) == id);
        takes_part(Some(id)) && takes_part(me.user.organization_id)
    });
    let may_edit = me.permissions.may_edit_organization(is_own, shares);
    let may_delete = me.permissions.may_delete_organization(is_own);
    let view = move || {
        let organization = organization.clone();
        let of_this: Vec<_> = collaborations
            .iter()
            .filter(|collaboration| collaboration.organizations.iter().any(|member| member.id == id))
            .cloned()
            .collect();
        let nodes: Vec<_> = nodes.iter().filter(|node| node.organization_id == Some(id)).cloned().collect();
        let none = of_this.is_empty();
        view! {
            <Breadcrumbs way=vec![("/organizations".to_owned(), "Organizations".to_owned())]/>
            <div class="page-head">
                <h1>{organization.name}</h1>
                <div class="actions">
                    {may_edit.then(|| view! { <a class="button" href=format!("/organizations/{id}/edit")>"Change"</a> })}
                    {may_delete.then(|| view! { <a class="button danger" href=format!("/organizations/{id}/delete")>"Delete"</a> })}
                </div>
            </div>
            <dl class="facts">
                <div><dt>"Id"</dt><dd>{organization.id}</dd></div>
                {(!organization.domain.is_empty()).then(|| view! { <div><dt>"Domain"</dt><dd>{organization.domain}</dd></div> })}
                {(!organization.address.is_empty()).then(|| view! { <div><dt>"Address"</dt><dd>{organization.address.join(", ")}</dd></div> })}
                <div><dt>"Public key"</dt><dd>{if organization.has_public_key { "registered" } else { "none" }}</dd></div>
            </dl>
            <section aria-labelledby="collaborations">
                <h2 id="collaborations">"Collaborations and nodes"</h2>
                {none.then(|| view! { <p class="empty">"It takes part in no collaboration that you may see."</p> })}
                <ul class="cards wide">
                    {of_this.into_iter().map(|collaboration| {
                        let node = nodes.iter().find(|node| node.collaboration_id == Some(collaboration.id)).cloned();
                        let of_databases = node.clone();
                        view! {
                            <li class="card">
                                <p class="card-title"><a href=format!("/collaborations/{}", collaboration.id)>{collaboration.name}</a></p>
                                <p><NodeState node=node.clone()/> {node.as_ref().map(|node| view! { " " <a href=format!("/nodes/{}", node.id)>{node.name.clone()}</a> })}</p>
                                <SecondProgram at=node.as_ref().and_then(|node| node.second_program)/>
                                {of_databases.map(|node| view! { <DatabaseList node/> })}
                                {node.map(|node| view! { <h3>"Policies of its node"</h3> <NodePolicies node/> })}
                            </li>
                        }
                    }).collect_view()}
                </ul>
            </section>
        }
    };
    Ok(Page::new(title).user(me.clone()).section("/organizations").flash(flash).render(&state, view).await)
}
