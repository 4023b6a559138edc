use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Element, Event, EventSource, MessageEvent};

use super::{after, document, morph::morph, parse};

/// Pause before a stream that was refused is opened again, in milliseconds.
const REOPEN_PAUSE: i32 = 3000;

/// The number in the navigation, which comes along where it matters.
const COUNT: &str = "review-count";

/// Follows the event stream of the element `#live`: every message is the whole element.
pub fn follow() {
    let Some(live) = document().and_then(|document| document.get_element_by_id("live")) else { return };
    let Some(address) = live.get_attribute("data-events") else { return };
    open(address, live);
}

fn open(address: String, live: Element) {
    let Ok(source) = EventSource::new(&address) else { return };
    let take = {
        let live = live.clone();
        move |event: &MessageEvent| {
            let Some(new) = event.data().as_string().and_then(|html| parse(&html)) else { return };
            if let Some(new) = new.get_element_by_id("live") {
                morph(&live, &new);
            }
            let count = document().and_then(|document| document.get_element_by_id(COUNT));
            if let (Some(count), Some(new)) = (count, new.get_element_by_id(COUNT)) {
                morph(&count, &new);
            }
        }
    };
    listen(&source, "message", {
        let take = take.clone();
        move |_, event| take(&event)
    });
    // The last state: nothing more is to come.
    listen(&source, "final", move |source, event| {
        source.close();
        take(&event);
    });
    listen(&source, "signed-out", |source, _| {
        source.close();
        say("signed out: load the page again to sign in");
    });
    listen(&source, "gone", |source, _| {
        source.close();
        say("this is gone: it was deleted, or you may no longer see it");
    });
    let on_error = Closure::<dyn Fn(Event)>::new({
        let source = source.clone();
        move |_: Event| {
            let as_of = live.get_attribute("data-as-of").unwrap_or_default();
            say(&format!("reconnecting, as of {as_of} UTC"));
            // A broken stream is opened again by the browser; one that was refused is not.
            if source.ready_state() == EventSource::CLOSED {
                let (address, live) = (address.clone(), live.clone());
                after(REOPEN_PAUSE, move || open(address, live));
            }
        }
    });
    source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
    on_error.forget();
}

fn listen(source: &EventSource, name: &str, action: impl Fn(&EventSource, MessageEvent) + 'static) {
    let listener = Closure::<dyn Fn(MessageEvent)>::new({
        let source = source.clone();
        move |event| action(&source, event)
    });
    let _ = source.add_event_listener_with_callback(name, listener.as_ref().unchecked_ref());
    // It lives as long as the page.
    listener.forget();
}

fn say(words: &str) {
    let Some(element) = document().and_then(|document| document.get_element_by_id("freshness")) else { return };
    element.set_class_name("freshness");
    element.set_text_content(Some(words));
}
