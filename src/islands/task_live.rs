use leptos::prelude::*;

use super::{ResultsView, StatusBadge, TaskState, run_table::RunTable};

/// How fresh the page is.
// The server only ever renders `Page`.
#[cfg_attr(not(feature = "hydrate"), allow(dead_code))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Rendered by the server; no script runs (yet).
    Page,
    Live,
    Reconnecting,
    SignedOut,
}

/// Status, runs and results of a task, kept up to date from the event stream at `events`.
#[island]
pub fn TaskLive(
    initial: TaskState,
    /// The address of the event stream.
    events: String,
    /// The address of the results without `.csv` or `.json`.
    downloads: String,
) -> impl IntoView {
    let (state, set_state) = signal(initial);
    let (connection, set_connection) = signal(Connection::Page);
    #[cfg(feature = "hydrate")]
    super::browser::follow(events, set_state, set_connection);
    #[cfg(not(feature = "hydrate"))]
    let _ = (events, set_state, set_connection);
    let status = Memo::new(move |_| state.with(|state| state.status.clone()));
    let progress = Memo::new(move |_| state.with(|state| state.progress.clone()));
    let finished = Memo::new(move |_| state.with(|state| state.finished));
    let run_ids = Memo::new(move |_| state.with(|state| state.runs.iter().map(|run| run.id).collect::<Vec<_>>()));
    let subtask_ids =
        Memo::new(move |_| state.with(|state| state.subtasks.iter().map(|subtask| subtask.id).collect::<Vec<_>>()));
    let results = Memo::new(move |_| state.with(|state| state.results.clone()));
    let freshness = move || {
        let as_of = state.with(|state| state.as_of.clone());
        match (finished.get(), connection.get()) {
            (true, _) => format!("final, as of {as_of} UTC"),
            (_, Connection::Page) => format!("as of {as_of} UTC"),
            (_, Connection::Live) => "live".to_owned(),
            (_, Connection::Reconnecting) => format!("reconnecting, as of {as_of} UTC"),
            (_, Connection::SignedOut) => "signed out: load the page again to sign in".to_owned(),
        }
    };
    view! {
        <div class="task-status">
            <p class="status-line" role="status">
                {move || view! { <StatusBadge status=status.get()/> }}
                <span class="progress">{move || progress.get()}</span>
            </p>
            <p class="freshness" class:final=move || finished.get()
                class:live=move || connection.get() == Connection::Live && !finished.get()>{freshness}</p>
        </div>
        <section class="results-section" aria-labelledby="results">
            <h2 id="results">"Results"</h2>
            {move || match results.get() {
                Some(results) => view! { <ResultsView results downloads=downloads.clone()/> }.into_any(),
                None if finished.get() => view! { <p class="empty">"There is no result. The runs below say why."</p> }.into_any(),
                None => view! { <p class="empty">"The results appear here as soon as they are there."</p> }.into_any(),
            }}
        </section>
        <section aria-labelledby="runs">
            <h2 id="runs">"Runs"</h2>
            <RunTable state=state.into() ids=run_ids.into() label="Table of runs".to_owned()/>
        </section>
        <For each=move || subtask_ids.get() key=|id| *id children=move |id| {
            let subtask = Memo::new(move |_| state.with(|state| state.subtasks.iter().find(|subtask| subtask.id == id).cloned()));
            let ids = Memo::new(move |_| subtask.with(|subtask| {
                subtask.iter().flat_map(|subtask| subtask.runs.iter().map(|run| run.id)).collect::<Vec<_>>()
            }));
            view! {
                <section class="subtask" aria-label=format!("Subtask {id}")>
                    <h3>
                        <a href=format!("/tasks/{id}")>{format!("Subtask {id}")}</a> " "
                        {move || subtask.get().map(|subtask| view! { <StatusBadge status=subtask.status/> })}
                        <span class="progress">{move || subtask.get().map(|subtask| subtask.progress)}</span>
                    </h3>
                    <RunTable state=state.into() ids=ids.into() label=format!("Table of runs of subtask {id}")/>
                </section>
            }
        }/>
    }
}
