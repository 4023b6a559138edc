use leptos::prelude::*;

/// Keeps the dependent parts of the form on this page up to date: when a field changes, the form is sent to its own
/// address with `action=update`, and every element with `data-dependent` is replaced by its new version.
#[island]
pub fn LiveForm(
    /// The id of the form.
    form: String,
) -> impl IntoView {
    #[cfg(feature = "hydrate")]
    Effect::new(move |_| super::browser::keep_up_to_date(&form));
    #[cfg(not(feature = "hydrate"))]
    let _ = form;
    view! { <span hidden></span> }
}
