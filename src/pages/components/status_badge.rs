use leptos::prelude::*;

use crate::protocol::status::Status;

/// A status in words, with a colour that is never the only sign.
#[component]
pub fn StatusBadge(status: Status) -> impl IntoView {
    let class = match &status {
        Status::Completed => "badge good",
        Status::Pending | Status::Initializing => "badge waiting",
        Status::Active => "badge busy",
        Status::Unknown(_) => "badge muted",
        _ => "badge bad",
    };
    view! { <span class=class>{status.as_str().to_owned()}</span> }
}
