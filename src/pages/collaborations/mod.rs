//! Collaborations and their studies.

pub mod detail;
mod edit;
pub mod list;
mod study;

use axum::{
    Router,
    routing::{get, post},
};

use super::state::PageState;

pub fn routes() -> Router<PageState> {
    Router::new()
        .route("/collaborations", get(list::show))
        .route("/collaborations/new", get(edit::new).post(edit::create))
        .route("/collaborations/{id}", get(detail::show))
        .route("/collaborations/{id}/edit", get(edit::edit).post(edit::save))
        .route("/collaborations/{id}/delete", get(edit::confirm_delete).post(edit::delete))
        .route("/collaborations/{id}/studies/new", get(study::new).post(study::create))
        .route("/studies/{id}/edit", get(study::edit).post(study::save))
        .route("/studies/{id}/delete", post(study::delete))
}
