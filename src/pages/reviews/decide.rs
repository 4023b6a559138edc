//! Decisions, for one review and for several.

use std::collections::BTreeMap;

use axum::{
    extract::{Form, Path, State},
    response::{IntoResponse, Redirect, Response},
};
use jiff::{ToSpan, civil::Date, tz::TimeZone};
use serde::Deserialize;

use super::{
    detail,
    list::{self, Several, refusal, require},
};
use crate::{
    pages::{error::PageError, state::PageState, user::User},
    protocol::{
        client::{ClientError, NewDecision},
        review::{Approval, Review, ReviewState, Subject, Verdict},
        timestamp,
    },
    session::{FlashKind, put_flash},
};

/// What was typed about a review, and what is wrong with it by field.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Typed {
    verdict: String,
    hash: String,
    pub scope: String,
    pub runs: String,
    pub until: String,
    pub any_data: Option<String>,
    pub comment: String,
    pub reason: String,
    #[serde(skip)]
    pub errors: BTreeMap<&'static str, String>,
}

impl Typed {
    /// The message at a field.
    pub fn error(&self, field: &str) -> Option<String> {
        self.errors.get(field).cloned()
    }

    fn wrong(mut self, field: &'static str, message: impl Into<String>) -> Self {
        self.errors.insert(field, message.into());
        self
    }

    /// How far an approval is to reach; or the field that is wrong, and why.
    fn approval(&self) -> Result<Approval, (&'static str, String)> {
        let day = |text: &str| {
            let date: Date = text.parse().ok()?;
            let end = date.checked_add(1.day()).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
            Some(end)
        };
        let any_data = self.any_data.is_some();
        Ok(match self.scope.as_str() {
            "runs" => match self.runs.trim().parse() {
                Ok(runs) if runs > 0 => Approval { runs: Some(runs), any_data, ..Default::default() },
                _ => return Err(("runs", "Say how many runs, such as 5.".to_owned())),
            },
            "until" => match day(self.until.trim()) {
                Some(end) if end > jiff::Timestamp::now() => {
                    Approval { until: Some(timestamp::format(end)), any_data, ..Default::default() }
                }
                Some(_) => return Err(("until", "This day is over.".to_owned())),
                None => return Err(("until", "Say a day, such as 2027-01-31.".to_owned())),
            },
            "always" => Approval { any_data, ..Default::default() },
            _ => Approval { this_run_only: true, ..Default::default() },
        })
    }
}

/// `POST /reviews/{id}`
pub async fn one(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
    Form(typed): Form<Typed>,
) -> Result<Response, PageError> {
    let id: i64 = id.parse().map_err(|_| PageError::not_found("This review"))?;
    let me = user.signed_in;
    require(&me)?;
    let (verdict, reason) = match typed.verdict.as_str() {
        "approve" => (Verdict::Approve, &typed.comment),
        "withdraw" => (Verdict::Withdraw, &typed.comment),
        "reject" => (Verdict::Reject, &typed.reason),
        _ => {
            let typed = typed.wrong("decision", "Say whether you approve or reject it.");
            return detail::render(&state, me, id, None, typed).await;
        }
    };
    if verdict == Verdict::Reject && reason.trim().is_empty() {
        let typed = typed.wrong("reason", "A rejection needs a reason, which the researcher reads.");
        return detail::render(&state, me, id, None, typed).await;
    }
    let approval = match typed.approval() {
        Ok(approval) => (verdict == Verdict::Approve).then_some(approval),
        Err((field, message)) if verdict == Verdict::Approve => {
            return detail::render(&state, me, id, None, typed.wrong(field, message)).await;
        }
        Err(_) => None,
    };
    let decision = NewDecision { verdict, hash: typed.hash.clone(), reason: reason.trim().to_owned(), approval };
    match me.hub.decide_review(id, &decision).await {
        Ok(review) => {
            me.forget_waiting_reviews().await;
            put_flash(&user.session, FlashKind::Success, done(&review)).await?;
            let next =
                if review.state == ReviewState::Waiting { format!("/reviews/{id}") } else { "/reviews".to_owned() };
            Ok(Redirect::to(&next).into_response())
        }
        Err(error) => match refusal(&error) {
            Some(message) => {
                me.forget_waiting_reviews().await;
                detail::render(&state, me, id, None, typed.wrong("decision", message)).await
            }
            None => Err(error.into()),
        },
    }
}

fn done(review: &Review) -> String {
    let run = review.run_id;
    match (review.subject, review.state) {
        (Subject::Run, ReviewState::Approved) => format!("Run {run} is approved; its node starts it."),
        (Subject::Run, ReviewState::Rejected) => format!("Run {run} is rejected. The researcher reads your reason."),
        (Subject::Result, ReviewState::Approved) => format!("The result of run {run} is released."),
        (Subject::Result, _) => format!("The result of run {run} is withheld; its node deletes it."),
        (_, ReviewState::Waiting) => format!("The approval is withdrawn: run {run} waits again."),
        _ => "The approval is withdrawn: no other run starts by it.".to_owned(),
    }
}

/// `POST /reviews`: the chosen ones, one after the other. What cannot be decided does not hinder the rest.
pub async fn several(
    State(state): State<PageState>,
    user: User,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let me = user.signed_in;
    require(&me)?;
    let of = |name: &'static str| fields.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.clone());
    let chosen: Vec<String> = of("review").collect();
    let reason = of("reason").next().unwrap_or_default();
    let approve = of("action").next().as_deref() == Some("approve");
    let error = match (chosen.is_empty(), approve, reason.trim().is_empty()) {
        (true, ..) => Some("Choose at least one request above.".to_owned()),
        (false, false, true) => Some("A rejection needs a reason, which the researchers read.".to_owned()),
        _ => None,
    };
    if error.is_some() {
        return list::waiting(&state, me, None, Several { chosen, reason, error }).await;
    }
    let (mut decided, mut refused) = (0, Vec::new());
    for choice in &chosen {
        let Some((id, hash)) = choice.split_once(':').and_then(|(id, hash)| Some((id.parse::<i64>().ok()?, hash)))
        else {
            continue;
        };
        let decision = NewDecision {
            verdict: if approve { Verdict::Approve } else { Verdict::Reject },
            hash: hash.to_owned(),
            reason: reason.trim().to_owned(),
            approval: approve.then(|| Approval { this_run_only: true, ..Default::default() }),
        };
        match me.hub.decide_review(id, &decision).await {
            Ok(_) => decided += 1,
            Err(ClientError::SignedOut) => return Err(ClientError::SignedOut.into()),
            Err(error) => refused.push(refusal(&error).unwrap_or_else(|| error.to_string())),
        }
    }
    me.forget_waiting_reviews().await;
    let word = if approve { "approved" } else { "rejected" };
    let mut text = match decided {
        1 => format!("1 request is {word}."),
        decided => format!("{decided} requests are {word}."),
    };
    if !refused.is_empty() {
        refused.dedup();
        text.push_str(&format!(" {} could not be decided: {}", chosen.len() - decided, refused.join(" ")));
    }
    let kind = if refused.is_empty() { FlashKind::Success } else { FlashKind::Error };
    put_flash(&user.session, kind, text).await?;
    Ok(Redirect::to("/reviews").into_response())
}
