use axum::{
    extract::{Query, State},
    response::Response,
};
use leptos::prelude::*;
use serde::Deserialize;

use crate::{
    pages::{
        components::{TableFrame, TextField, Time},
        error::PageError,
        render::Page,
        state::PageState,
        user::User,
    },
    protocol::domain::{Account, Operation},
    session::{SignedIn, take_flash},
};

/// An error for those who manage no users.
pub fn require(me: &SignedIn) -> Result<(), PageError> {
    match me.permissions.may_manage_users() {
        true => Ok(()),
        false => Err(PageError::Forbidden("Your roles do not permit to manage users.".to_owned())),
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Filter {
    q: String,
}

impl Filter {
    fn matches(&self, account: &Account) -> bool {
        let q = self.q.trim().to_lowercase();
        let texts = [&account.username, &account.first_name, &account.last_name, &account.email];
        q.is_empty() || account.id.to_string() == q || texts.iter().any(|text| text.to_lowercase().contains(&q))
    }
}

/// `GET /users`
pub async fn show(
    State(state): State<PageState>,
    user: User,
    Query(filter): Query<Filter>,
) -> Result<Response, PageError> {
    let me = user.signed_in;
    require(&me)?;
    let flash = take_flash(&user.session).await?;
    let (mut accounts, names) = futures::try_join!(me.hub.accounts(), me.names())?;
    accounts.retain(|account| filter.matches(account));
    accounts.sort_by_key(|account| account.username.to_lowercase());
    let may_create = me.permissions.may_touch_user(Operation::Create, true);
    let view = move || {
        let (accounts, names, filter) = (accounts.clone(), names.clone(), filter.clone());
        let none = accounts.is_empty();
        view! {
            <div class="page-head">
                <h1>"Users"</h1>
                <div class="actions">
                    <a class="button" href="/roles">"Roles"</a>
                    {may_create.then(|| view! { <a class="button primary" href="/users/new">"New user"</a> })}
                </div>
            </div>
            <form method="get" action="/users" class="filters" role="search" aria-label="Users">
                <TextField name="q" label="Search by name, e-mail or id" kind="search" value=filter.q maxlength=128/>
                <div class="buttons"><button type="submit">"Apply"</button></div>
            </form>
            {if none {
                view! { <p class="empty">"No user matches. " <a href="/users">"Show all"</a></p> }.into_any()
            } else {
                view! {
                    <TableFrame label="Table of users">
                        <table class="stacked">
                            <thead><tr>
                                <th scope="col">"Username"</th><th scope="col">"Name"</th><th scope="col">"E-mail"</th>
                                <th scope="col">"Organization"</th><th scope="col">"Last seen"</th>
                            </tr></thead>
                            <tbody>{accounts.into_iter().map(|account| {
                                let name = format!("{} {}", account.first_name, account.last_name);
                                view! {
                                    <tr>
                                        <th scope="row">
                                            <a href=format!("/users/{}", account.id)>{account.username}</a>
                                            {account.disabled.then(|| view! { " " <span class="tag">"deactivated"</span> })}
                                        </th>
                                        <td data-label="Name">{name.trim().to_owned()}</td>
                                        <td data-label="E-mail">{account.email}</td>
                                        <td data-label="Organization">{account.organization_id.map(|id| view! { <a href=format!("/organizations/{id}")>{names.organization(id)}</a> })}</td>
                                        <td data-label="Last seen"><Time value=account.last_seen missing="never"/></td>
                                    </tr>
                                }
                            }).collect_view()}</tbody>
                        </table>
                    </TableFrame>
                }.into_any()
            }}
        }
    };
    Ok(Page::new("Users").user(me.clone()).section("/users").flash(flash).render(&state, view).await)
}
