mod password;
mod sign_out;

use axum::{
    Router,
    routing::{get, post},
};

use super::state::PageState;

/// One's own account.
pub fn routes() -> Router<PageState> {
    Router::new()
        .route("/logout", post(sign_out::submit))
        .route("/account/password", get(password::show).post(password::submit))
}
