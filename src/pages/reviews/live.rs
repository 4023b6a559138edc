//! How a review stands, in its page as in its event stream.

use leptos::prelude::*;

use super::facts::{decision_words, reach_words};
use crate::{
    pages::{
        components::Time,
        tasks::{Freshness, time_of_day},
    },
    protocol::{
        printable::printable,
        review::{Review, ReviewState},
        timestamp,
    },
};

/// How a review stands, kept up to date by the island `LiveUpdates` for as long as it waits.
#[component]
pub fn ReviewLive(review: Review) -> impl IntoView {
    let as_of = time_of_day();
    let read = as_of.clone();
    let follows = (review.state == ReviewState::Waiting).then(|| format!("/reviews/{}", review.id));
    view! {
        <div id="live" data-live=follows data-as-of=read>
            <Status review freshness=Freshness::Loaded as_of/>
        </div>
    }
}

/// The same as HTML, for the event stream. What was decided by others changes the rest of the page too, which stays as
/// it is: somebody may be writing there.
pub fn review_live_html(review: &Review, freshness: Freshness) -> String {
    let (review, as_of) = (review.clone(), time_of_day());
    let read = as_of.clone();
    let (id, waits) = (review.id, review.state == ReviewState::Waiting);
    Owner::new().with(|| {
        view! {
            <div id="live" data-as-of=read>
                <Status review freshness as_of/>
                {(!waits).then(|| view! {
                    <p class="notice">"It waits no more. " <a href=format!("/reviews/{id}")>"Load the page again"</a> " to see what can be done now."</p>
                })}
            </div>
        }
        .to_html()
    })
}

#[component]
fn Status(review: Review, freshness: Freshness, as_of: String) -> impl IntoView {
    let class = match review.state {
        ReviewState::Waiting => "badge waiting",
        ReviewState::Approved => "badge good",
        ReviewState::Rejected => "badge bad",
        _ => "badge muted",
    };
    let when = review.last_decision().and_then(|decision| timestamp::parse(&decision.at));
    let waits = review.state == ReviewState::Waiting;
    // The state alone stands beside it already.
    let decided = Some(decision_words(&review)).filter(|words| words != review.state.as_str());
    let reach = reach_words(&review);
    let ends = waits.then(|| timestamp::parse(&review.expires_at));
    let (freshness_class, freshness) = freshness.words(&as_of);
    let withdrawal = review.withdrawal.filter(|_| review.state != ReviewState::Withdrawn);
    view! {
        <div class="task-status">
            <p class="status-line" role="status">
                <span class=class>{review.state.as_str()}</span>
                {decided} {reach.map(|reach| view! { <span class="progress">{reach}</span> })}
            </p>
            <p class="freshness">
                {when.map(|when| view! { <Time value=Some(when)/> })}
                {ends.map(|ends| view! { "refused by itself if nobody decides until " <Time value=ends/> })}
            </p>
            {waits.then(|| view! { <p class=freshness_class id="freshness">{freshness}</p> })}
        </div>
        {withdrawal.map(|withdrawal| {
            let reason = if withdrawal.reason.is_empty() { String::new() } else { format!(": {}", withdrawal.reason) };
            let place = if withdrawal.at_node { " at the node" } else { "" };
            view! {
                <p class="help">{printable(&format!("An approval was withdrawn by {}{place}, ", withdrawal.by))} <Time value=timestamp::parse(&withdrawal.at)/> {printable(&reason)}</p>
            }
        })}
    }
}
