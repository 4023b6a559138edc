use leptos::prelude::*;

/// Keeps the element `#live` as the event stream at its `data-events` sends it, and says in `#freshness` when the
/// stream is interrupted.
#[island]
pub fn LiveUpdates() -> impl IntoView {
    #[cfg(feature = "hydrate")]
    super::browser::events::follow();
    view! { <span hidden></span> }
}
