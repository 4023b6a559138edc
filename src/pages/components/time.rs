use jiff::Timestamp;
use leptos::prelude::*;

/// A time in UTC, to the minute; "never" or another word if there is none.
#[component]
pub fn Time(value: Option<Timestamp>, #[prop(default = "–")] missing: &'static str) -> impl IntoView {
    match value {
        Some(value) => {
            let exact = value.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            let shown = value.strftime("%Y-%m-%d %H:%M").to_string();
            view! { <time datetime=exact.clone() title=exact>{shown} <span class="zone">" UTC"</span></time> }
                .into_any()
        }
        None => view! { <span class="muted">{missing}</span> }.into_any(),
    }
}
