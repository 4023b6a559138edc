use leptos::prelude::*;

/// The way from the menu to this page.
#[component]
pub fn Breadcrumbs(
    /// Addresses and names, without the page itself.
    way: Vec<(String, String)>,
) -> impl IntoView {
    view! {
        <nav class="breadcrumbs" aria-label="Breadcrumb">
            <ol>
                {way.into_iter().map(|(address, name)| view! { <li><a href=address>{name}</a></li> }).collect_view()}
            </ol>
        </nav>
    }
}
