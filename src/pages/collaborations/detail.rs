use axum::{
    extract::{Path, State},
    response::Response,
};
use leptos::prelude::*;

use crate::{
    pages::{
        components::{Breadcrumbs, DatabaseList, NodeState, TableFrame, TaskTable},
        error::PageError,
        render::Page,
        state::PageState,
        user::User,
    },
    protocol::client::TaskQuery,
};

/// `GET /collaborations/{id}`: organizations, nodes, databases, tasks.
pub async fn show(State(state): State<PageState>, user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id: i64 = id.parse().map_err(|_| PageError::not_found("This collaboration"))?;
    let me = user.signed_in;
    let recent =
        TaskQuery { collaboration_id: Some(id), only_top_level: true, per_page: 10, page: 1, ..Default::default() };
    let (collaboration, nodes, tasks, names) =
        futures::try_join!(me.hub.collaboration(id), me.hub.nodes_of(id), me.hub.tasks(&recent), me.names())?;
    let title = collaboration.name.clone();
    let takes_part = collaboration.organizations.iter().any(|own| Some(own.id) == me.user.organization_id);
    let may_create = me.permissions.may_create_tasks() && takes_part && !collaboration.encrypted;
    let view = move || {
        let (collaboration, nodes, tasks, names) = (collaboration.clone(), nodes.clone(), tasks.clone(), names.clone());
        view! {
            <Breadcrumbs way=vec![("/collaborations".to_owned(), "Collaborations".to_owned())]/>
            <div class="page-head">
                <h1>{collaboration.name.clone()}</h1>
                {may_create.then(|| view! {
                    <a class="button primary" href=format!("/tasks/new?collaboration={id}")>"Create a task here"</a>
                })}
            </div>
            <p class="muted">
                {if collaboration.encrypted { "Encrypted: inputs and results can be read by their organizations only." } else { "Not encrypted." }}
            </p>
            <section aria-labelledby="organizations">
                <h2 id="organizations">"Organizations and their nodes"</h2>
                <TableFrame label="Table of organizations and their nodes">
                    <table class="stacked">
                        <thead>
                            <tr><th scope="col">"Organization"</th><th scope="col">"Node"</th><th scope="col">"State"</th><th scope="col">"Databases and columns"</th></tr>
                        </thead>
                        <tbody>
                            {collaboration.organizations.into_iter().map(|organization| {
                                let node = nodes.iter().find(|node| node.organization_id == Some(organization.id)).cloned();
                                let name = node.as_ref().map_or_else(|| "–".to_owned(), |node| node.name.clone());
                                let databases = node.clone().map(|node| (node.databases, node.online));
                                view! {
                                    <tr>
                                        <th scope="row"><a href=format!("/organizations/{}", organization.id)>{organization.name}</a></th>
                                        <td data-label="Node">{name}</td>
                                        <td data-label="State"><NodeState node/></td>
                                        <td data-label="Databases and columns">{databases.map(|(databases, online)| view! { <DatabaseList databases online/> })}</td>
                                    </tr>
                                }
                            }).collect_view()}
                        </tbody>
                    </table>
                </TableFrame>
            </section>
            <section aria-labelledby="tasks">
                <div class="section-head">
                    <h2 id="tasks">"Tasks"</h2>
                    <a href=format!("/tasks?collaboration={id}")>"All tasks of this collaboration"</a>
                </div>
                {if tasks.items.is_empty() {
                    view! { <p class="empty">"No task has been created in this collaboration yet."</p> }.into_any()
                } else {
                    view! { <TaskTable tasks=tasks.items names with_collaboration=false/> }.into_any()
                }}
            </section>
        }
    };
    Ok(Page::new(title).user(me.clone()).section("/collaborations").render(&state, view).await)
}
