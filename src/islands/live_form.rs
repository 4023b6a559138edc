use leptos::prelude::*;

/// Keeps the dependent parts of the form `#wizard` up to date: when a field changes, the form is sent to its own
/// address with `action=update`, and every element with `data-dependent` becomes as it is in the answer.
#[island]
pub fn LiveForm() -> impl IntoView {
    #[cfg(feature = "hydrate")]
    super::browser::form::keep_up_to_date("wizard");
    view! { <span hidden></span> }
}
