use std::sync::Arc;

use leptos::prelude::*;

use super::{StatusBadge, TableFrame, Time};

use crate::{protocol::domain::Task, session::Names};

/// Tasks as rows.
#[component]
pub fn TaskTable(
    tasks: Vec<Task>,
    names: Arc<Names>,
    #[prop(default = true)] with_collaboration: bool,
) -> impl IntoView {
    view! {
        <TableFrame label="Table of tasks">
            <table class="stacked">
                <thead>
                    <tr>
                        <th scope="col" class="number">"Id"</th>
                        <th scope="col">"Name"</th>
                        <th scope="col">"Status"</th>
                        {with_collaboration.then(|| view! { <th scope="col">"Collaboration"</th> })}
                        <th scope="col">"Created by"</th>
                        <th scope="col">"Created"</th>
                    </tr>
                </thead>
                <tbody>
                    {tasks.into_iter().map(|task| {
                        let name = if task.name.is_empty() { "(without a name)".to_owned() } else { task.name };
                        let creator = names.creator(task.init_user_id, task.init_organization_id);
                        let collaboration = task.collaboration_id.map_or_else(|| "–".to_owned(), |id| names.collaboration(id));
                        view! {
                            <tr>
                                <td class="number" data-label="Id">{task.id}</td>
                                <th scope="row"><a href=format!("/tasks/{}", task.id)>{name}</a></th>
                                <td data-label="Status"><StatusBadge status=task.status awaits=task.awaits/></td>
                                {with_collaboration.then(|| view! { <td data-label="Collaboration">{collaboration}</td> })}
                                <td data-label="Created by">{creator}</td>
                                <td class="nowrap" data-label="Created"><Time value=task.created_at/></td>
                            </tr>
                        }
                    }).collect_view()}
                </tbody>
            </table>
        </TableFrame>
    }
}
