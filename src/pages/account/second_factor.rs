use axum::{
    Extension, Form,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use leptos::prelude::*;
use serde::Deserialize;

use super::{
    proof::{ProofForm, Sent},
    recovery_codes::codes_page,
};
use crate::{
    pages::{
        components::{Breadcrumbs, TextField},
        error::PageError,
        render::Page,
        sign_in::{SetUp, is_code},
        state::PageState,
        user::User,
    },
    protocol::{
        account::OwnAccount,
        client::{Proof, SecondFactor, SignIn, refusal},
    },
    serve::ClientAddress,
    session::{FlashKind, SignedIn, put_flash},
};

const TITLE: &str = "Set up the second factor";

/// The form before a new one, in other words where there is one already.
fn form(account: &OwnAccount) -> ProofForm {
    let (title, lead) = if account.second_factor {
        ("Use another authenticator app", "The present app is good until the new one has shown its first code.")
    } else {
        (
            TITLE,
            "With it a stolen password is not enough: signing in needs a code that an app on your phone shows. To begin, \
             give your password once more.",
        )
    };
    ProofForm { title, lead, action: "/account/second-factor", submit: "Go on", dangerous: false }
}

/// `GET /account/second-factor`
pub async fn show(State(state): State<PageState>, user: User) -> Result<Response, PageError> {
    let account = user.signed_in.hub.own_account().await?;
    Ok(form(&account).show(&state, user.signed_in, &account).await)
}

/// `POST /account/second-factor`: shows the new secret, once.
pub async fn begin(
    State(state): State<PageState>,
    Extension(address): Extension<ClientAddress>,
    user: User,
    Form(sent): Form<Sent>,
) -> Result<Response, PageError> {
    let me = user.signed_in;
    let account = me.hub.own_account().await?;
    let ask = async |proof: &Proof| me.hub.begin_second_factor(proof).await;
    match form(&account).answer(&state, &me, &account, (sent, address), ask).await? {
        Ok(SignIn::SetUpSecondFactor(begun)) => Ok(first_code_page(&state, me, Some(begun), None).await),
        Ok(_) => Err(PageError::Internal),
        Err(again) => Ok(again),
    }
}

#[derive(Deserialize)]
pub struct FirstCode {
    #[serde(default)]
    code: String,
}

/// `GET /account/second-factor/confirm`: for who comes back; the secret is not shown again.
pub async fn show_confirm(State(state): State<PageState>, user: User) -> Response {
    first_code_page(&state, user.signed_in, None, None).await
}

/// `POST /account/second-factor/confirm`
pub async fn confirm(
    State(state): State<PageState>,
    user: User,
    Form(sent): Form<FirstCode>,
) -> Result<Response, PageError> {
    let me = user.signed_in;
    let code: String = sent.code.split_whitespace().collect();
    let error = if code.len() != 6 || !is_code(&code) {
        "Enter the six digits that your authenticator app shows.".to_owned()
    } else {
        match me.hub.confirm_second_factor(&code).await {
            Ok(codes) => return Ok(codes_page(&state, me, codes).await),
            Err(error) => match refusal(&error) {
                Some(message) => message,
                None => return Err(error.into()),
            },
        }
    };
    Ok(first_code_page(&state, me, None, Some(error)).await)
}

async fn first_code_page(
    state: &PageState,
    me: SignedIn,
    begun: Option<SecondFactor>,
    error: Option<String>,
) -> Response {
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let view = move || {
        let (begun, error) = (begun.clone(), error.clone());
        let again = begun.is_none();
        view! {
            <Breadcrumbs way=vec![("/account".to_owned(), "Your account".to_owned())]/>
            <div class="sign-in">
                <h1>{TITLE}</h1>
                {begun.map(|second_factor| view! { <SetUp second_factor/> })}
                {again.then(|| view! {
                    <p class="lead">
                        "Your app knows the key already: enter the code that it shows now. If it does not, "
                        <a href="/account/second-factor">"begin anew"</a> "."
                    </p>
                })}
                <form method="post" action="/account/second-factor/confirm" class="stack">
                    <TextField name="code" label="Code that the app shows" value="" autocomplete="one-time-code"
                        inputmode="numeric" maxlength=10 required=true autofocus=true error/>
                    <p class="actions">
                        <button type="submit" class="primary">"Turn it on"</button>
                        <a class="button" href="/account">"Cancel"</a>
                    </p>
                </form>
            </div>
        }
    };
    Page::new(TITLE).user(me).section("/account").status(status).render(state, view).await
}

const REMOVAL: ProofForm = ProofForm {
    title: "Turn off the second factor",
    lead: "From then on your password alone opens your account. Your recovery codes are void.",
    action: "/account/second-factor/remove",
    submit: "Turn it off",
    dangerous: true,
};

/// `GET /account/second-factor/remove`
pub async fn show_remove(State(state): State<PageState>, user: User) -> Result<Response, PageError> {
    let account = user.signed_in.hub.own_account().await?;
    Ok(REMOVAL.show(&state, user.signed_in, &account).await)
}

/// `POST /account/second-factor/remove`
pub async fn remove(
    State(state): State<PageState>,
    Extension(address): Extension<ClientAddress>,
    user: User,
    Form(sent): Form<Sent>,
) -> Result<Response, PageError> {
    let me = user.signed_in;
    let account = me.hub.own_account().await?;
    let ask = async |proof: &Proof| me.hub.remove_second_factor(proof).await;
    if let Err(again) = REMOVAL.answer(&state, &me, &account, (sent, address), ask).await? {
        return Ok(again);
    }
    put_flash(&user.session, FlashKind::Success, "The second factor is turned off.").await?;
    Ok(Redirect::to("/account").into_response())
}
