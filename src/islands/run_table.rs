use leptos::prelude::*;

use super::{RunState, StatusBadge, TaskState};

/// The runs of a task or a subtask: one row a run, kept as it is while its values change, so that an open log stays
/// open.
#[component]
pub fn RunTable(
    state: Signal<TaskState>,
    /// The ids of the runs to show.
    ids: Signal<Vec<i64>>,
    label: String,
) -> impl IntoView {
    view! {
        <div class="table-frame" tabindex="0" role="region" aria-label=label>
            <table class="runs">
                <thead>
                    <tr>
                        <th scope="col">"Organization"</th>
                        <th scope="col">"Node"</th>
                        <th scope="col">"Status"</th>
                        <th scope="col">"Started"</th>
                        <th scope="col" class="number">"Duration"</th>
                        <th scope="col">"Log"</th>
                    </tr>
                </thead>
                <tbody>
                    <For each=move || ids.get() key=|id| *id children=move |id| view! { <RunRow state id/> }/>
                </tbody>
            </table>
        </div>
    }
}

#[component]
fn RunRow(state: Signal<TaskState>, id: i64) -> impl IntoView {
    let run = Memo::new(move |_| state.with(|state| state.run(id).cloned()));
    let text = move |pick: fn(&RunState) -> &String| run.with(|run| run.as_ref().map(|run| pick(run).clone()));
    let log = Memo::new(move |_| text(|run| &run.log).unwrap_or_default());
    view! {
        <tr>
            <th scope="row">{move || text(|run| &run.organization)}</th>
            <td>{move || text(|run| &run.node)}</td>
            <td>
                {move || run.get().map(|run| view! { <StatusBadge status=run.status/> })}
                {move || run.get().and_then(|run| run.help).map(|help| view! {
                    <div class="help-text">
                        <p>{help.what}</p>
                        <p><strong>"Who can help: "</strong>{help.who}</p>
                        <p><strong>"Next: "</strong>{help.next}</p>
                    </div>
                })}
            </td>
            <td class="nowrap">{move || text(|run| &run.started)}</td>
            <td class="number nowrap">{move || text(|run| &run.duration)}</td>
            <td>
                <Show when=move || !log.with(String::is_empty) fallback=|| view! { <span class="muted">"–"</span> }>
                    <details class="log">
                        <summary>"Show log"</summary>
                        <pre tabindex="0">{move || log.get()}</pre>
                    </details>
                </Show>
            </td>
        </tr>
    }
}
