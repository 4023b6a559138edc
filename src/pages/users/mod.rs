//! Users: for those who manage them.

mod detail;
mod edit;
mod list;

use axum::{
    Router,
    routing::{get, post},
};

use super::state::PageState;

pub fn routes() -> Router<PageState> {
    Router::new()
        .route("/users", get(list::show))
        .route("/users/new", get(edit::new).post(edit::create))
        .route("/users/{id}", get(detail::show))
        .route("/users/{id}/edit", get(edit::edit).post(edit::save))
        .route("/users/{id}/invite", post(detail::invite))
        .route("/users/{id}/active", post(detail::set_active))
        .route("/users/{id}/end-sessions", post(detail::end_sessions))
        .route("/users/{id}/reset-second-factor", post(detail::reset_second_factor))
        .route("/users/{id}/delete", get(detail::confirm_delete).post(detail::delete))
}
