use leptos::prelude::*;

use super::state::RunState;
use crate::pages::components::{StatusBadge, TableFrame};

/// The runs of a task or a subtask: one row a run.
#[component]
pub fn RunTable(runs: Vec<RunState>, label: String) -> impl IntoView {
    view! {
        <TableFrame label>
            <table class="runs stacked">
                <thead>
                    <tr>
                        <th scope="col">"Organization"</th>
                        <th scope="col">"Node"</th>
                        <th scope="col">"Status"</th>
                        <th scope="col">"Started (UTC)"</th>
                        <th scope="col" class="number">"Duration"</th>
                        <th scope="col">"Log"</th>
                    </tr>
                </thead>
                <tbody>{runs.into_iter().map(|run| view! { <RunRow run/> }).collect_view()}</tbody>
            </table>
        </TableFrame>
    }
}

// Rows have ids, so that a row that changes keeps its open log.
#[component]
fn RunRow(run: RunState) -> impl IntoView {
    view! {
        <tr id=format!("run-{}", run.id)>
            <th scope="row">{run.organization}</th>
            <td data-label="Node">{run.node}</td>
            <td data-label="Status">
                <StatusBadge status=run.status awaits=run.awaits/>
                {run.help.map(|help| view! {
                    <div class="help-text">
                        <p>{help.what}</p>
                        <p><strong>"Who can help: "</strong>{help.who}</p>
                        <p><strong>"Next: "</strong>{help.next}</p>
                    </div>
                })}
            </td>
            <td class="nowrap" data-label="Started (UTC)">{run.started}</td>
            <td class="number nowrap" data-label="Duration">{run.duration}</td>
            <td data-label="Log">{if run.log.is_empty() {
                view! { <span class="muted">"–"</span> }.into_any()
            } else {
                view! {
                    <details class="log">
                        <summary>"Show log"</summary>
                        {run.log.is_shortened().then(|| view! { <p class="muted">"Only the end is shown."</p> })}
                        <pre tabindex="0">{run.log.shown().to_owned()}</pre>
                        <p><a href=format!("/runs/{}/log", run.id) download="">"Download the log"</a></p>
                    </details>
                }.into_any()
            }}</td>
        </tr>
    }
}
