mod email;
mod messages;
mod overview;
mod password;
mod proof;
mod recovery_codes;
mod second_factor;
mod sessions;
mod sign_out;

use axum::{
    Router,
    routing::{get, post},
};

use super::state::PageState;

pub use messages::NewMessages;

/// One's own account.
pub fn routes() -> Router<PageState> {
    Router::new()
        .route("/logout", post(sign_out::submit))
        .route("/account", get(overview::show))
        .route("/account/email", get(email::show).post(email::submit))
        .route("/account/messages", post(messages::seen))
        .route("/account/notices", post(overview::save_notices))
        .route("/account/password", get(password::show).post(password::submit))
        .route("/account/sessions", post(sessions::end_others))
        .route("/account/sessions/all", get(sessions::confirm_end_all).post(sessions::end_all))
        .route("/account/second-factor", get(second_factor::show).post(second_factor::begin))
        .route("/account/second-factor/confirm", get(second_factor::show_confirm).post(second_factor::confirm))
        .route("/account/second-factor/remove", get(second_factor::show_remove).post(second_factor::remove))
        .route("/account/recovery-codes", get(recovery_codes::show).post(recovery_codes::make))
}
