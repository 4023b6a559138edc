use std::sync::Arc;

use axum::{extract::State, response::Response};
use leptos::prelude::*;

use super::{
    account::NewMessages,
    components::{NodeState, TaskTable},
    error::PageError,
    render::Page,
    state::PageState,
    user::User,
};
use crate::{
    protocol::{
        client::{ClientError, TaskQuery},
        domain::Node,
        problem::Problem,
        timestamp,
    },
    session::{Names, take_flash},
};

/// `GET /`: what waits for me, my recent tasks, nodes online.
pub async fn show(State(state): State<PageState>, user: User) -> Result<Response, PageError> {
    let me = user.signed_in;
    let may_create = me.permissions.may_create_tasks();
    // Who creates no tasks has come for those of others.
    let whose = may_create.then_some(me.user.id);
    let recent = TaskQuery { init_user_id: whose, only_top_level: true, per_page: 8, page: 1, ..Default::default() };
    // Who may see no tasks, or no nodes, as those who only decide, is welcome all the same.
    let tasks = async { seen(me.hub.tasks(&recent).await) };
    let nodes = async { seen(me.hub.nodes().await) };
    let problems = async {
        match me.permissions.may_read_whole_audit() {
            true => me.hub.problems().await,
            false => Ok(Vec::new()),
        }
    };
    let messages = async {
        match me.hub.transport().server().await?.has_own_account {
            true => Ok(me.hub.own_account().await?.messages),
            false => Ok(Vec::new()),
        }
    };
    let (names, tasks, nodes, problems, messages) = futures::try_join!(me.names(), tasks, nodes, problems, messages)?;
    names.learn_creators(&me.hub, &tasks.items).await;
    let running = tasks.items.iter().filter(|task| !task.status.is_final()).count();
    let flash = take_flash(&user.session).await?;
    let name = me.user.display_name();
    let mut nodes = nodes;
    nodes.sort_by_key(|node| (node.collaboration_id, node.organization_id));
    let view = move || {
        let (names, tasks, nodes) = (names.clone(), tasks.clone(), nodes.clone());
        let online = nodes.iter().filter(|node| node.online).count();
        let (heading, whose, none) = match may_create {
            true => ("My recent tasks", "your recent tasks", "You have not created a task yet."),
            false => ("Recent tasks", "the recent tasks", "There are no tasks that you may see yet."),
        };
        let waits = match running {
            0 => "Nothing is running at the moment.".to_owned(),
            1 => format!("One of {whose} is running."),
            running => format!("{running} of {whose} are running."),
        };
        view! {
            <div class="page-head">
                <h1>{format!("Welcome, {name}")}</h1>
                {may_create.then(|| view! { <a class="button primary" href="/tasks/new">"Create a task"</a> })}
            </div>
            <Problems problems=problems.clone()/>
            <NewMessages messages=messages.clone()/>
            <p class="lead">{waits}</p>
            <section aria-labelledby="my-tasks">
                <div class="section-head">
                    <h2 id="my-tasks">{heading}</h2>
                    <a href="/tasks">"All tasks"</a>
                </div>
                {if tasks.items.is_empty() {
                    view! { <p class="empty">{none}</p> }.into_any()
                } else {
                    view! { <TaskTable tasks=tasks.items names=names.clone()/> }.into_any()
                }}
            </section>
            <section aria-labelledby="nodes">
                <h2 id="nodes">"Nodes"</h2>
                {if nodes.is_empty() {
                    view! { <p class="empty">"There are no nodes that you may see."</p> }.into_any()
                } else {
                    view! {
                        <p>{format!("{online} of {} nodes are online.", nodes.len())}</p>
                        <ul class="cards">
                            {nodes.into_iter().map(|node| view! { <NodeCard node names=names.clone()/> }).collect_view()}
                        </ul>
                    }.into_any()
                }}
            </section>
        }
    };
    Ok(Page::new("Start").user(me.clone()).section("/").flash(flash).render(&state, view).await)
}

/// What is wrong with the hub.
#[component]
fn Problems(problems: Vec<Problem>) -> impl IntoView {
    (!problems.is_empty()).then(|| view! {
        <section class="flash error" aria-labelledby="problems">
            <h2 id="problems">"This server needs you"</h2>
            <ul>
                {problems.into_iter().map(|problem| {
                    let since = timestamp::parse(&problem.since).map(|time| time.strftime("%Y-%m-%d %H:%M UTC").to_string());
                    view! { <li>{problem.text} {since.map(|since| format!(" Noted {since}."))}</li> }
                }).collect_view()}
            </ul>
            <p><a href="/audit">"What happened stands in the audit log"</a></p>
        </section>
    })
}

/// What is there; nothing if it may not be seen.
fn seen<T: Default>(answer: Result<T, ClientError>) -> Result<T, ClientError> {
    match answer {
        Err(ClientError::NotAllowed(_)) => Ok(T::default()),
        answer => answer,
    }
}

#[component]
fn NodeCard(node: Node, names: Arc<Names>) -> impl IntoView {
    let organization = node.organization_id.map(|id| (id, names.organization(id)));
    let collaboration = node.collaboration_id.map(|id| (id, names.collaboration(id)));
    view! {
        <li class="card">
            <p class="card-title">
                {organization.map(|(id, name)| view! { <a href=format!("/organizations/{id}")>{name}</a> })}
            </p>
            <p class="muted">
                {collaboration.map(|(id, name)| view! { <a href=format!("/collaborations/{id}")>{name}</a> })}
            </p>
            <p><NodeState node=Some(node)/></p>
        </li>
    }
}
