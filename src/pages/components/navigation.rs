use leptos::prelude::*;

/// The menu at the top.
#[component]
pub fn Navigation(
    /// The address of the present entry.
    section: &'static str,
    may_create: bool,
) -> impl IntoView {
    let entries = [
        ("/collaborations", "Collaborations", true),
        ("/organizations", "Organizations", true),
        ("/tasks", "Tasks", true),
        ("/tasks/new", "New task", may_create),
    ];
    let entries = entries.into_iter().filter(|(.., shown)| *shown);
    view! {
        <nav class="site-nav" aria-label="Main">
            <ul>
                {entries.map(|(address, name, _)| view! {
                    <li><a href=address aria-current=(section == address).then_some("page")>{name}</a></li>
                }).collect_view()}
            </ul>
        </nav>
    }
}
