use axum::{Extension, Form, extract::State, http::StatusCode, response::Response};
use leptos::prelude::*;
use serde::Deserialize;
use tower_sessions::Session;

use super::{frame::Frame, outcome, qr_code::SetUp};
use crate::{
    islands::TakeFragment,
    pages::{components::TextField, error::PageError, render::Page, state::PageState},
    protocol::client::{SecondFactor, SignIn, reset_second_factor},
    serve::ClientAddress,
    session::take_flash,
};

const TITLE: &str = "New second factor";

/// `GET /second-factor/reset`
pub async fn show(State(state): State<PageState>, session: Session) -> Result<Response, PageError> {
    let page = Page::new(TITLE).flash(take_flash(&session).await?);
    Ok(render(&state, page, String::new(), None).await)
}

#[derive(Deserialize)]
pub struct MailedCode {
    #[serde(default)]
    code: String,
}

/// `POST /second-factor/reset`: shows the new second factor, once.
pub async fn submit(
    State(state): State<PageState>,
    Extension(address): Extension<ClientAddress>,
    Form(form): Form<MailedCode>,
) -> Result<Response, PageError> {
    let code = form.code.trim().to_owned();
    let (status, error) = if code.is_empty() {
        (StatusCode::UNPROCESSABLE_ENTITY, "Enter the code from the mail.".to_owned())
    } else if !state.limits.users.allows(address) {
        (outcome::TOO_MANY.0, outcome::TOO_MANY.1.to_owned())
    } else {
        let outcome =
            reset_second_factor(state.registry.transport(), &code.clone().into(), &state.counted_headers(address))
                .await;
        match state.counted(address, outcome) {
            Ok(SignIn::SetUpSecondFactor(second_factor)) => return Ok(render_new(&state, second_factor).await),
            Ok(_) => return Err(PageError::Internal),
            Err(error) => outcome::of_failure(error, "nothing can be changed")?,
        }
    };
    Ok(render(&state, Page::new(TITLE).status(status), code, Some(error)).await)
}

async fn render(state: &PageState, page: Page, code: String, error: Option<String>) -> Response {
    let view = move || {
        let (code, error) = (code.clone(), error.clone());
        view! {
            <Frame heading=TITLE error>
                <form method="post" action="/second-factor/reset" class="stack">
                    <TextField name="code" label="Code from the mail" value=code autocomplete="off"
                        required=true autofocus=true/>
                    <TakeFragment/>
                    <button type="submit" class="primary">"Set up a new second factor"</button>
                </form>
                <p class="links"><a href="/login">"Back to signing in"</a></p>
            </Frame>
        }
    };
    page.with_islands().render(state, view).await
}

async fn render_new(state: &PageState, second_factor: SecondFactor) -> Response {
    let view = move || {
        let second_factor = second_factor.clone();
        view! {
            <Frame heading=TITLE lead="The old one does not work any more.">
                <SetUp second_factor/>
                <p class="actions"><a class="button primary" href="/login">"Sign in with it"</a></p>
            </Frame>
        }
    };
    Page::new(TITLE).render(state, view).await
}
