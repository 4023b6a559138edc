//! Nodes: registering them, their API keys, their names.

mod edit;
mod register;

use axum::{
    Router,
    routing::{get, post},
};

use super::state::PageState;

pub fn routes() -> Router<PageState> {
    Router::new()
        .route("/collaborations/{id}/nodes", post(register::missing))
        .route("/nodes/{id}", get(edit::show).post(edit::rename))
        .route("/nodes/{id}/key", get(edit::confirm_key).post(edit::new_key))
        .route("/nodes/{id}/delete", get(edit::confirm_delete).post(edit::delete))
}
