//! What islands do with the browser: event stream, clipboard, updates of forms. A failure leaves the page as the
//! server rendered it; nothing here may panic, since that would stop all islands after it.

use std::{cell::RefCell, rc::Rc};

use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    Document, DomParser, Element, Event, EventSource, FormData, HtmlFormElement, MessageEvent, RequestInit, Response,
    SupportedType, UrlSearchParams, window,
};

use super::{TaskState, task_live::Connection};

/// Pause before a stream that was refused is opened again, in milliseconds.
const REOPEN_PAUSE: i32 = 3000;

/// Follows an event stream: every message is a whole state.
pub fn follow(address: String, state: WriteSignal<TaskState>, connection: WriteSignal<Connection>) {
    Effect::new(move |_| open(address.clone(), state, connection));
}

fn open(address: String, state: WriteSignal<TaskState>, connection: WriteSignal<Connection>) {
    let Ok(source) = EventSource::new(&address) else { return };
    let on_message = Closure::<dyn Fn(MessageEvent)>::new({
        let source = source.clone();
        move |event: MessageEvent| {
            let Some(text) = event.data().as_string() else { return };
            let Ok(new) = serde_json::from_str::<TaskState>(&text) else { return };
            connection.set(Connection::Live);
            let finished = new.finished;
            state.set(new);
            if finished {
                source.close();
            }
        }
    });
    let on_end = Closure::<dyn Fn(MessageEvent)>::new({
        let source = source.clone();
        move |_: MessageEvent| {
            source.close();
            connection.set(Connection::SignedOut);
        }
    });
    let on_error = Closure::<dyn Fn(Event)>::new({
        let source = source.clone();
        move |_: Event| {
            connection.set(Connection::Reconnecting);
            // A broken stream is opened again by the browser; one that was refused is not.
            if source.ready_state() == EventSource::CLOSED {
                let address = address.clone();
                after(REOPEN_PAUSE, move || open(address, state, connection));
            }
        }
    });
    source.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
    let _ = source.add_event_listener_with_callback("signed-out", on_end.as_ref().unchecked_ref());
    // They live as long as the page.
    on_message.forget();
    on_end.forget();
    on_error.forget();
}

fn after(milliseconds: i32, action: impl FnOnce() + 'static) {
    let Some(window) = window() else { return };
    let action = Closure::once_into_js(action);
    let _ = window.set_timeout_with_callback_and_timeout_and_arguments_0(action.unchecked_ref(), milliseconds);
}

/// Copies a text and says so for a while.
pub fn copy(text: String, label: WriteSignal<&'static str>) {
    let Some(window) = window() else { return };
    spawn_local(async move {
        let done = JsFuture::from(window.navigator().clipboard().write_text(&text)).await;
        label.set(if done.is_ok() { "Copied" } else { "Select and copy by hand" });
        after(2000, move || label.set("Copy"));
    });
}

/// Listens to changes of a form and refreshes what depends on them.
pub fn keep_up_to_date(form_id: &str) {
    let Some(document) = window().and_then(|window| window.document()) else { return };
    let Some(form) = document.get_element_by_id(form_id) else { return };
    let Ok(form) = form.dyn_into::<HtmlFormElement>() else { return };
    // Only the answer to the latest change counts.
    let latest = Rc::new(RefCell::new(0_u32));
    let listener = {
        let (form, document) = (form.clone(), document.clone());
        Closure::<dyn Fn(Event)>::new(move |_: Event| {
            let (form, document, latest) = (form.clone(), document.clone(), latest.clone());
            *latest.borrow_mut() += 1;
            let own = *latest.borrow();
            spawn_local(async move {
                let Ok(html) = ask(&form).await else { return };
                if *latest.borrow() == own {
                    replace_dependents(&document, &html);
                }
            });
        })
    };
    let _ = form.add_event_listener_with_callback("change", listener.as_ref().unchecked_ref());
    listener.forget();
}

async fn ask(form: &HtmlFormElement) -> Result<String, JsValue> {
    let data = FormData::new_with_form(form)?;
    let parameters = UrlSearchParams::new_with_str_sequence_sequence(&js_sys::Array::from(&data))?;
    parameters.append("action", "update");
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_body(&parameters);
    let window = window().ok_or(JsValue::NULL)?;
    // The form's own address; a field called "action" would hide the property.
    let address = form.get_attribute("action").unwrap_or_default();
    let response: Response = JsFuture::from(window.fetch_with_str_and_init(&address, &init)).await?.dyn_into()?;
    if !response.ok() {
        return Err(JsValue::NULL);
    }
    JsFuture::from(response.text()?).await?.as_string().ok_or(JsValue::NULL)
}

/// The answer is a page of this server, escaped as every page is; elements are taken over as they are.
fn replace_dependents(document: &Document, html: &str) {
    let Ok(new) = DomParser::new().and_then(|parser| parser.parse_from_string(html, SupportedType::TextHtml)) else {
        return;
    };
    let Ok(old_parts) = document.query_selector_all("[data-dependent]") else { return };
    for index in 0..old_parts.length() {
        let Some(old) = old_parts.item(index).and_then(|node| node.dyn_into::<Element>().ok()) else { continue };
        let replacement = new.get_element_by_id(&old.id());
        if let Some(replacement) = replacement {
            let _ = old.replace_with_with_node_1(&replacement);
        }
    }
}
