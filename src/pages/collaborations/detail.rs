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
    protocol::{
        client::{ClientError, TaskQuery},
        domain::{Operation, Study},
    },
    session::take_flash,
};

#[component]
fn Studies(id: i64, studies: Vec<Study>, edits: bool) -> impl IntoView {
    let none = studies.is_empty();
    view! {
        <section aria-labelledby="studies">
            <div class="section-head">
                <h2 id="studies">"Studies"</h2>
                {edits.then(|| view! { <a href=format!("/collaborations/{id}/studies/new")>"New study"</a> })}
            </div>
            {none.then(|| view! { <p class="empty">"There is no study. A study is a part of the organizations, for tasks that concern only them."</p> })}
            <ul class="cards">
                {studies.into_iter().map(|study| {
                    let members: Vec<String> = study.organizations.into_iter().map(|organization| organization.name).collect();
                    view! {
                        <li class="card">
                            <p class="card-title">{study.name}</p>
                            <p class="muted">{members.join(", ")}</p>
                            {edits.then(|| view! {
                                <form method="post" action=format!("/studies/{}/delete", study.id) class="actions">
                                    <a class="button" href=format!("/studies/{}/edit", study.id)>"Change"</a>
                                    <button type="submit" class="danger">"Delete"</button>
                                </form>
                            })}
                        </li>
                    }
                }).collect_view()}
            </ul>
        </section>
    }
}

/// `GET /collaborations/{id}`: organizations, nodes, databases, tasks.
pub async fn show(State(state): State<PageState>, user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id: i64 = id.parse().map_err(|_| PageError::not_found("This collaboration"))?;
    let me = user.signed_in;
    let recent =
        TaskQuery { collaboration_id: Some(id), only_top_level: true, per_page: 10, page: 1, ..Default::default() };
    // Whoever may not see studies sees the rest.
    let studies = async {
        match me.hub.studies_of(id).await {
            Err(ClientError::NotAllowed(_)) => Ok(Vec::new()),
            studies => studies,
        }
    };
    let (collaboration, nodes, tasks, names, studies) =
        futures::try_join!(me.hub.collaboration(id), me.hub.nodes_of(id), me.hub.tasks(&recent), me.names(), studies)?;
    names.learn_creators(&me.hub, &tasks.items).await;
    let flash = take_flash(&user.session).await?;
    let title = collaboration.name.clone();
    let takes_part = collaboration.organizations.iter().any(|own| Some(own.id) == me.user.organization_id);
    let may_create = me.permissions.may_create_tasks() && takes_part && !collaboration.encrypted;
    let permissions = &me.permissions;
    let may_edit = permissions.may_at_collaboration(Operation::Edit, takes_part);
    let may_delete = permissions.may_at_collaboration(Operation::Delete, takes_part);
    let may_study = permissions.may_at_study(Operation::Create, takes_part);
    let missing = collaboration.organizations.iter().any(|organization| {
        let is_own = me.user.organization_id == Some(organization.id);
        !nodes.iter().any(|node| node.organization_id == Some(organization.id))
            && permissions.may_get_key(Operation::Create, is_own)
    });
    let view = move || {
        let studies = studies.clone();
        let (collaboration, nodes, tasks, names) = (collaboration.clone(), nodes.clone(), tasks.clone(), names.clone());
        view! {
            <Breadcrumbs way=vec![("/collaborations".to_owned(), "Collaborations".to_owned())]/>
            <div class="page-head">
                <h1>{collaboration.name.clone()}</h1>
                <div class="actions">
                {may_edit.then(|| view! { <a class="button" href=format!("/collaborations/{id}/edit")>"Change"</a> })}
                {may_delete.then(|| view! { <a class="button danger" href=format!("/collaborations/{id}/delete")>"Delete"</a> })}
                {may_create.then(|| view! {
                    <a class="button primary" href=format!("/tasks/new?collaboration={id}")>"Create a task here"</a>
                })}
                </div>
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
                                let link = node.as_ref().map(|node| view! { <a href=format!("/nodes/{}", node.id)>{node.name.clone()}</a> });
                                let of_databases = node.clone();
                                view! {
                                    <tr>
                                        <th scope="row"><a href=format!("/organizations/{}", organization.id)>{organization.name}</a></th>
                                        <td data-label="Node">{link}</td>
                                        <td data-label="State"><NodeState node/></td>
                                        <td data-label="Databases and columns">{of_databases.map(|node| view! { <DatabaseList node/> })}</td>
                                    </tr>
                                }
                            }).collect_view()}
                        </tbody>
                    </table>
                </TableFrame>
                {missing.then(|| view! {
                    <form method="post" action=format!("/collaborations/{id}/nodes") class="after-table">
                        <button type="submit">"Register the missing nodes"</button>
                        <span class="help">"Their API keys are shown once, on the next page."</span>
                    </form>
                })}
            </section>
            {(may_study || !studies.is_empty()).then(|| view! { <Studies id studies=studies.clone() edits=may_study/> })}
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
    Ok(Page::new(title).user(me.clone()).section("/collaborations").flash(flash).render(&state, view).await)
}
