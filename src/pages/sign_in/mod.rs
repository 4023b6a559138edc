mod browser_cookie;
mod code_cookie;
mod form;
mod frame;
mod lost_password;
mod lost_second_factor;
mod outcome;
mod qr_code;
mod reset_password;
mod reset_second_factor;
mod second_factor;

use axum::{Router, middleware::from_fn, routing::get};

pub use form::sign_in_and_find_kept;
pub use outcome::TOO_MANY;
pub use qr_code::SetUp;
pub use second_factor::is_code;

use super::state::PageState;
use crate::serve::in_one_piece;

/// The way in, and the ways back in.
pub fn routes() -> Router<PageState> {
    Router::new()
        .route("/login", get(form::show).post(form::submit))
        .route("/login/code", get(second_factor::show).post(second_factor::submit))
        .route("/password/lost", get(lost_password::show).post(lost_password::submit))
        .route("/password/reset", get(reset_password::show).post(reset_password::submit))
        .route("/second-factor/lost", get(lost_second_factor::show).post(lost_second_factor::submit))
        .route("/second-factor/reset", get(reset_second_factor::show).post(reset_second_factor::submit))
        // From anybody.
        .layer(from_fn(in_one_piece::<FORM_LIMIT>))
}

/// The largest form of somebody who is not signed in, in bytes.
const FORM_LIMIT: usize = 16 * 1024;
