use std::sync::Arc;

use leptos::prelude::*;

use crate::{
    pages::components::{ArgumentList, Time},
    protocol::{
        printable::{printable, printable_lines},
        review::{Review, ReviewState, Subject},
        timestamp,
    },
    session::Names,
};

/// What a review is called.
pub fn title(review: &Review) -> String {
    printable(&format!("{} · run {}", review.request.asked.function, review.run_id))
}

/// Who asks, in words.
pub fn requester(review: &Review) -> String {
    let asked = &review.request.asked;
    let user = match (&review.request.username, asked.user_id) {
        (Some(name), _) => name.clone(),
        (None, Some(id)) => format!("user {id}"),
        (None, None) => "a user who is no longer there".to_owned(),
    };
    printable(&review.request.asked_by(&user))
}

/// Everything that is asked for, as the node understood it.
#[component]
pub fn RequestFacts(review: Review, names: Arc<Names>) -> impl IntoView {
    let organization = names.organization(review.organization_id);
    let who = requester(&review);
    let request = review.request;
    let asked = request.asked;
    let or = |text: String, missing: &str| if text.is_empty() { missing.to_owned() } else { text };
    let no_databases = asked.databases.is_empty();
    view! {
        <dl class="facts">
            <div><dt>"Who asks"</dt><dd>{who}</dd></div>
            <div><dt>"Purpose"</dt><dd class="prose">{or(printable_lines(&request.purpose), "No purpose was given.")}</dd></div>
            <div><dt>"Task"</dt><dd>
                <a href=format!("/tasks/{}", request.task_id)>{printable(&format!("Task {} {}", request.task_id, request.task_name))}</a>
                {request.parent_id.map(|parent| view! { " for the central function of " <a href=format!("/tasks/{parent}")>{format!("task {parent}")}</a> })}
            </dd></div>
            {request.parent.map(|parent| view! {
                <div><dt>"Asked by"</dt><dd>
                    <a href=format!("/tasks/{}", parent.id)>{printable(&format!("Task {} {}", parent.id, parent.name))}</a>
                    ", function " <code>{printable(&parent.function)}</code>
                    {match parent.is_too_long {
                        true => view! { ", with arguments that are too long to be shown here; the task shows them" }.into_any(),
                        false => view! { <ArgumentList args=parent.args kwargs=parent.kwargs names=names.clone() all=true/> }.into_any(),
                    }}
                </dd></div>
            })}
            <div><dt>"Function"</dt><dd><code>{printable(&asked.function)}</code> " of " <code>{printable(&asked.image)}</code></dd></div>
            <div><dt>"Code"</dt><dd>{or(asked.digest, "The image has no digest: its code can change.")}</dd></div>
            <div><dt>"What it does"</dt><dd>{or(request.does, "The node does not know.")}</dd></div>
            <div><dt>"What leaves the organization"</dt><dd>{or(request.discloses, "The node does not know.")}</dd></div>
            <div><dt>"Arguments"</dt><dd>
                <ArgumentList args=asked.args kwargs=asked.kwargs names all=true/>
            </dd></div>
            <div><dt>"Data of"</dt><dd>{organization}</dd></div>
            <div><dt>"Databases"</dt><dd>
                {no_databases.then_some("none")}
                <ul class="plain">{asked.databases.into_iter().map(|database| {
                    let is_plain = database.parameters.as_object().is_some_and(serde_json::Map::is_empty);
                    view! { <li><strong>{printable(&database.label)}</strong> {(!is_plain).then(|| view! { " with " <code>{printable(&database.parameters.to_string())}</code> })}</li> }
                }).collect_view()}</ul>
            </dd></div>
            <div><dt>"Columns"</dt><dd>{match asked.columns {
                Some(columns) if columns.is_empty() => "It reads none.".to_owned(),
                Some(columns) => printable(&columns.join(", ")),
                None => "not known".to_owned(),
            }}</dd></div>
            <div><dt>"Waiting since"</dt><dd><Time value=timestamp::parse(&review.since)/></dd></div>
            <div><dt>"Hash"</dt><dd><code class="hash">{review.hash}</code></dd></div>
        </dl>
    }
}

/// What is unusual about a request; nothing if nothing is.
#[component]
pub fn Unusual(review: Review) -> impl IntoView {
    let unusual = review.request.unusual;
    (!unusual.is_empty()).then(|| {
        view! {
            <section class="notice" aria-labelledby="unusual">
                <h2 id="unusual">"Unusual"</h2>
                <ul>{unusual.into_iter().map(|text| view! { <li>{text}</li> }).collect_view()}</ul>
            </section>
        }
    })
}

/// Where to look before a result leaves.
#[component]
pub fn HeldResult(run_id: i64) -> impl IntoView {
    view! {
        <section aria-labelledby="result">
            <h2 id="result">"The result"</h2>
            <p>"It stays at the node until it is released: this page knows only that it is held. The node's own page shows it, with small counts and values that occur once, as does its command line:"</p>
            <div class="code-block"><pre tabindex="0"><code>{format!("atoll node reviews show {run_id} --config node.yaml")}</code></pre></div>
        </section>
    }
}

/// A decision in words, for tables and pages.
pub fn decision_words(review: &Review) -> String {
    let state = match (review.subject, review.state.as_str()) {
        (Subject::Result, "approved") => "released",
        (Subject::Result, "rejected") => "withheld",
        (_, state) => state,
    };
    if review.state == ReviewState::Void {
        let before = review.decision.as_ref().map(|decision| format!(" after a decision of {}", decision.by));
        let because = Some(&review.void_because).filter(|because| !because.is_empty());
        let because = because.map(|because| format!(": {because}"));
        return printable(&format!("{state}{}{}", before.unwrap_or_default(), because.unwrap_or_default()));
    }
    let Some(decision) = review.last_decision() else { return state.to_owned() };
    let place = if decision.at_node { " at the node" } else { "" };
    let reason = if decision.reason.is_empty() { String::new() } else { format!(": {}", decision.reason) };
    printable(&format!("{state} by {}{place}{reason}", decision.by))
}

/// How far an approval reaches, in words.
pub fn reach_words(review: &Review) -> Option<String> {
    let approval = review.approval.as_ref().filter(|_| review.subject == Subject::Run)?;
    let used = match review.used {
        0 => "no run has started by it yet".to_owned(),
        1 => "1 run has started by it".to_owned(),
        used => format!("{used} runs have started by it"),
    };
    Some(format!("{}; {used}", approval.words()))
}
