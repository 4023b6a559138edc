//! What others changed of how somebody signs in.

use axum::{
    Form,
    response::{IntoResponse, Redirect, Response},
};
use leptos::prelude::*;
use serde::Deserialize;

use crate::{
    pages::{components::Time, error::PageError, user::User},
    protocol::{account::AccountMessage, timestamp},
    session::{FlashKind, put_flash},
};

/// The messages that were not seen yet, for the start page.
#[component]
pub fn NewMessages(messages: Vec<AccountMessage>) -> impl IntoView {
    let new: Vec<AccountMessage> = messages.into_iter().filter(|message| !message.seen).collect();
    let last = new.iter().map(|message| message.id).max();
    last.map(|last| {
        view! {
            <section class="flash error" aria-labelledby="messages">
                <h2 id="messages">"An administrator changed something"</h2>
                <MessageList messages=new/>
                <p>"If you did not expect this, ask the administrators of this server at once."</p>
                <form method="post" action="/account/messages" class="actions">
                    <button type="submit" name="until" value=last>"I have seen this"</button>
                </form>
            </section>
        }
    })
}

/// Messages with their times.
#[component]
pub fn MessageList(messages: Vec<AccountMessage>) -> impl IntoView {
    view! {
        <ul>
            {messages.into_iter().map(|message| view! { <li>{message.what} " " <Time value=timestamp::parse(&message.at)/></li> }).collect_view()}
        </ul>
    }
}

#[derive(Deserialize)]
pub struct Seen {
    until: i64,
}

/// `POST /account/messages`
pub async fn seen(user: User, Form(seen): Form<Seen>) -> Result<Response, PageError> {
    user.signed_in.hub.saw_messages(seen.until).await?;
    put_flash(&user.session, FlashKind::Success, "Noted. You find it again on the page of your account.").await?;
    Ok(Redirect::to("/").into_response())
}
