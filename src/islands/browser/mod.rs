//! What islands do with the browser. A failure leaves the page as the server rendered it; nothing here may panic,
//! since that would stop all islands after it.

pub mod copy;
pub mod events;
pub mod form;
pub mod fragment;
mod morph;

use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Document, DomParser, SupportedType, window};

fn document() -> Option<Document> {
    window()?.document()
}

/// HTML of this server, escaped as every page is.
fn parse(html: &str) -> Option<Document> {
    DomParser::new().ok()?.parse_from_string(html, SupportedType::TextHtml).ok()
}

fn after(milliseconds: i32, action: impl FnOnce() + 'static) {
    let Some(window) = window() else { return };
    let action = Closure::once_into_js(action);
    let _ = window.set_timeout_with_callback_and_timeout_and_arguments_0(action.unchecked_ref(), milliseconds);
}
