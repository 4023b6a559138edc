use axum::{
    extract::{Query, State},
    response::Response,
};
use leptos::prelude::*;
use serde::Deserialize;

use super::{
    facts::{decision_words, requester, title},
    waiting::{Waiting, load_waiting},
    waiting_live::WaitingLive,
};
use crate::{
    islands::LiveUpdates,
    pages::{
        components::{Pagination, TableFrame, TextArea, Time},
        error::PageError,
        render::Page,
        state::PageState,
        tasks::Freshness,
        user::User,
    },
    protocol::{
        client::{ClientError, Listed, ListedReview, ReviewQuery},
        timestamp,
    },
    session::{Flash, SignedIn, take_flash},
};

const PER_PAGE: usize = 20;

/// Which reviews are shown; kept in the address.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Shown {
    show: String,
    page: String,
}

/// What was typed for several reviews, and what is wrong with it.
#[derive(Clone, Default)]
pub struct Several {
    /// `ID:HASH` of those that were chosen.
    pub chosen: Vec<String>,
    pub reason: String,
    pub error: Option<String>,
}

/// An error for those who may not read reviews.
pub fn require(me: &SignedIn) -> Result<(), PageError> {
    match me.permissions.may_read_reviews() {
        true => Ok(()),
        false => Err(PageError::Forbidden(
            "Reviews are for those who decide for an organization's data. With a hub that knows nothing of reviews they \
             are decided at the node itself: by its own page, or by `atoll node reviews`."
                .to_owned(),
        )),
    }
}

/// `GET /reviews`: what waits; with `show=decided`, what was decided.
pub async fn show(
    State(state): State<PageState>,
    user: User,
    Query(shown): Query<Shown>,
) -> Result<Response, PageError> {
    let me = user.signed_in;
    require(&me)?;
    let flash = take_flash(&user.session).await?;
    if shown.show == "decided" {
        return decided(&state, me, shown.page.parse().unwrap_or(1).clamp(1, 1_000_000), flash).await;
    }
    waiting(&state, me, flash, Several::default()).await
}

/// The page of what waits, as it is or after something was wrong.
pub async fn waiting(
    state: &PageState,
    me: SignedIn,
    flash: Option<Flash>,
    several: Several,
) -> Result<Response, PageError> {
    let waiting = load_waiting(&me).await?;
    let status = match several.error {
        Some(_) => axum::http::StatusCode::UNPROCESSABLE_ENTITY,
        None => axum::http::StatusCode::OK,
    };
    let signed_in = me.clone();
    let count = me.permissions.may_decide_reviews().then_some(waiting.total);
    let view = move || view! { <WaitingPage waiting=waiting.clone() me=signed_in.clone() several=several.clone()/> };
    let page = Page::new("Reviews").user(me).section("/reviews").flash(flash).status(status).waiting_reviews(count);
    Ok(page.refreshing_slowly().with_islands().render(state, view).await)
}

#[component]
fn WaitingPage(waiting: Waiting, me: SignedIn, several: Several) -> impl IntoView {
    // Shown as soon as something can be chosen, also when that arrives later (style/pages.css).
    let choosable = me.permissions.may_decide_reviews();
    let freshness = Freshness::Loaded;
    view! {
        <h1>"Reviews"</h1>
        <Views decided=false/>
        <form method="post" action="/reviews" class="review-form">
            <WaitingLive waiting freshness me chosen=several.chosen/>
            {choosable.then(|| view! {
                <fieldset class="several">
                    <legend>"Decide several at once"</legend>
                    <TextArea name="reason".to_owned() label="Reason or comment".to_owned() value=several.reason rows=2 error=several.error
                        help="Needed to reject; the researchers read it.".to_owned()/>
                    <div class="buttons">
                        <button type="submit" name="action" value="approve" class="primary">"Approve chosen, each for this run only"</button>
                        <button type="submit" name="action" value="reject" class="danger">"Reject chosen"</button>
                    </div>
                </fieldset>
            })}
        </form>
        <LiveUpdates/>
    }
}

#[component]
fn Views(decided: bool) -> impl IntoView {
    let current = |is: bool| is.then_some("page");
    view! {
        <nav class="tabs" aria-label="Which reviews">
            <ul>
                <li><a href="/reviews" aria-current=current(!decided)>"Waiting"</a></li>
                <li><a href="/reviews?show=decided" aria-current=current(decided)>"Decided"</a></li>
            </ul>
        </nav>
    }
}

async fn decided(state: &PageState, me: SignedIn, page: usize, flash: Option<Flash>) -> Result<Response, PageError> {
    let query = ReviewQuery { decided: true, page, per_page: PER_PAGE, ..Default::default() };
    let (listed, names) = futures::try_join!(me.hub.reviews(&query), me.names())?;
    let view = move || {
        let Listed { items, total, .. } = listed.clone();
        let names = names.clone();
        view! {
            <h1>"Reviews"</h1>
            <Views decided=true/>
            {if items.is_empty() {
                view! { <p class="empty">{if total > 0 { "There are not so many pages." } else { "Nothing has been decided yet." }}</p> }.into_any()
            } else {
                view! {
                    <TableFrame label="Reviews that were decided">
                        <table class="stacked reviews">
                            <thead><tr>
                                <th scope="col">"Request"</th><th scope="col">"Data of"</th><th scope="col">"Who asked"</th>
                                <th scope="col">"Decision"</th><th scope="col">"When"</th>
                            </tr></thead>
                            <tbody>{items.into_iter().map(|ListedReview { review, .. }| {
                                let when = review.decision.as_ref().and_then(|decision| timestamp::parse(&decision.at));
                                view! {
                                    <tr>
                                        <th scope="row"><a href=format!("/reviews/{}", review.id)>{title(&review)}</a></th>
                                        <td data-label="Data of">{names.organization(review.organization_id)}</td>
                                        <td data-label="Who asked">{requester(&review)}</td>
                                        <td data-label="Decision">{decision_words(&review)}</td>
                                        <td data-label="When"><Time value=when/></td>
                                    </tr>
                                }
                            }).collect_view()}</tbody>
                        </table>
                    </TableFrame>
                }.into_any()
            }}
            {(total > PER_PAGE).then(|| view! { <Pagination page per_page=PER_PAGE total address=Box::new(|page| format!("/reviews?show=decided&page={page}"))/> })}
        }
    };
    Ok(Page::new("Reviews that were decided")
        .user(me.clone())
        .section("/reviews")
        .flash(flash)
        .render(state, view)
        .await)
}

/// What went wrong with a decision, for the place where it was taken.
pub fn refusal(error: &ClientError) -> Option<String> {
    match error {
        ClientError::Rejected { message, .. } | ClientError::NotAllowed(message) => Some(message.clone()),
        ClientError::NotFound(_) => Some("It is not there any more.".to_owned()),
        _ => None,
    }
}
