use leptos::prelude::*;

/// A table that scrolls sideways in its own frame, which the keyboard can reach.
#[component]
pub fn TableFrame(
    /// What a screen reader calls it.
    #[prop(into)]
    label: String,
    children: Children,
) -> impl IntoView {
    view! { <div class="table-frame" tabindex="0" role="region" aria-label=label>{children()}</div> }
}
