//! Roles: what each permits, and roles of one's own.

mod edit;
mod list;

use axum::{Router, routing::get};

use super::state::PageState;

pub fn routes() -> Router<PageState> {
    Router::new()
        .route("/roles", get(list::show))
        .route("/roles/new", get(edit::new).post(edit::create))
        .route("/roles/{id}", get(edit::show))
        .route("/roles/{id}/edit", get(edit::edit).post(edit::save))
        .route("/roles/{id}/delete", get(edit::confirm_delete).post(edit::delete))
}
