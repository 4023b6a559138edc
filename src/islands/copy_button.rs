use leptos::prelude::*;

/// Copies a text to the clipboard. Without scripts it is not there; the text can be selected.
#[island]
pub fn CopyButton(text: String) -> impl IntoView {
    let (label, set_label) = signal("Copy");
    let (ready, set_ready) = signal(false);
    #[cfg(feature = "hydrate")]
    let copy = {
        Effect::new(move |_| set_ready.set(true));
        move |_| super::browser::copy(text.clone(), set_label)
    };
    #[cfg(not(feature = "hydrate"))]
    let copy = {
        let _ = (text, set_label, set_ready);
        |_| {}
    };
    view! {
        <button type="button" class="copy" hidden=move || !ready.get() on:click=copy>
            <span aria-live="polite">{move || label.get()}</span>
        </button>
    }
}
