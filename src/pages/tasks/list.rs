use std::sync::Arc;

use axum::{
    extract::{Query, State},
    http::HeaderMap,
    response::Response,
};
use leptos::prelude::*;
use serde::Deserialize;

use super::drafts::{BegunTasks, begun};
use crate::{
    pages::{
        components::{Pagination, TaskTable, TextField},
        error::PageError,
        render::Page,
        state::PageState,
        user::User,
    },
    protocol::{
        client::{ClientError, Listed, TaskQuery},
        domain::Task,
        status::Status,
    },
    session::{Names, take_flash},
};

const PER_PAGE: usize = 20;
/// What the list can be sorted by, with the words on screen.
const SORTS: [(&str, &str); 6] = [
    ("-created_at", "Newest first"),
    ("created_at", "Oldest first"),
    ("name", "Name, A to Z"),
    ("-name", "Name, Z to A"),
    ("status", "Status"),
    ("-id", "Id, highest first"),
];

/// The state of the list; it is kept in the address.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Filter {
    q: String,
    collaboration: String,
    status: String,
    user: String,
    /// Whose subtasks are listed; without it tasks that people created.
    parent: String,
    sort: String,
    page: String,
}

impl Filter {
    fn page(&self) -> usize {
        self.page.parse().unwrap_or(1).clamp(1, 1_000_000)
    }

    fn parent(&self) -> Option<i64> {
        self.parent.parse().ok()
    }

    fn query(&self) -> TaskQuery {
        TaskQuery {
            name: Some(self.q.trim().to_owned()).filter(|text| !text.is_empty()),
            collaboration_id: self.collaboration.parse().ok(),
            status: Some(self.status.as_str()).filter(|status| !status.is_empty()).map(Status::from),
            init_user_id: self.user.parse().ok(),
            parent_id: self.parent(),
            only_top_level: self.parent().is_none(),
            sort: SORTS.iter().find(|(key, _)| *key == self.sort).map(|(key, _)| (*key).to_owned()),
            page: self.page(),
            per_page: PER_PAGE,
            ..Default::default()
        }
    }

    fn is_active(&self) -> bool {
        [&self.q, &self.collaboration, &self.status, &self.user, &self.parent]
            .into_iter()
            .any(|value| !value.is_empty())
    }

    fn address(&self, page: usize) -> String {
        let mut query = url::form_urlencoded::Serializer::new("/tasks?".to_owned());
        for (name, value) in [
            ("q", &self.q),
            ("collaboration", &self.collaboration),
            ("status", &self.status),
            ("user", &self.user),
            ("parent", &self.parent),
            ("sort", &self.sort),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.append_pair("page", &page.to_string());
        query.finish().replacen("?&", "?", 1)
    }
}

/// `GET /tasks`
pub async fn show(
    State(state): State<PageState>,
    user: User,
    headers: HeaderMap,
    Query(filter): Query<Filter>,
) -> Result<Response, PageError> {
    let me = user.signed_in.clone();
    let may_create = me.permissions.may_create_tasks();
    let begun = async {
        match may_create && !filter.is_active() && filter.page() == 1 {
            true => begun(&state, &user, &headers).await,
            false => Ok(Vec::new()),
        }
    };
    let mut query = filter.query();
    // Where there are too many to choose from, a username is typed.
    if !filter.user.is_empty() && query.init_user_id.is_none() {
        // Of somebody who is not there, there are no tasks.
        query.init_user_id = Some(me.hub.user_named(filter.user.trim()).await?.map_or(-1, |user| user.id));
    }
    // A number can be an id as well as a part of a name.
    let by_id = async {
        let id = filter.q.trim().trim_start_matches('#').parse::<i64>().ok().filter(|_| filter.page() == 1);
        match id {
            Some(id) => match me.hub.task(id).await {
                Ok(task) => Ok(Some(task)),
                Err(ClientError::NotFound(_) | ClientError::NotAllowed(_)) => Ok(None),
                Err(error) => Err(error),
            },
            None => Ok(None),
        }
    };
    let listed = async { Ok::<_, PageError>(futures::try_join!(me.names(), me.hub.tasks(&query), by_id)?) };
    let ((names, mut tasks, by_id), begun) = futures::try_join!(listed, begun)?;
    if let Some(task) = by_id {
        tasks.items.retain(|other| other.id != task.id);
        tasks.items.insert(0, task);
        tasks.total = tasks.total.max(tasks.items.len());
    }
    names.learn_creators(&me.hub, &tasks.items).await;
    let flash = take_flash(&user.session).await?;
    let own_id = me.user.id;
    let view = move || {
        let (filter, names, tasks) = (filter.clone(), names.clone(), tasks.clone());
        let active = filter.is_active();
        view! {
            <div class="page-head">
                <h1>{filter.parent().map_or_else(|| "Tasks".to_owned(), |id| format!("Subtasks of task {id}"))}</h1>
                {may_create.then(|| view! { <a class="button primary" href="/tasks/new">"Create a task"</a> })}
            </div>
            {filter.parent().map(|id| view! { <p><a href=format!("/tasks/{id}")>{format!("Back to task {id}")}</a></p> })}
            <BegunTasks begun=begun.clone()/>
            <FilterForm filter=filter.clone() names=names.clone() own_id/>
            <List filter tasks names active may_create/>
        }
    };
    Ok(Page::new("Tasks").user(me.clone()).section("/tasks").flash(flash).render(&state, view).await)
}

#[component]
fn List(filter: Filter, tasks: Listed<Task>, names: Arc<Names>, active: bool, may_create: bool) -> impl IntoView {
    if tasks.items.is_empty() {
        return match (active, filter.page() > 1) {
            (_, true) => view! { <p class="empty">"There are not that many pages. " <a href=filter.address(1)>"Go to the first"</a></p> }.into_any(),
            (true, _) => view! { <p class="empty">"No task matches. " <a href="/tasks">"Show all tasks"</a></p> }.into_any(),
            (false, _) if may_create => view! { <p class="empty">"There is no task yet. " <a href="/tasks/new">"Create the first"</a></p> }.into_any(),
            _ => view! { <p class="empty">"There is no task yet."</p> }.into_any(),
        };
    }
    let (page, total) = (filter.page(), tasks.total);
    view! {
        {tasks.is_partial.then(|| view! {
            <p class="help">"Only the newest 2,000 tasks were looked at: the hub cannot search by this itself."</p>
        })}
        <TaskTable tasks=tasks.items names/>
        <Pagination page per_page=PER_PAGE total address=Box::new(move |page| filter.address(page))/>
    }
    .into_any()
}

#[component]
fn FilterForm(filter: Filter, names: Arc<Names>, own_id: i64) -> impl IntoView {
    let collaborations = names.collaborations().into_iter().map(|(id, name)| (id.to_string(), name));
    let statuses = Status::known().map(|status| (status.to_string(), status.to_string()));
    let users = names.all_users().map(|users| {
        let name = |(id, name)| (i64::to_string(&id), if id == own_id { format!("{name} (me)") } else { name });
        let mut users: Vec<(String, String)> = users.into_iter().map(name).collect();
        users.sort_by_key(|(id, _)| *id != own_id.to_string());
        users
    });
    let by = filter.user.clone();
    let sorts = SORTS.iter().map(|(key, name)| ((*key).to_owned(), (*name).to_owned()));
    view! {
        <form method="get" action="/tasks" class="filters" role="search" aria-label="Tasks">
            {filter.parent().map(|id| view! { <input type="hidden" name="parent" value=id/> })}
            <div class="field">
                <label for="q">"Search by id or name"</label>
                <input id="q" name="q" type="search" value=filter.q.clone() maxlength="128"/>
            </div>
            <Choice name="collaboration" label="Collaboration" any="All" options=collaborations.collect() value=filter.collaboration.clone()/>
            <Choice name="status" label="Status" any="All" options=statuses.collect() value=filter.status.clone()/>
            {match users {
                Some(users) => view! { <Choice name="user" label="Created by" any="Anybody" options=users value=by/> }.into_any(),
                None => view! { <TextField name="user" label="Created by (username)" value=by maxlength=128/> }.into_any(),
            }}
            <Choice name="sort" label="Sort" any="" options=sorts.collect() value=filter.sort.clone()/>
            <div class="buttons">
                <button type="submit">"Apply"</button>
                {filter.is_active().then(|| view! { <a class="button quiet" href="/tasks">"Clear"</a> })}
            </div>
        </form>
    }
}

#[component]
fn Choice(
    name: &'static str,
    label: &'static str,
    /// The word for no restriction; empty if one has to be chosen.
    any: &'static str,
    options: Vec<(String, String)>,
    value: String,
) -> impl IntoView {
    view! {
        <div class="field">
            <label for=name>{label}</label>
            <select id=name name=name>
                {(!any.is_empty()).then(|| view! { <option value="">{any}</option> })}
                {options.into_iter().map(|(key, text)| {
                    let selected = key == value;
                    view! { <option value=key selected=selected>{text}</option> }
                }).collect_view()}
            </select>
        </div>
    }
}
