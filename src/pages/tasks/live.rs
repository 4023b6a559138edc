//! What of a task's page changes while somebody looks at it. The server renders it, first in the page and then in
//! each event of its stream; the browser only takes it over.

use jiff::Timestamp;
use leptos::prelude::*;

use super::{
    results_table::ResultsTable,
    run_table::RunTable,
    state::{TaskState, awaited},
};
use crate::pages::components::StatusBadge;

/// How fresh a state is that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// In the page as it was loaded.
    Loaded,
    /// The hub tells at once when something changes.
    Live,
    /// The hub tells nothing; it is asked now and then.
    Asked,
    /// The hub does not answer.
    Away,
}

/// The present time of day in UTC, for how fresh something is.
pub fn time_of_day() -> String {
    Timestamp::now().strftime("%H:%M:%S").to_string()
}

impl Freshness {
    /// The class and the words of how fresh something is that was read at this time.
    pub fn words(self, as_of: &str) -> (&'static str, String) {
        match self {
            Freshness::Live => ("freshness live", "live".to_owned()),
            Freshness::Loaded => ("freshness", format!("as of {as_of} UTC")),
            Freshness::Asked => ("freshness", format!("as of {as_of} UTC, looked at again every few seconds")),
            Freshness::Away => ("freshness away", format!("the hub does not answer, as of {as_of} UTC")),
        }
    }
}

/// Status, results and runs of a task, kept up to date by the island `LiveUpdates`.
#[component]
pub fn TaskLive(id: i64, state: TaskState) -> impl IntoView {
    let as_of = state.as_of.clone();
    let follows = (!state.finished).then(|| format!("/tasks/{id}"));
    view! {
        <div id="live" data-live=follows data-as-of=as_of>
            <Parts id state freshness=Freshness::Loaded/>
        </div>
    }
}

/// The same as HTML, for the event stream.
pub fn task_live_html(id: i64, state: TaskState, freshness: Freshness) -> String {
    let as_of = state.as_of.clone();
    Owner::new().with(|| view! { <div id="live" data-as-of=as_of><Parts id state freshness/></div> }.to_html())
}

#[component]
fn Parts(id: i64, state: TaskState, freshness: Freshness) -> impl IntoView {
    let awaits = state.awaits();
    let TaskState { status, finished, as_of, progress, runs, subtasks, older_subtasks, results } = state;
    let (class, words) = match finished {
        true => ("freshness final", format!("final, as of {as_of} UTC")),
        false => freshness.words(&as_of),
    };
    view! {
        <div class="task-status">
            <p class="status-line" role="status"><StatusBadge status awaits/> <span class="progress">{progress}</span></p>
            <p class=class id="freshness">{words}</p>
        </div>
        <section class="results-section" aria-labelledby="results">
            <h2 id="results">"Results"</h2>
            {match results {
                Some(results) => view! { <ResultsTable results downloads=format!("/tasks/{id}/results")/> }.into_any(),
                None if finished => view! { <p class="empty">"There is no result. The runs below say why."</p> }.into_any(),
                None => view! { <p class="empty">"The results appear here as soon as they are there."</p> }.into_any(),
            }}
        </section>
        <section aria-labelledby="runs">
            <h2 id="runs">"Runs"</h2>
            <RunTable runs label="Table of runs".to_owned()/>
        </section>
        {(older_subtasks > 0).then(|| view! {
            <p class="muted">
                {format!("Of {} subtasks the newest {} are shown. ", older_subtasks + subtasks.len(), subtasks.len())}
                <a href=format!("/tasks?parent={id}")>"Show all subtasks"</a>
            </p>
        })}
        {subtasks.into_iter().map(|subtask| view! {
            <section class="subtask" id=format!("subtask-{}", subtask.id) aria-label=format!("Subtask {}", subtask.id)>
                <h3>
                    <a href=format!("/tasks/{}", subtask.id)>{format!("Subtask {}", subtask.id)}</a> " "
                    <StatusBadge status=subtask.status awaits=awaited(&subtask.runs)/>
                    <span class="progress">{subtask.progress}</span>
                </h3>
                <RunTable runs=subtask.runs label=format!("Table of runs of subtask {}", subtask.id)/>
            </section>
        }).collect_view()}
    }
}
