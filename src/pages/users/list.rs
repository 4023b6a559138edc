use axum::{
    extract::{Query, State},
    response::Response,
};
use leptos::prelude::*;
use serde::Deserialize;

use crate::{
    pages::{
        components::{Pagination, TableFrame, TextField, Time},
        error::PageError,
        render::Page,
        state::PageState,
        user::User,
    },
    protocol::{client::Listed, domain::Operation},
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
    page: String,
}

const PER_PAGE: usize = 50;

impl Filter {
    fn page(&self) -> usize {
        self.page.parse().unwrap_or(1).clamp(1, 1_000_000)
    }

    fn address(&self, page: usize) -> String {
        let mut query = url::form_urlencoded::Serializer::new("/users?".to_owned());
        if !self.q.is_empty() {
            query.append_pair("q", &self.q);
        }
        query.append_pair("page", &page.to_string());
        query.finish().replacen("?&", "?", 1)
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
    let (accounts, names) = futures::try_join!(me.hub.accounts(&filter.q, filter.page(), PER_PAGE), me.names())?;
    let may_create = me.permissions.may_touch_user(Operation::Create, true);
    let view = move || {
        let (accounts, names, filter) = (accounts.clone(), names.clone(), filter.clone());
        let Listed { items: accounts, total, is_partial } = accounts;
        let none = accounts.is_empty();
        let page = filter.page();
        let q = filter.q.clone();
        view! {
            <div class="page-head">
                <h1>"Users"</h1>
                <div class="actions">
                    <a class="button" href="/roles">"Roles"</a>
                    {may_create.then(|| view! { <a class="button primary" href="/users/new">"New user"</a> })}
                </div>
            </div>
            <form method="get" action="/users" class="filters" role="search" aria-label="Users">
                <TextField name="q" label="Search by name, e-mail or id" kind="search" value=q maxlength=128/>
                <div class="buttons"><button type="submit">"Apply"</button></div>
            </form>
            {if none {
                let text = if page > 1 { "There are not that many pages. " } else { "No user matches. " };
                view! { <p class="empty">{text} <a href="/users">"Show all"</a></p> }.into_any()
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
                    {is_partial.then(|| view! {
                        <p class="help">"Only the first 10,000 users were looked at: this server cannot search by itself."</p>
                    })}
                    <Pagination page per_page=PER_PAGE total address=Box::new(move |page| filter.address(page))/>
                }.into_any()
            }}
        }
    };
    Ok(Page::new("Users").user(me.clone()).section("/users").flash(flash).render(&state, view).await)
}
