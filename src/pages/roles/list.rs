use axum::{extract::State, response::Response};
use leptos::prelude::*;

use crate::{
    pages::{
        components::{Breadcrumbs, TableFrame},
        error::PageError,
        render::Page,
        state::PageState,
        user::User,
    },
    protocol::domain::Operation,
    session::take_flash,
};

/// `GET /roles`
pub async fn show(State(state): State<PageState>, user: User) -> Result<Response, PageError> {
    let me = user.signed_in;
    let flash = take_flash(&user.session).await?;
    let (roles, names) = futures::try_join!(me.hub.roles(), me.names())?;
    let may_create = me.permissions.may_at_role(Operation::Create, true);
    let view = move || {
        let (roles, names) = (roles.clone(), names.clone());
        view! {
            <Breadcrumbs way=vec![("/users".to_owned(), "Users".to_owned())]/>
            <div class="page-head">
                <h1>"Roles"</h1>
                {may_create.then(|| view! { <a class="button primary" href="/roles/new">"New role"</a> })}
            </div>
            <TableFrame label="Table of roles">
                <table class="stacked">
                    <thead><tr><th scope="col">"Name"</th><th scope="col">"What it is for"</th><th scope="col">"Of"</th></tr></thead>
                    <tbody>{roles.into_iter().map(|role| view! {
                        <tr>
                            <th scope="row"><a href=format!("/roles/{}", role.id)>{role.name}</a></th>
                            <td data-label="For">{role.description}</td>
                            <td data-label="Of">{match role.organization_id {
                                Some(id) => names.organization(id),
                                None if role.is_default => "every hub".to_owned(),
                                None => "all organizations".to_owned(),
                            }}</td>
                        </tr>
                    }).collect_view()}</tbody>
                </table>
            </TableFrame>
        }
    };
    Ok(Page::new("Roles").user(me.clone()).section("/users").flash(flash).render(&state, view).await)
}
