//! Tasks: the list, one task with its results, what can be done to it, and the wizard that creates one.

mod actions;
mod detail;
mod drafts;
mod explanation;
mod export;
mod frame;
mod list;
mod live;
mod load;
mod log;
mod results;
mod results_table;
mod run_table;
mod state;
mod wizard;

use axum::{
    Router,
    routing::{get, post},
};

use super::state::PageState;

pub use live::{Freshness, task_live_html, time_of_day};
pub use load::load_state;
pub use state::{RunState, TaskState};

pub fn routes() -> Router<PageState> {
    Router::new()
        .route("/tasks", get(list::show))
        .route("/tasks/new", get(wizard::show).post(wizard::submit))
        .route("/tasks/drafts/{id}/discard", get(drafts::confirm_discard).post(drafts::discard))
        .route("/tasks/{id}", get(detail::show))
        .route("/tasks/{id}/results.csv", get(export::csv))
        .route("/tasks/{id}/results.json", get(export::json))
        .route("/runs/{id}/log", get(log::download))
        .route("/tasks/{id}/cancel", get(actions::confirm_cancel).post(actions::cancel))
        .route("/tasks/{id}/delete", get(actions::confirm_delete).post(actions::delete))
        .route("/tasks/{id}/repeat", post(actions::repeat))
}
