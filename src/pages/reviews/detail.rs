use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use leptos::prelude::*;

use super::{
    decide::Typed,
    facts::{HeldResult, RequestFacts, Unusual, decision_words, reach_words, title},
    list::require,
    live::ReviewLive,
    waiting::may_decide,
};
use crate::{
    islands::LiveUpdates,
    pages::{
        components::{Breadcrumbs, FieldError, TextArea, TextField, Time},
        error::PageError,
        render::Page,
        state::PageState,
        user::User,
    },
    protocol::{
        client::ReviewQuery,
        policy::ReviewMode,
        review::{Review, ReviewState, Subject},
        timestamp,
    },
    session::{Flash, Names, SignedIn, take_flash},
};

/// `GET /reviews/{id}`
pub async fn show(State(state): State<PageState>, user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id: i64 = id.parse().map_err(|_| PageError::not_found("This review"))?;
    let flash = take_flash(&user.session).await?;
    render(&state, user.signed_in, id, flash, Typed::default()).await
}

/// The page of a review, as it is or after something was wrong.
pub async fn render(
    state: &PageState,
    me: SignedIn,
    id: i64,
    flash: Option<Flash>,
    typed: Typed,
) -> Result<Response, PageError> {
    require(&me)?;
    let (review, names) = futures::try_join!(me.hub.review(id), me.names())?;
    let same = ReviewQuery { hash: Some(review.hash.clone()), per_page: 20, ..Default::default() };
    let mut earlier: Vec<Review> = me.hub.reviews(&same).await?.items.into_iter().map(|listed| listed.review).collect();
    earlier
        .retain(|other| other.id != id && other.organization_id == review.organization_id && other.decision.is_some());
    let status = if typed.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let heading = format!("Review: {}", title(&review));
    let is_true = review.is_true();
    let decides = may_decide(&me, &review, is_true);
    let waits = review.state == ReviewState::Waiting;
    let view = move || {
        let (review, earlier, names, typed) = (review.clone(), earlier.clone(), names.clone(), typed.clone());
        view! { <ReviewPage review earlier names decides is_true typed/> }
    };
    let page = Page::new(heading).user(me).section("/reviews").flash(flash).status(status);
    let page = if waits { page.with_islands() } else { page };
    Ok(page.render(state, view).await)
}

#[component]
fn ReviewPage(
    review: Review,
    earlier: Vec<Review>,
    names: Arc<Names>,
    decides: bool,
    is_true: bool,
    typed: Typed,
) -> impl IntoView {
    let whole = review.clone();
    let review = review.without_arguments();
    let waits = review.state == ReviewState::Waiting;
    let can_withdraw =
        decides && review.state == ReviewState::Approved && review.subject == Subject::Run && is_open(&review);
    let only_at_node = waits && review.only_at_node;
    view! {
        <Breadcrumbs way=vec![("/reviews".to_owned(), "Reviews".to_owned())]/>
        <h1>{title(&review)} <span class="muted">{match (waits, review.subject) {
            (true, Subject::Run) => " wants to start",
            (true, Subject::Result) => ": its result wants to leave",
            (false, Subject::Run) => "",
            (false, Subject::Result) => ": its result",
        }}</span></h1>
        {typed.error("decision").map(|error| view! {
            <div class="flash error" role="alert">
                <p>{error}</p>
                {[typed.comment.clone(), typed.reason.clone()].into_iter().find(|text| !text.trim().is_empty())
                    .map(|text| view! { <p>{format!("You had written: {text}")}</p> })}
            </div>
        })}
        {(!is_true).then(|| view! {
            <p class="flash error" role="alert">"The hash of this review is not that of what is shown here: something was changed. Nothing can be decided about it; ask whoever runs the hub."</p>
        })}
        {only_at_node.then(|| view! {
            <p class="notice">"This node takes only decisions that are taken at itself: by its own page, or by " <code>{format!("atoll node reviews approve {}", review.run_id)}</code> " on its machine."</p>
        })}
        <ReviewLive review=review.clone()/>
        {waits.then(|| view! { <LiveUpdates/> })}
        <Unusual review=review.clone()/>
        {(review.subject == Subject::Result).then(|| view! { <HeldResult run_id=review.run_id/> })}
        <section aria-labelledby="request">
            <h2 id="request">"What is asked for"</h2>
            <RequestFacts review=whole names/>
        </section>
        <Earlier earlier/>
        {(decides && waits).then(|| view! { <DecisionForms review=review.clone() typed=typed.clone()/> })}
        {can_withdraw.then(|| view! { <WithdrawForm review=review.clone() typed=typed.clone()/> })}
    }
}

/// Whether an approval can still start a run.
fn is_open(review: &Review) -> bool {
    review.approval.as_ref().is_some_and(|approval| !(approval.this_run_only && review.used > 0))
}

#[component]
fn Earlier(earlier: Vec<Review>) -> impl IntoView {
    view! {
        <section aria-labelledby="earlier">
            <h2 id="earlier">"Earlier decisions about exactly the same"</h2>
            {if earlier.is_empty() {
                view! { <p class="muted">"There are none."</p> }.into_any()
            } else {
                view! {
                    <ul>{earlier.into_iter().map(|review| {
                        let when = review.decision.as_ref().and_then(|decision| timestamp::parse(&decision.at));
                        view! { <li><a href=format!("/reviews/{}", review.id)>{title(&review)}</a> ": " {decision_words(&review)} ", " <Time value=when/> {reach_words(&review).map(|reach| format!(" ({reach})"))}</li> }
                    }).collect_view()}</ul>
                }.into_any()
            }}
        </section>
    }
}

#[component]
fn DecisionForms(review: Review, typed: Typed) -> impl IntoView {
    let (address, hash) = (format!("/reviews/{}", review.id), review.hash.clone());
    let of_run = review.subject == Subject::Run;
    let first_time = review.mode == ReviewMode::FirstTime;
    let scope = match typed.scope.as_str() {
        "" if first_time => "always".to_owned(),
        "" => "run".to_owned(),
        scope => scope.to_owned(),
    };
    let choice = move |value: &'static str, label: &'static str| {
        let checked = scope == value;
        view! {
            <div class="choice">
                <input type="radio" name="scope" value=value id=format!("scope-{value}") checked=checked/>
                <label for=format!("scope-{value}")>{label}</label>
            </div>
        }
    };
    let (approve, reject) = match of_run {
        true => ("Approve", "Reject"),
        false => ("Release the result", "Withhold the result"),
    };
    view! {
        <section aria-labelledby="decide" class="decide">
            <h2 id="decide">"Your decision"</h2>
            <div class="two-forms">
                <form method="post" action=address.clone()>
                    <input type="hidden" name="hash" value=hash.clone()/>
                    {of_run.then(|| view! {
                        <fieldset class="choices compact" aria-describedby="approval-error">
                            <legend>"It may start"</legend>
                            <FieldError id="approval-error".to_owned() error=typed.error("approval")/>
                            {choice("run", "this run only")}
                            {choice("runs", "this many runs that ask for exactly the same")}
                            <div class="of-runs"><TextField name="runs" label="Number of runs" kind="number" inputmode="numeric" value=typed.runs.clone() error=typed.error("runs")/></div>
                            {choice("until", "every run that asks for exactly the same, until the end of a day")}
                            <div class="of-until"><TextField name="until" label="Day (UTC)" kind="date" value=typed.until.clone() error=typed.error("until")/></div>
                            {first_time.then(|| choice("always", "every run that asks for exactly the same, from now on"))}
                            <div class="choice any-data">
                                <input type="checkbox" name="any_data" value="yes" id="any-data" checked=typed.any_data.is_some()/>
                                <label for="any-data">"Other runs may start also when the data have changed by then"</label>
                            </div>
                        </fieldset>
                    })}
                    <TextField name="comment" label="Comment, if you like" maxlength=1024 value=typed.comment.clone() error=typed.error("comment")/>
                    <button type="submit" name="verdict" value="approve" class="primary">{approve}</button>
                </form>
                <form method="post" action=address>
                    <input type="hidden" name="hash" value=hash/>
                    <TextArea name="reason".to_owned() label="Reason".to_owned() value=typed.reason.clone() rows=4 error=typed.error("reason")
                        help="The researcher reads it: say what would have to be different.".to_owned()/>
                    <button type="submit" name="verdict" value="reject" class="danger">{reject}</button>
                </form>
            </div>
        </section>
    }
}

#[component]
fn WithdrawForm(review: Review, typed: Typed) -> impl IntoView {
    let help = match review.used {
        0 => "It has not started yet: it waits for a decision again.",
        _ => "What has started goes on; no other run starts by this approval.",
    };
    view! {
        <section aria-labelledby="withdraw" class="decide">
            <h2 id="withdraw">"Withdraw the approval"</h2>
            <p>{help}</p>
            <form method="post" action=format!("/reviews/{}", review.id)>
                <input type="hidden" name="hash" value=review.hash/>
                <TextField name="comment" label="Comment, if you like" maxlength=1024 value=typed.comment.clone()/>
                <button type="submit" name="verdict" value="withdraw" class="danger">"Withdraw"</button>
            </form>
        </section>
    }
}
