//! What islands do with the browser. A failure leaves the page as the server rendered it; nothing here may panic,
//! since that would stop all islands after it.

pub mod copy;
pub mod events;
pub mod form;
pub mod fragment;
mod morph;
mod shared_stream;

use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Document, DomParser, Response, SupportedType, window};

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

async fn pause(milliseconds: i32) {
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        if let Some(window) = window() {
            let _ = window.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, milliseconds);
        }
    });
    let _ = JsFuture::from(promise).await;
}

async fn text_of(answer: &Response) -> Result<String, JsValue> {
    JsFuture::from(answer.text()?).await?.as_string().ok_or(JsValue::NULL)
}
