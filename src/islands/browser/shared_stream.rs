//! One event stream for all pages of a browser. The page that holds the Web Lock leads: it opens the stream and passes on
//! what arrives over a BroadcastChannel. When it goes, another page gets the lock. Where a browser has neither, every page looks
//! by itself.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
};

use js_sys::{Array, Date, Function, Object, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{BroadcastChannel, EventSource, EventTarget, MessageEvent, UrlSearchParams, window};

use super::{after, document};

/// The name of channel and lock; another one whenever the messages change.
const NAME: &str = "atoll-live-1";
/// How long the others have to say that they are there before the stream is opened, in milliseconds.
const GATHER: i32 = 100;
/// Pause before a stream that ended is opened again, in milliseconds.
const REOPEN_PAUSE: i32 = 3000;
/// The server says at least every 15 seconds that it is there. After so many milliseconds without a word the stream, or
/// the page that leads, is taken for lost: phones put pages to sleep, with their locks.
const SILENCE: f64 = 40_000.0;
/// Pause between two looks for silence, in milliseconds.
const WATCH_PAUSE: i32 = 10_000;

/// What a page is told.
pub enum Message {
    /// HTML of how it is now.
    State(String),
    Gone,
    SignedOut,
    /// The stream broke; it is opened again.
    Interrupted,
    /// Nothing will be told; the page has to look by itself.
    Untold,
}

struct Page {
    path: String,
    take: Box<dyn Fn(Message)>,
    channel: BroadcastChannel,
    /// Nothing more is to come for this page. It may go on to lead.
    is_over: Cell<bool>,
    /// When something was heard, in milliseconds.
    heard: Cell<f64>,
    /// Gives the lock away, for as long as this page leads.
    release: RefCell<Option<Function>>,
    /// What the stream follows, while this page leads.
    paths: RefCell<BTreeSet<String>>,
    source: RefCell<Option<EventSource>>,
    gathers: Cell<bool>,
}

/// Tells `take` how the page with this path changes.
pub fn follow(path: String, take: impl Fn(Message) + 'static) {
    let (Some(locks), Ok(channel)) = (locks(), BroadcastChannel::new(NAME)) else { return take(Message::Untold) };
    let page = Rc::new(Page {
        path,
        take: Box::new(take),
        channel,
        is_over: Cell::new(false),
        heard: Cell::new(Date::now()),
        release: RefCell::default(),
        paths: RefCell::default(),
        source: RefCell::default(),
        gathers: Cell::new(false),
    });
    listen(&page.channel, "message", {
        let page = page.clone();
        move |event: MessageEvent| {
            let parts: Array = event.data().unchecked_into();
            let part = |index| parts.get(index).as_string().unwrap_or_default();
            page.hear(&part(0), &part(1), part(2));
        }
    });
    if let Some(window) = window() {
        // A page that leaves, and may come back as it was.
        listen(&window, "pagehide", {
            let page = page.clone();
            move |_: MessageEvent| page.resign()
        });
        listen(&window, "pageshow", {
            let (page, locks) = (page.clone(), locks.clone());
            move |event: MessageEvent| {
                let is_back = Reflect::get(&event, &"persisted".into()).is_ok_and(|persisted| persisted.is_truthy());
                if is_back {
                    page.clone().join(&locks);
                }
            }
        });
        let watch = Closure::<dyn Fn()>::new({
            let (page, locks) = (page.clone(), locks.clone());
            move || page.watch(&locks)
        });
        let watch = watch.into_js_value();
        let _ = window.set_interval_with_callback_and_timeout_and_arguments_0(watch.unchecked_ref(), WATCH_PAUSE);
    }
    page.join(&locks);
}

/// `navigator.locks`, which web-sys has only as an unstable interface.
fn locks() -> Option<Object> {
    Reflect::get(&window()?.navigator(), &"locks".into()).ok()?.dyn_into().ok()
}

/// It listens as long as the page lives.
fn listen(target: &EventTarget, event: &str, action: impl Fn(MessageEvent) + 'static) {
    let action = Closure::<dyn Fn(MessageEvent)>::new(action).into_js_value();
    let _ = target.add_event_listener_with_callback(event, action.unchecked_ref());
}

impl Page {
    fn leads(&self) -> bool {
        self.release.borrow().is_some()
    }

    fn post(&self, kind: &str, path: &str, html: &str) {
        let _ = self.channel.post_message(&Array::of3(&kind.into(), &path.into(), &html.into()));
    }

    /// Says that this page is there, and leads as soon as no other one does.
    fn join(self: Rc<Page>, locks: &Object) {
        self.heard.set(Date::now());
        self.post("new", &self.path, "");
        self.wait_to_lead(locks, false);
    }

    /// Asks for the lock. `steal` takes it from the page that holds it.
    fn wait_to_lead(self: Rc<Page>, locks: &Object, steal: bool) {
        let led = Rc::new(Cell::new(false));
        let granted = Closure::once_into_js({
            let (page, led) = (self.clone(), led.clone());
            move |_: JsValue| {
                led.set(true);
                // The lock is held until this is resolved.
                let held = Promise::new(&mut |release, _| *page.release.borrow_mut() = Some(release));
                page.gather();
                held
            }
        });
        let lost = Closure::once_into_js({
            let (page, locks) = (self.clone(), locks.clone());
            move |_: JsValue| {
                page.resign();
                if led.get() {
                    page.wait_to_lead(&locks, false);
                } else {
                    // The browser gives no locks here.
                    page.tell("untold", &page.path, String::new());
                }
            }
        });
        let options = Object::new();
        let _ = Reflect::set(&options, &"steal".into(), &steal.into());
        let request =
            Reflect::get(locks, &"request".into()).ok().and_then(|request| request.dyn_into::<Function>().ok());
        let asked = request.and_then(|request| request.call3(locks, &NAME.into(), &options, &granted).ok());
        if let Some(asked) = asked.and_then(|asked| asked.dyn_into::<Promise>().ok()) {
            let catch = Reflect::get(&asked, &"catch".into()).ok().and_then(|catch| catch.dyn_into::<Function>().ok());
            let _ = catch.map(|catch| catch.call1(&asked, &lost));
        }
    }

    /// Leads no more.
    fn resign(&self) {
        if let Some(source) = self.source.take() {
            source.close();
        }
        if let Some(release) = self.release.take() {
            let _ = release.call0(&JsValue::NULL);
        }
    }

    /// What another page says.
    fn hear(self: &Rc<Page>, kind: &str, path: &str, html: String) {
        match kind {
            "who" => {
                if !self.is_over.get() {
                    self.post("here", &self.path, "");
                }
            }
            "new" | "here" if self.leads() => {
                let is_new = self.paths.borrow_mut().insert(path.to_owned());
                // A new page may have been made before what the stream said last.
                if is_new || kind == "new" {
                    self.gather();
                }
            }
            "new" | "here" => {}
            _ => self.tell(kind, path, html),
        }
    }

    /// What the stream says, here or at the page that leads. Without a path it is said to all pages.
    fn tell(&self, kind: &str, path: &str, html: String) {
        self.heard.set(Date::now());
        if self.is_over.get() || !path.is_empty() && path != self.path {
            return;
        }
        let message = match kind {
            "message" | "final" => Message::State(html),
            "gone" => Message::Gone,
            "signed-out" => Message::SignedOut,
            "interrupted" => Message::Interrupted,
            "crowded" | "untold" => Message::Untold,
            _ => return,
        };
        self.is_over.set(!matches!(kind, "message" | "interrupted"));
        (self.take)(message);
    }

    /// Asks who is there, and then opens the stream.
    fn gather(self: &Rc<Page>) {
        if self.gathers.replace(true) {
            return;
        }
        {
            let mut paths = self.paths.borrow_mut();
            paths.clear();
            if !self.is_over.get() {
                paths.insert(self.path.clone());
            }
        }
        self.post("who", "", "");
        let page = self.clone();
        after(GATHER, move || {
            page.gathers.set(false);
            if page.leads() {
                page.open();
            }
        });
    }

    fn open(self: &Rc<Page>) {
        if let Some(source) = self.source.take() {
            source.close();
        }
        let paths = self.paths.borrow();
        let Ok(query) = UrlSearchParams::new() else { return };
        for path in paths.iter() {
            query.append("of", path);
        }
        if paths.is_empty() {
            return;
        }
        let address = format!("/events?{}", String::from(query.to_string()));
        let Ok(source) = EventSource::new(&address) else { return };
        for kind in ["message", "final", "gone", "signed-out", "crowded", "alive"] {
            let page = self.clone();
            listen(&source, kind, move |event| {
                let data = event.data().as_string().unwrap_or_default();
                let (path, html) = data.split_once('\n').unwrap_or((&data, ""));
                page.pass_on(kind, path, html);
            });
        }
        listen(&source, "error", {
            let (page, source) = (self.clone(), source.clone());
            move |_| {
                // The browser would open the same one again; others may be there meanwhile, or gone.
                source.close();
                if page.source.borrow().as_ref() != Some(&source) {
                    return;
                }
                page.pass_on("interrupted", "", "");
                let page = page.clone();
                after(REOPEN_PAUSE, move || {
                    if page.leads() {
                        page.gather();
                    }
                });
            }
        });
        *self.source.borrow_mut() = Some(source);
    }

    fn pass_on(&self, kind: &str, path: &str, html: &str) {
        self.post(kind, path, html);
        self.tell(kind, path, html.to_owned());
    }

    /// Looks whether somebody still leads, and the server is still there.
    fn watch(self: &Rc<Page>, locks: &Object) {
        if Date::now() - self.heard.get() < SILENCE {
            return;
        }
        if self.leads() {
            self.heard.set(Date::now());
            self.gather();
        } else if !self.is_over.get() && document().is_some_and(|document| !document.hidden()) {
            self.heard.set(Date::now());
            self.post("new", &self.path, "");
            self.clone().wait_to_lead(locks, true);
        }
    }
}
