//! From a view to a whole HTML answer.

use axum::{
    body::{Body, to_bytes},
    http::{HeaderValue, Request, Response, StatusCode, header},
};
use leptos::{hydration::HydrationScripts, nonce::use_nonce, prelude::*};
use leptos_axum::ResponseOptions;

use super::{
    components::{AccountMenu, FlashMessage, Navigation},
    state::{Assets, PageState},
};
use crate::serve::spooled;
use crate::session::{Flash, SignedIn};

/// Everything around a page's own view.
#[derive(Clone)]
pub struct Page {
    title: String,
    section: &'static str,
    user: Option<SignedIn>,
    status: StatusCode,
    flash: Option<Flash>,
    islands: bool,
    /// Seconds after which the page loads itself again without scripts.
    refresh: Option<u32>,
    waiting_reviews: Option<usize>,
}

impl Page {
    /// A page with this title, without a user and without scripts.
    pub fn new(title: impl Into<String>) -> Self {
        Page {
            title: title.into(),
            section: "",
            user: None,
            status: StatusCode::OK,
            flash: None,
            islands: false,
            refresh: None,
            waiting_reviews: None,
        }
    }

    /// Who is signed in.
    pub fn user(self, user: impl Into<Option<SignedIn>>) -> Self {
        Page { user: user.into(), ..self }
    }

    /// The menu entry to which the page belongs, by its address.
    pub fn section(self, section: &'static str) -> Self {
        Page { section, ..self }
    }

    pub fn status(self, status: StatusCode) -> Self {
        Page { status, ..self }
    }

    /// A message from the page before.
    pub fn flash(self, flash: Option<Flash>) -> Self {
        Page { flash, ..self }
    }

    /// The page has islands, so it loads their scripts.
    pub fn with_islands(self) -> Self {
        Page { islands: true, ..self }
    }

    /// How many reviews wait for who is signed in, if the page knows it better than the navigation.
    pub fn waiting_reviews(self, count: Option<usize>) -> Self {
        Page { waiting_reviews: count, ..self }
    }

    /// Without scripts the page loads itself again every few seconds.
    pub fn refreshing(self) -> Self {
        Page { refresh: Some(5), ..self }
    }

    /// As [`Page::refreshing`], at an interval that leaves time to fill in a form.
    pub fn refreshing_slowly(self) -> Self {
        Page { refresh: Some(60), ..self }
    }

    /// Renders the page around this view.
    pub async fn render<V, IV>(mut self, state: &PageState, view: V) -> Response<Body>
    where
        V: Fn() -> IV + Clone + Send + Sync + 'static,
        IV: IntoView + 'static,
    {
        let assets = state.assets.clone();
        if let (Some(user), None) = (&self.user, self.waiting_reviews) {
            self.waiting_reviews = user.waiting_reviews().await;
        }
        let response = if self.islands { self.with_scripts(assets, view).await } else { self.plain(assets, view) };
        // A slow reader keeps no page in memory.
        let (parts, body) = response.into_parts();
        let html = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let mut response = Response::from_parts(parts, spooled(html).await);
        // Pages hold what only this user may see.
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// A page without any script, and a policy that allows none.
    fn plain<IV: IntoView + 'static>(self, assets: Assets, view: impl Fn() -> IV) -> Response<Body> {
        let status = self.status;
        let html = Owner::new().with(|| {
            let content = view().into_any();
            document(self, assets, content).to_html()
        });
        let mut response = Response::new(Body::from(html));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.extend(content_security_policy("'none'").map(|policy| (header::CONTENT_SECURITY_POLICY, policy)));
        response
    }

    /// A page with islands: leptos adds what their scripts need.
    async fn with_scripts<V, IV>(self, assets: Assets, view: V) -> Response<Body>
    where
        V: Fn() -> IV + Clone + Send + Sync + 'static,
        IV: IntoView + 'static,
    {
        let handler = leptos_axum::render_app_async_with_context(
            || {},
            move || {
                let response = expect_context::<ResponseOptions>();
                response.set_status(self.status);
                let sources = use_nonce().map(|nonce| format!("'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'"));
                if let Some(policy) = sources.and_then(|sources| content_security_policy(&sources)) {
                    response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
                }
                let content = view().into_any();
                document(self.clone(), assets.clone(), content)
            },
        );
        handler(Request::new(Body::empty())).await
    }
}

fn content_security_policy(script_sources: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!(
        "default-src 'self'; script-src {script_sources}; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    ))
    .ok()
}

fn document(page: Page, assets: Assets, content: AnyView) -> impl IntoView {
    // As text of its own: with the marker that leptos puts after texts, the marker would be shown in the tab.
    let title = format!("{} · Atoll", page.title).replace('&', "&amp;").replace('<', "&lt;");
    let scripts = page.islands.then(|| view! { <HydrationScripts options=assets.leptos islands=true/> });
    let refresh = page
        .refresh
        .map(|seconds| view! { <noscript><meta http-equiv="refresh" content=seconds.to_string()/></noscript> });
    let user = page.user.clone();
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content="light dark"/>
                <title inner_html=title></title>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                <link rel="stylesheet" href=assets.stylesheet.to_string()/>
                {refresh}
                {scripts}
            </head>
            <body>
                <a class="skip-link" href="#main">"Skip to the content"</a>
                <header class="site-header">
                    <a class="brand" href="/">
                        <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true">
                            <circle class="brand-lagoon" cx="16" cy="16" r="7"/>
                            <path class="brand-reef" d="M16 3a13 13 0 0 1 11.3 6.5M28.9 17A13 13 0 0 1 20 28.4M14 28.9A13 13 0 0 1 3.1 15M4.7 9.5A13 13 0 0 1 11 4"/>
                        </svg>
                        "Atoll"
                    </a>
                    {user.map(|user| view! {
                        <Navigation section=page.section may_create=user.permissions.may_create_tasks()
                            may_read_reviews=user.permissions.may_read_reviews() may_read_audit=user.permissions.may_read_audit() may_manage_users=user.permissions.may_manage_users()
                            waiting_reviews=page.waiting_reviews/>
                        <AccountMenu user/>
                    })}
                </header>
                <main id="main" tabindex="-1">
                    <FlashMessage flash=page.flash/>
                    {content}
                </main>
            </body>
        </html>
    }
}
