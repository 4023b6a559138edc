use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::Response,
};
use leptos::prelude::*;

use super::{
    live::TaskLive,
    load::{TaskView, load_view},
};
use crate::{
    islands::LiveUpdates,
    pages::{
        components::{ArgumentList, Breadcrumbs, Time},
        error::PageError,
        render::Page,
        state::PageState,
        user::User,
    },
    protocol::domain::FunctionCall,
    session::{Names, take_flash},
};

/// `GET /tasks/{id}`: status, what runs where with which arguments, runs, results.
pub async fn show(State(state): State<PageState>, user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id: i64 = id.parse().map_err(|_| PageError::not_found("This task"))?;
    let me = user.signed_in;
    let task_view = load_view(&me, id).await?;
    let flash = take_flash(&user.session).await?;
    let title = format!("Task {id}: {}", name_of(&task_view));
    let finished = task_view.state.finished;
    let actions = Actions {
        cancel: !finished && me.may_cancel(&task_view.task).await,
        delete: me.permissions.may_delete(&task_view.task, &me.user),
        repeat: me.permissions.may_create_tasks()
            && task_view.task.parent_id.is_none()
            && matches!(&task_view.call, Some(Ok(call)) if call.written.is_none()),
    };
    let view = move || view! { <TaskPage view=task_view.clone() actions/> };
    let page = Page::new(title).user(me.clone()).section("/tasks").flash(flash);
    // What is final needs no script.
    let page = if finished { page } else { page.refreshing().with_islands() };
    Ok(page.render(&state, view).await)
}

fn name_of(view: &TaskView) -> String {
    if view.task.name.is_empty() { "(without a name)".to_owned() } else { view.task.name.clone() }
}

#[derive(Clone, Copy)]
struct Actions {
    cancel: bool,
    delete: bool,
    repeat: bool,
}

#[component]
fn TaskPage(view: TaskView, actions: Actions) -> impl IntoView {
    let id = view.task.id;
    let mut way = vec![("/tasks".to_owned(), "Tasks".to_owned())];
    way.extend(view.task.parent_id.map(|parent| (format!("/tasks/{parent}"), format!("Task {parent}"))));
    view! {
        <Breadcrumbs way/>
        <div class="page-head">
            <h1><span class="muted">{format!("Task {id} ")}</span>{name_of(&view)}</h1>
            <div class="actions">
                {actions.repeat.then(|| view! {
                    <form method="post" action=format!("/tasks/{id}/repeat")><button type="submit">"Repeat"</button></form>
                })}
                {actions.cancel.then(|| view! { <a class="button cancel-action" href=format!("/tasks/{id}/cancel")>"Cancel task"</a> })}
                {actions.delete.then(|| view! { <a class="button danger" href=format!("/tasks/{id}/delete")>"Delete"</a> })}
            </div>
        </div>
        {(!view.task.description.is_empty()).then(|| view! { <p class="lead">{view.task.description.clone()}</p> })}
        <TaskLive id state=view.state.clone()/>
        {(!view.state.finished).then(|| view! { <LiveUpdates/> })}
        <Facts view/>
    }
}

#[component]
fn Facts(view: TaskView) -> impl IntoView {
    let (task, names, call) = (view.task, view.names, view.call);
    let creator = names.creator(task.init_user_id, None);
    let organization = task.init_organization_id.map(|id| (id, names.organization(id)));
    let collaboration = task.collaboration_id.map(|id| (id, names.collaboration(id)));
    view! {
        <section aria-labelledby="facts">
            <h2 id="facts">"About this task"</h2>
            <dl class="facts">
                <div><dt>"Created"</dt><dd><Time value=task.created_at/></dd></div>
                <div><dt>"Created by"</dt><dd>{creator} {organization.map(|(id, name)| view! { " of " <a href=format!("/organizations/{id}")>{name}</a> })}</dd></div>
                <div><dt>"Collaboration"</dt><dd>{collaboration.map(|(id, name)| view! { <a href=format!("/collaborations/{id}")>{name}</a> })}</dd></div>
                <div><dt>"Image"</dt><dd><code>{task.image}</code></dd></div>
                {match call {
                    Some(Ok(call)) => view! { <Call call names/> }.into_any(),
                    Some(Err(error)) => view! { <div><dt>"Function"</dt><dd>{format!("not readable here: {error}")}</dd></div> }.into_any(),
                    None => ().into_any(),
                }}
                <div><dt>"Databases"</dt><dd>{if task.databases.is_empty() { "none".to_owned() } else { task.databases.join(", ") }}</dd></div>
            </dl>
        </section>
    }
}

#[component]
fn Call(call: FunctionCall, names: Arc<Names>) -> impl IntoView {
    let is_of_python = call.written.is_some();
    view! {
        <div><dt>"Function"</dt><dd><code>{call.function}</code></dd></div>
        <div>
            <dt>"Arguments"</dt>
            <dd>
                <ArgumentList args=call.args kwargs=call.kwargs names/>
                {is_of_python.then(|| view! {
                    <p class="muted">"They are JSON as Python writes it, with NaN or the like, and reach the algorithm as they came. No form can hold them: repeat the task from where it was sent."</p>
                })}
            </dd>
        </div>
    }
}
