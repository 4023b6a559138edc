use std::{cell::Cell, rc::Rc};

use wasm_bindgen::JsCast;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Element, Response, window};

use super::{
    document,
    morph::morph,
    parse, pause,
    shared_stream::{self, Message},
    text_of,
};

/// Pause between two looks of a page that nobody tells what happens, in milliseconds.
const LOOK_PAUSE: i32 = 5000;

/// The number in the navigation, which comes along where it matters.
const COUNT: &str = "review-count";

/// Keeps the element `#live` as the server has it.
pub fn follow() {
    let Some(live) = document().and_then(|document| document.get_element_by_id("live")) else { return };
    let Some(path) = live.get_attribute("data-live") else { return };
    let looks = Rc::new(Cell::new(false));
    let take = {
        let (live, path) = (live.clone(), path.clone());
        move |message: Message| match message {
            Message::State(html) => {
                take(&live, &html);
            }
            Message::Gone => say("this is gone: it was deleted, or you may no longer see it"),
            Message::SignedOut => say("signed out: load the page again to sign in"),
            Message::Interrupted => {
                let as_of = live.get_attribute("data-as-of").unwrap_or_default();
                say(&format!("reconnecting, as of {as_of} UTC"));
            }
            // It looks already.
            Message::Untold if looks.replace(true) => {}
            Message::Untold => spawn_local(look_now_and_then(path.clone(), live.clone())),
        }
    };
    shared_stream::follow(path, take);
}

/// Shows the parts of this HTML. Answers with the new element `#live`.
fn take(live: &Element, html: &str) -> Option<Element> {
    let new = parse(html)?;
    let count = document().and_then(|document| document.get_element_by_id(COUNT));
    if let (Some(count), Some(new)) = (count, new.get_element_by_id(COUNT)) {
        morph(&count, &new);
    }
    let new = new.get_element_by_id("live")?;
    morph(live, &new);
    Some(new)
}

/// Asks for the page itself for as long as it changes.
async fn look_now_and_then(path: String, live: Element) {
    loop {
        pause(LOOK_PAUSE).await;
        if document().is_some_and(|document| document.hidden()) {
            continue;
        }
        let as_of = live.get_attribute("data-as-of").unwrap_or_default();
        let Some(answer) = page(&path).await else {
            say(&format!("the server does not answer, as of {as_of} UTC"));
            continue;
        };
        if answer.redirected() {
            return say("signed out: load the page again to sign in");
        }
        if [403, 404].contains(&answer.status()) {
            return say("this is gone: it was deleted, or you may no longer see it");
        }
        let new = text_of(&answer).await.ok().and_then(|html| take(&live, &html));
        // What is final is not followed.
        if new.is_some_and(|new| !new.has_attribute("data-live")) {
            return;
        }
        let as_of = live.get_attribute("data-as-of").unwrap_or_default();
        say(&format!("as of {as_of} UTC, looked at again every few seconds"));
    }
}

async fn page(path: &str) -> Option<Response> {
    JsFuture::from(window()?.fetch_with_str(path)).await.ok()?.dyn_into().ok()
}

fn say(words: &str) {
    let Some(element) = document().and_then(|document| document.get_element_by_id("freshness")) else { return };
    element.set_class_name("freshness");
    element.set_text_content(Some(words));
}
