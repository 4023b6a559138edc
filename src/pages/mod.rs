//! What a person sees: a folder per menu entry, one page a file, its form and its POST handler beside its view.
//!
//! A page is an axum handler: it asks the hub for everything it needs in one concurrent round, then renders a view.

mod account;
mod audit;
mod collaborations;
mod components;
mod confirm;
mod cookie;
mod error;
mod form;
mod home;
mod nodes;
mod organizations;
mod render;
mod reviews;
mod roles;
mod sign_in;
mod state;
mod tasks;
mod user;
mod users;

use axum::{Router, routing::get};

pub use error::{PageError, render_error};
pub use reviews::{Waiting, load_waiting, review_live_html, waiting_live_html};
pub use state::{Assets, DemoAccount, PageState};
pub use tasks::{Freshness, RunState, TaskState, load_state, task_live_html, time_of_day};
pub use user::User;

/// Every page, with its POST handlers.
pub fn routes() -> Router<PageState> {
    Router::new()
        .route("/", get(home::show))
        .merge(sign_in::routes())
        .merge(account::routes())
        .route("/audit", get(audit::show))
        .route("/audit.csv", get(audit::csv))
        .merge(collaborations::routes())
        .merge(organizations::routes())
        .merge(nodes::routes())
        .merge(users::routes())
        .merge(roles::routes())
        .merge(tasks::routes())
        .merge(reviews::routes())
}
