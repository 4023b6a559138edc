use leptos::prelude::*;

/// The frame of the pages around signing in: a heading, what it is about, and what went wrong.
#[component]
pub fn Frame(
    heading: &'static str,
    #[prop(default = "")] lead: &'static str,
    #[prop(default = None)] error: Option<String>,
    children: Children,
) -> impl IntoView {
    view! {
        <div class="sign-in">
            <h1>{heading}</h1>
            {(!lead.is_empty()).then(|| view! { <p class="lead">{lead}</p> })}
            {error.map(|error| view! { <p class="flash error" role="alert">{error}</p> })}
            {children()}
        </div>
    }
}
