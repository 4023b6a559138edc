use leptos::prelude::*;

/// Copies the text of the element `#copy-source` to the clipboard. Without scripts it is not there; the text can be
/// selected.
#[island]
pub fn CopyButton() -> impl IntoView {
    #[cfg(feature = "hydrate")]
    super::browser::copy::enable("copy-button", "copy-source");
    view! {
        <button type="button" class="copy" id="copy-button" hidden=true><span aria-live="polite">"Copy"</span></button>
    }
}
