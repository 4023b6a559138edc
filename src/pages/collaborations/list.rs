use axum::{extract::State, response::Response};
use leptos::prelude::*;

use crate::{
    pages::{error::PageError, render::Page, state::PageState, user::User},
    session::take_flash,
};

/// `GET /collaborations`
pub async fn show(State(state): State<PageState>, user: User) -> Result<Response, PageError> {
    let me = user.signed_in;
    let (mut collaborations, nodes) = futures::try_join!(me.hub.collaborations(), me.hub.nodes())?;
    collaborations.sort_by_key(|collaboration| collaboration.name.to_lowercase());
    let flash = take_flash(&user.session).await?;
    let may_create = me.permissions.may_create_collaborations();
    let view = move || {
        let (collaborations, nodes) = (collaborations.clone(), nodes.clone());
        view! {
            <div class="page-head">
                <h1>"Collaborations"</h1>
                {may_create.then(|| view! { <a class="button primary" href="/collaborations/new">"New collaboration"</a> })}
            </div>
            {if collaborations.is_empty() {
                view! {
                    <p class="empty">"Your organization takes part in no collaboration yet. Whoever runs the hub can add it."</p>
                }.into_any()
            } else {
                view! {
                    <ul class="cards">
                        {collaborations.into_iter().map(|collaboration| {
                            let of_this = nodes.iter().filter(|node| node.collaboration_id == Some(collaboration.id));
                            let (online, all) = of_this.fold((0, 0), |(online, all), node| (online + i32::from(node.online), all + 1));
                            let members: Vec<String> =
                                collaboration.organizations.iter().map(|organization| organization.name.clone()).collect();
                            view! {
                                <li class="card">
                                    <p class="card-title">
                                        <a href=format!("/collaborations/{}", collaboration.id)>{collaboration.name}</a>
                                        {collaboration.encrypted.then(|| view! { " " <span class="tag">"encrypted"</span> })}
                                    </p>
                                    <p>{members.join(", ")}</p>
                                    <p class="muted">{format!("{online} of {all} nodes online")}</p>
                                </li>
                            }
                        }).collect_view()}
                    </ul>
                }.into_any()
            }}
        }
    };
    Ok(Page::new("Collaborations").user(me.clone()).section("/collaborations").flash(flash).render(&state, view).await)
}
