use leptos::prelude::*;

use super::Time;
use crate::{islands::StatusBadge, pages::names::Names, protocol::domain::Task};

/// Tasks as rows.
#[component]
pub fn TaskTable(tasks: Vec<Task>, names: Names, #[prop(default = true)] with_collaboration: bool) -> impl IntoView {
    view! {
        <div class="table-frame" tabindex="0" role="region" aria-label="Table of tasks">
            <table>
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
                        let creator = task.init_user_id.map_or_else(|| "–".to_owned(), |id| names.user(id));
                        let collaboration = task.collaboration_id.map_or_else(|| "–".to_owned(), |id| names.collaboration(id));
                        view! {
                            <tr>
                                <td class="number">{task.id}</td>
                                <th scope="row"><a href=format!("/tasks/{}", task.id)>{name}</a></th>
                                <td><StatusBadge status=task.status/></td>
                                {with_collaboration.then(|| view! { <td>{collaboration}</td> })}
                                <td>{creator}</td>
                                <td class="nowrap"><Time value=task.created_at/></td>
                            </tr>
                        }
                    }).collect_view()}
                </tbody>
            </table>
        </div>
    }
}
