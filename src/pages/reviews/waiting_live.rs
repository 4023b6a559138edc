//! The list of what waits, in the page as in its event stream.

use leptos::prelude::*;

use super::{
    facts::{requester, title},
    waiting::{Waiting, may_choose},
};
use crate::{
    pages::{
        components::{ReviewCount, TableFrame, Time},
        tasks::{Freshness, time_of_day},
    },
    protocol::{
        printable::printable,
        review::{Review, Subject},
        timestamp,
    },
    session::SignedIn,
};

/// What waits, kept up to date by the island `LiveUpdates`.
#[component]
pub fn WaitingLive(waiting: Waiting, freshness: Freshness, me: SignedIn, chosen: Vec<String>) -> impl IntoView {
    let as_of = time_of_day();
    let read = as_of.clone();
    view! {
        <div id="live" data-live="/reviews" data-as-of=read>
            <Parts waiting freshness me as_of chosen/>
        </div>
    }
}

/// The same as HTML, for the event stream, with the number in the navigation.
pub fn waiting_live_html(waiting: &Waiting, freshness: Freshness, me: &SignedIn) -> String {
    let (waiting, me, as_of) = (waiting.clone(), me.clone(), time_of_day());
    let count = me.permissions.may_decide_reviews().then_some(waiting.total);
    let read = as_of.clone();
    Owner::new().with(|| {
        view! {
            <div id="live" data-as-of=read><Parts waiting freshness me as_of chosen=Vec::new()/></div>
            <ReviewCount waiting=count/>
        }
        .to_html()
    })
}

#[component]
fn Parts(waiting: Waiting, freshness: Freshness, me: SignedIn, as_of: String, chosen: Vec<String>) -> impl IntoView {
    let (class, words) = freshness.words(&as_of);
    let total = waiting.total;
    let shown = waiting.reviews.len();
    // Who decides for one organization sees the requests of this one only.
    let waits =
        if me.permissions.may_decide_reviews() { "waits for a decision of yours" } else { "waits for a decision" };
    let summary = match total {
        0 => format!("Nothing {waits}."),
        1 => format!("1 request {waits}."),
        total => format!("{total} requests {}.", waits.replacen("waits", "wait", 1)),
    };
    view! {
        <div class="task-status">
            <p class="status-line" role="status">{summary}</p>
            <p class=class id="freshness">{words}</p>
        </div>
        {if shown == 0 {
            view! { <p class="empty">"New requests appear here as soon as a node asks for them."</p> }.into_any()
        } else {
            view! {
                <TableFrame label="Requests that wait">
                    <table class="stacked reviews">
                        <thead>
                            <tr>
                                <th scope="col">"Request"</th>
                                <th scope="col">"Who asks, and what for"</th>
                                <th scope="col">"Data"</th>
                                <th scope="col">"Waiting since"</th>
                            </tr>
                        </thead>
                        <tbody>
                            {waiting.reviews.into_iter().map(|listed| {
                                let choosable = may_choose(&me, &listed);
                                view! { <Row review=listed.review choosable chosen=chosen.clone()/> }
                            }).collect_view()}
                        </tbody>
                    </table>
                </TableFrame>
            }.into_any()
        }}
        {(total > shown).then(|| view! { <p class="help">{format!("The oldest {shown} are shown.")}</p> })}
    }
}

#[component]
fn Row(review: Review, choosable: bool, chosen: Vec<String>) -> impl IntoView {
    let value = format!("{}:{}", review.id, review.hash);
    let checked = chosen.contains(&value);
    let name = title(&review);
    let id = format!("choose-{}", review.id);
    let asked = &review.request.asked;
    let databases: Vec<String> = asked.databases.iter().map(|database| database.label.clone()).collect();
    let databases = if databases.is_empty() { "no database".to_owned() } else { databases.join(", ") };
    let columns = match &asked.columns {
        Some(columns) if columns.is_empty() => "reads no column".to_owned(),
        Some(columns) => columns.join(", "),
        None => "columns not known".to_owned(),
    };
    let purpose = printable(&review.request.purpose);
    let task = printable(&format!("Task {} {}", review.request.task_id, review.request.task_name));
    let unusual = review.request.unusual.len();
    view! {
        <tr id=format!("review-{}", review.id)>
            <th scope="row">
                <span class="choose">
                    {choosable.then(|| view! {
                        <input type="checkbox" name="review" value=value id=id checked=checked data-keep="" aria-label=format!("Choose {name}")/>
                    })}
                    <span>
                        <a href=format!("/reviews/{}", review.id)>{name}</a>
                        <span class="sub">{match review.subject {
                            Subject::Run => "wants to start",
                            Subject::Result => "its result wants to leave",
                        }}</span>
                        <span class="sub">{task}</span>
                    </span>
                </span>
            </th>
            <td data-label="Who asks">
                <span>{requester(&review)}</span>
                {if purpose.is_empty() {
                    view! { <span class="sub">"no purpose given"</span> }.into_any()
                } else {
                    view! { <span class="sub clamp">{purpose}</span> }.into_any()
                }}
            </td>
            <td data-label="Data"><span>{databases}</span><span class="sub">{columns}</span></td>
            <td data-label="Since">
                <span><Time value=timestamp::parse(&review.since)/></span>
                {(unusual > 0).then(|| view! { <span class="sub notable">{match unusual {
                    1 => "1 thing is unusual".to_owned(),
                    count => format!("{count} things are unusual"),
                }}</span> })}
            </td>
        </tr>
    }
}
