//! Reviews: the inbox of those who decide for their organization's data, and one review with everything about it.

mod decide;
mod detail;
mod facts;
mod list;
mod live;
mod waiting;
mod waiting_live;

use axum::{Router, routing::get};

use super::state::PageState;

pub use live::review_live_html;
pub use waiting::{Waiting, load_waiting};
pub use waiting_live::waiting_live_html;

pub fn routes() -> Router<PageState> {
    Router::new()
        .route("/reviews", get(list::show).post(decide::several))
        .route("/reviews/{id}", get(detail::show).post(decide::one))
}
