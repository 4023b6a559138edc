//! The page that asks before something is deleted or replaced, and says what goes with it.

use axum::response::Response;
use leptos::prelude::*;

use super::{components::Breadcrumbs, render::Page, state::PageState};
use crate::session::SignedIn;

/// Words of a confirmation page.
#[derive(Debug, Clone)]
pub struct Question {
    pub heading: String,
    pub section: &'static str,
    pub way: Vec<(String, String)>,
    pub text: &'static str,
    /// What goes with it.
    pub with_it: Vec<String>,
    /// Where the answer is posted.
    pub action: String,
    pub confirm: &'static str,
    pub back: String,
}

impl Question {
    pub async fn render(self, state: &PageState, me: SignedIn) -> Response {
        let (title, section) = (self.heading.clone(), self.section);
        let view = move || {
            let question = self.clone();
            let none = question.with_it.is_empty();
            view! {
                <Breadcrumbs way=question.way/>
                <section class="message-page">
                    <h1>{question.heading}</h1>
                    <p>{question.text}</p>
                    {(!none).then(|| view! {
                        <p>"With it go:"</p>
                        <ul>{question.with_it.into_iter().map(|item| view! { <li>{item}</li> }).collect_view()}</ul>
                    })}
                    <form method="post" action=question.action class="actions">
                        <button type="submit" class="danger">{question.confirm}</button>
                        <a class="button" href=question.back>"Keep it"</a>
                    </form>
                </section>
            }
        };
        Page::new(title).user(me).section(section).render(state, view).await
    }
}

/// "1 task", "3 tasks"; nothing for none.
pub fn counted(count: usize, one: &str, many: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    }
}
