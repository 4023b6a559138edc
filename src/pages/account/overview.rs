use axum::{
    extract::{Form as Fields, State},
    response::{IntoResponse, Redirect, Response},
};
use leptos::prelude::*;

use super::messages::MessageList;
use crate::{
    pages::{
        components::{TableFrame, Time},
        error::PageError,
        form::Sent,
        render::Page,
        state::PageState,
        user::User,
    },
    protocol::account::OwnAccount,
    session::{FlashKind, OpenSession, put_flash, take_flash},
};

const TITLE: &str = "Your account";

/// `GET /account`
pub async fn show(State(state): State<PageState>, user: User) -> Result<Response, PageError> {
    let flash = take_flash(&user.session).await?;
    let me = user.signed_in;
    let own = async {
        match me.hub.transport().server().await?.has_own_account {
            true => me.hub.own_account().await.map(Some),
            false => Ok(None),
        }
    };
    let (details, names, own) = futures::try_join!(me.hub.account(me.user.id), me.names(), own)?;
    let sessions = state.registry.open_sessions(&user.session).await?;
    let manages = me.permissions.may_manage_users();
    let view = move || {
        let (details, names, own, sessions) = (details.clone(), names.clone(), own.clone(), sessions.clone());
        let name = format!("{} {}", details.first_name, details.last_name);
        let has_own = own.is_some();
        let notices = own.clone().filter(|own| own.notices_by_mail);
        let messages = own.clone().map(|own| own.messages).filter(|messages| !messages.is_empty());
        view! {
            <div class="page-head">
                <h1>{TITLE}</h1>
                <div class="actions">
                    {manages.then(|| view! { <a class="button" href=format!("/users/{}/edit", details.id)>"Change"</a> })}
                </div>
            </div>
            <dl class="facts">
                <div><dt>"Username"</dt><dd>{details.username.clone()}</dd></div>
                <div><dt>"Name"</dt><dd>{name.trim().to_owned()}</dd></div>
                <div><dt>"E-mail"</dt><dd>{details.email.clone()} {has_own.then(|| view! { " " <a href="/account/email">"Change"</a> })}</dd></div>
                <div><dt>"Organization"</dt><dd>{details.organization_id.map(|id| view! { <a href=format!("/organizations/{id}")>{names.organization(id)}</a> })}</dd></div>
            </dl>
            <section aria-labelledby="password">
                <h2 id="password">"Password"</h2>
                <p class="actions"><a class="button" href="/account/password">"Change password"</a></p>
            </section>
            <section aria-labelledby="second-factor">
                <h2 id="second-factor">"Second factor"</h2>
                <SecondFactorState own/>
            </section>
            <section aria-labelledby="sessions">
                <h2 id="sessions">"Where you are signed in"</h2>
                <SessionTable sessions/>
                {has_own.then(|| view! {
                    <p class="help">
                        "Programs that sign in with your password are not in this list. "
                        <a href="/account/sessions/all">"Sign out everywhere, programs too"</a>
                    </p>
                })}
            </section>
            {messages.map(|messages| view! {
                <section aria-labelledby="messages">
                    <h2 id="messages">"What others changed"</h2>
                    <MessageList messages/>
                </section>
            })}
            {notices.map(|own| view! {
                <section aria-labelledby="notices">
                    <h2 id="notices">"Mails"</h2>
                    <form method="post" action="/account/notices" class="stack">
                        {own.decides_reviews.then(|| view! {
                            <label class="flag"><input type="checkbox" name="reviews" checked=own.notice_of_reviews/> " A review waits for a decision"</label>
                        })}
                        <label class="flag"><input type="checkbox" name="tasks" checked=own.notice_of_tasks/> " A task of mine has ended"</label>
                        <p class="actions"><button type="submit">"Save"</button></p>
                    </form>
                </section>
            })}
        }
    };
    Ok(Page::new(TITLE).user(me.clone()).section("/account").flash(flash).render(&state, view).await)
}

/// Whether there is a second factor, and what can be done about it.
#[component]
fn SecondFactorState(
    /// `None` at a server that leaves nothing to its users.
    own: Option<OwnAccount>,
) -> impl IntoView {
    let Some(own) = own else {
        return view! {
            <p>
                "This server is a vantage6 server, which decides for everybody whether codes are asked for, and has no \
                 recovery codes. If yours is lost, "
                <a href="/second-factor/lost">"ask for a mail with which you set up a new one"</a> "."
            </p>
        }
        .into_any();
    };
    if !own.second_factor {
        return view! {
            <p>"Off: your password alone opens your account."</p>
            <p class="actions"><a class="button primary" href="/account/second-factor">"Set up an authenticator app"</a></p>
        }
        .into_any();
    }
    let left = match own.recovery_codes {
        0 => "You have no recovery codes: make some, or a lost phone locks you out.".to_owned(),
        1 => "One recovery code is left.".to_owned(),
        left => format!("{left} recovery codes are left."),
    };
    view! {
        <p>"On: signing in needs a code of your authenticator app. " {left}</p>
        <p class="actions">
            <a class="button" href="/account/recovery-codes">"New recovery codes"</a>
            <a class="button" href="/account/second-factor">"Use another app"</a>
            {(!own.second_factor_is_obligatory).then(|| view! { <a class="button danger" href="/account/second-factor/remove">"Turn off"</a> })}
        </p>
    }
    .into_any()
}

#[component]
fn SessionTable(sessions: Vec<OpenSession>) -> impl IntoView {
    let several = sessions.len() > 2;
    view! {
        <TableFrame label="Table of sessions">
            <table class="stacked">
                <thead><tr>
                    <th scope="col">"Browser"</th><th scope="col">"Since"</th><th scope="col">"Last used"</th>
                    <th scope="col"><span class="visually-hidden">"Action"</span></th>
                </tr></thead>
                <tbody>{sessions.into_iter().map(|session| view! {
                    <tr>
                        <th scope="row">
                            {session.browser.clone()}
                            {session.is_this.then(|| view! { " " <span class="tag">"this browser"</span> })}
                        </th>
                        <td data-label="Since"><Time value=session.since/></td>
                        <td data-label="Last used"><Time value=session.last_used/></td>
                        <td>
                            {(!session.is_this).then(|| view! {
                                <form method="post" action="/account/sessions">
                                    <button type="submit" name="session" value=session.handle.clone()>
                                        "Sign out" <span class="visually-hidden">{format!(" {}", session.browser)}</span>
                                    </button>
                                </form>
                            })}
                        </td>
                    </tr>
                }).collect_view()}</tbody>
            </table>
        </TableFrame>
        {several.then(|| view! {
            <form method="post" action="/account/sessions" class="actions"><button type="submit">"Sign out all others"</button></form>
        })}
    }
}

/// `POST /account/notices`
pub async fn save_notices(user: User, Fields(fields): Fields<Vec<(String, String)>>) -> Result<Response, PageError> {
    let sent = Sent(fields);
    let me = user.signed_in;
    let present = me.hub.own_account().await?;
    // Those who decide nothing are not asked about reviews.
    let of_reviews = if present.decides_reviews { sent.flag("reviews") } else { present.notice_of_reviews };
    me.hub.want_notices(of_reviews, sent.flag("tasks")).await?;
    put_flash(&user.session, FlashKind::Success, "Saved.").await?;
    Ok(Redirect::to("/account").into_response())
}
