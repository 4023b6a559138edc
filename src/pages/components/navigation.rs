use leptos::prelude::*;

/// The menu at the top.
#[component]
pub fn Navigation(
    /// The address of the present entry.
    section: &'static str,
    may_create: bool,
    may_read_reviews: bool,
    may_read_audit: bool,
    may_manage_users: bool,
    /// How many reviews wait for who is signed in.
    waiting_reviews: Option<usize>,
) -> impl IntoView {
    let entries = [
        ("/collaborations", "Collaborations", true),
        ("/organizations", "Organizations", true),
        ("/tasks", "Tasks", true),
        ("/tasks/new", "New task", may_create),
        ("/reviews", "Reviews", may_read_reviews),
        ("/users", "Users", may_manage_users),
        ("/audit", "Audit", may_read_audit),
    ];
    let entries = entries.into_iter().filter(|(.., shown)| *shown);
    view! {
        <nav class="site-nav" aria-label="Main">
            <ul>
                {entries.map(|(address, name, _)| view! {
                    <li>
                        <a href=address aria-current=(section == address).then_some("page")>
                            {name}
                            {(address == "/reviews").then(|| view! { <ReviewCount waiting=waiting_reviews/> })}
                        </a>
                    </li>
                }).collect_view()}
            </ul>
        </nav>
    }
}

/// How many reviews wait; kept up to date on the page that lists them.
#[component]
pub fn ReviewCount(waiting: Option<usize>) -> impl IntoView {
    let waiting = waiting.filter(|count| *count > 0);
    let words = waiting.map(|count| view! { {count} <span class="visually-hidden">" waiting"</span> });
    view! { <span id="review-count" class:count=waiting.is_some()>{words}</span> }
}
