use axum::{
    Extension, Form,
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use leptos::prelude::*;

use super::proof::{ProofForm, Sent};
use crate::{
    islands::CopyButton,
    pages::{components::Breadcrumbs, error::PageError, render::Page, state::PageState, user::User},
    protocol::client::Proof,
    serve::ClientAddress,
    session::SignedIn,
};

const FORM: ProofForm = ProofForm {
    title: "New recovery codes",
    lead: "Each stands in once for a code of your authenticator app, for the day on which your phone is lost. New codes \
           replace those of before.",
    action: "/account/recovery-codes",
    submit: "Make new codes",
    dangerous: false,
};

/// `GET /account/recovery-codes`
pub async fn show(State(state): State<PageState>, user: User) -> Result<Response, PageError> {
    let account = user.signed_in.hub.own_account().await?;
    if !account.second_factor {
        return Ok(Redirect::to("/account").into_response());
    }
    Ok(FORM.show(&state, user.signed_in, &account).await)
}

/// `POST /account/recovery-codes`
pub async fn make(
    State(state): State<PageState>,
    Extension(address): Extension<ClientAddress>,
    user: User,
    Form(sent): Form<Sent>,
) -> Result<Response, PageError> {
    let me = user.signed_in;
    let account = me.hub.own_account().await?;
    let ask = async |proof: &Proof| me.hub.new_recovery_codes(proof).await;
    Ok(match FORM.answer(&state, &me, &account, (sent, address), ask).await? {
        Ok(codes) => codes_page(&state, me, codes).await,
        Err(again) => again,
    })
}

/// The page with recovery codes, which are shown this once.
pub async fn codes_page(state: &PageState, me: SignedIn, codes: Vec<String>) -> Response {
    let view = move || {
        let codes = codes.join("\n");
        view! {
            <Breadcrumbs way=vec![("/account".to_owned(), "Your account".to_owned())]/>
            <h1>"Your recovery codes"</h1>
            <p class="notice">
                "Print them or keep them in a password manager, not on the phone with the authenticator app. Each is \
                 good once. They are shown this once."
            </p>
            <div class="code-block">
                <pre tabindex="0"><code id="copy-source" class="recovery-codes">{codes}</code></pre>
                <CopyButton/>
            </div>
            <p class="actions"><a class="button primary" href="/account">"I have kept them"</a></p>
        }
    };
    Page::new("Your recovery codes").user(me).section("/account").with_islands().render(state, view).await
}
