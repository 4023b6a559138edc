//! Organizations.

mod delete;
pub mod detail;
mod edit;
pub mod list;

use axum::{Router, routing::get};

use super::state::PageState;

pub fn routes() -> Router<PageState> {
    Router::new()
        .route("/organizations", get(list::show))
        .route("/organizations/new", get(edit::new).post(edit::create))
        .route("/organizations/{id}", get(detail::show))
        .route("/organizations/{id}/edit", get(edit::edit).post(edit::save))
        .route("/organizations/{id}/delete", get(delete::confirm).post(delete::delete))
}
