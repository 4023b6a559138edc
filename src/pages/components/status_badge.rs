use leptos::prelude::*;

use crate::protocol::{review::Subject, status::Status};

/// A status in words, with a colour that is never the only sign; in its place what an admin has to decide about first.
#[component]
pub fn StatusBadge(status: Status, #[prop(optional_no_strip)] awaits: Option<Subject>) -> impl IntoView {
    if let Some(awaits) = awaits.filter(|_| !status.is_final()) {
        return view! { <span class="badge waiting">{awaits.awaited().to_owned()}</span> };
    }
    let class = match &status {
        Status::Completed => "badge good",
        Status::Pending | Status::Initializing => "badge waiting",
        Status::Active => "badge busy",
        Status::Unknown(_) => "badge muted",
        _ => "badge bad",
    };
    view! { <span class=class>{status.as_str().to_owned()}</span> }
}
