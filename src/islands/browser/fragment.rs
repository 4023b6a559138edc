use wasm_bindgen::JsCast;
use web_sys::{HtmlInputElement, window};

use super::document;

/// Fills an empty field with the fragment of the address.
pub fn fill(id: &str) {
    let Some(hash) = window().and_then(|window| window.location().hash().ok()) else { return };
    let Some(field) = document().and_then(|document| document.get_element_by_id(id)) else { return };
    let Some(field) = field.dyn_ref::<HtmlInputElement>() else { return };
    let text = hash.trim_start_matches('#');
    if !text.is_empty() && field.value().is_empty() {
        field.set_value(text);
    }
}
