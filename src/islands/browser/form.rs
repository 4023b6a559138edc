use std::{cell::Cell, rc::Rc};

use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Element, Event, FormData, HtmlFormElement, RequestInit, Response, UrlSearchParams, window};

use super::{document, morph::morph, parse, pause, text_of};

/// How long somebody has not typed when what depends on it is asked for, in milliseconds.
const TYPING: i32 = 250;

/// Listens to changes of a form and refreshes what depends on them.
pub fn keep_up_to_date(form_id: &str) {
    let Some(form) = document().and_then(|document| document.get_element_by_id(form_id)) else { return };
    let Ok(form) = form.dyn_into::<HtmlFormElement>() else { return };
    // Only the answer to the latest change counts.
    let latest = Rc::new(Cell::new(0_u32));
    let listener = Closure::<dyn Fn(Event)>::new({
        let form = form.clone();
        move |event: Event| {
            if event.type_() == "input" && !searches(&event) {
                return;
            }
            let (form, latest) = (form.clone(), latest.clone());
            latest.set(latest.get() + 1);
            let own = latest.get();
            let is_typing = event.type_() == "input";
            spawn_local(async move {
                if is_typing {
                    pause(TYPING).await;
                }
                if latest.get() != own {
                    return;
                }
                let Ok(html) = ask(&form).await else { return };
                if latest.get() == own {
                    update_dependents(&html);
                }
            });
        }
    });
    for event in ["change", "input"] {
        let _ = form.add_event_listener_with_callback(event, listener.as_ref().unchecked_ref());
    }
    listener.forget();
}

/// Whether what is typed in a field is searched for while it is typed.
fn searches(event: &Event) -> bool {
    let field = event.target().and_then(|target| target.dyn_into::<Element>().ok());
    field.is_some_and(|field| field.closest("[data-search]").is_ok_and(|around| around.is_some()))
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
    text_of(&response).await
}

fn update_dependents(html: &str) {
    let (Some(document), Some(new)) = (document(), parse(html)) else { return };
    let Ok(parts) = document.query_selector_all("[data-dependent]") else { return };
    for index in 0..parts.length() {
        let Some(part) = parts.item(index).and_then(|node| node.dyn_into::<Element>().ok()) else { continue };
        if let Some(new) = new.get_element_by_id(&part.id()) {
            morph(&part, &new);
        }
    }
}
