use wasm_bindgen::{JsCast, closure::Closure};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Element, Event, window};

use super::{after, document};

/// Shows the button, which copies the text of the source and says so for a while.
pub fn enable(button: &str, source: &'static str) {
    let Some(button) = document().and_then(|document| document.get_element_by_id(button)) else { return };
    let Some(label) = button.first_element_child() else { return };
    let listener = Closure::<dyn Fn(Event)>::new(move |_: Event| {
        let Some(text) = text_of(source) else { return };
        copy(text, label.clone());
    });
    let _ = button.add_event_listener_with_callback("click", listener.as_ref().unchecked_ref());
    let _ = button.remove_attribute("hidden");
    // It lives as long as the page.
    listener.forget();
}

fn text_of(id: &str) -> Option<String> {
    document()?.get_element_by_id(id)?.text_content()
}

fn copy(text: String, label: Element) {
    let Some(window) = window() else { return };
    spawn_local(async move {
        let done = JsFuture::from(window.navigator().clipboard().write_text(&text)).await;
        label.set_text_content(Some(if done.is_ok() { "Copied" } else { "Select and copy by hand" }));
        after(2000, move || label.set_text_content(Some("Copy")));
    });
}
