use axum::{extract::State, response::Response};
use leptos::prelude::*;

use crate::{
    pages::{components::TableFrame, error::PageError, render::Page, state::PageState, user::User},
    session::take_flash,
};

/// `GET /organizations`
pub async fn show(State(state): State<PageState>, user: User) -> Result<Response, PageError> {
    let flash = take_flash(&user.session).await?;
    let me = user.signed_in;
    let (mut organizations, collaborations) = futures::try_join!(me.hub.organizations(), me.hub.collaborations())?;
    organizations.sort_by_key(|organization| organization.name.to_lowercase());
    let own = me.user.organization_id;
    let may_create = me.permissions.may_create_organizations();
    let view = move || {
        let (organizations, collaborations) = (organizations.clone(), collaborations.clone());
        view! {
            <div class="page-head">
                <h1>"Organizations"</h1>
                {may_create.then(|| view! { <a class="button primary" href="/organizations/new">"New organization"</a> })}
            </div>
            <TableFrame label="Table of organizations">
                <table class="stacked">
                    <thead>
                        <tr><th scope="col" class="number">"Id"</th><th scope="col">"Name"</th><th scope="col">"Country"</th><th scope="col">"Collaborations"</th></tr>
                    </thead>
                    <tbody>
                        {organizations.into_iter().map(|organization| {
                            let of_this: Vec<_> = collaborations.iter()
                                .filter(|collaboration| collaboration.organizations.iter().any(|member| member.id == organization.id))
                                .map(|collaboration| view! { <li><a href=format!("/collaborations/{}", collaboration.id)>{collaboration.name.clone()}</a></li> })
                                .collect();
                            let country = if organization.country.is_empty() { "–".to_owned() } else { organization.country };
                            view! {
                                <tr>
                                    <td class="number" data-label="Id">{organization.id}</td>
                                    <th scope="row">
                                        <a href=format!("/organizations/{}", organization.id)>{organization.name}</a>
                                        {(own == Some(organization.id)).then(|| view! { " " <span class="tag">"yours"</span> })}
                                    </th>
                                    <td data-label="Country">{country}</td>
                                    <td data-label="Collaborations">{if of_this.is_empty() { view! { "–" }.into_any() } else { view! { <ul class="plain">{of_this}</ul> }.into_any() }}</td>
                                </tr>
                            }
                        }).collect_view()}
                    </tbody>
                </table>
            </TableFrame>
        }
    };
    Ok(Page::new("Organizations").user(me.clone()).section("/organizations").flash(flash).render(&state, view).await)
}
