use std::time::Duration;

use axum::{
    extract::{Form, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{PageState, views};
use crate::{
    node::{
        database,
        review::end_of_day,
        store::{DecideError, StoreError},
    },
    protocol::{
        review::{Approval, Decision, Verdict},
        timestamp,
    },
};

const LISTED: u32 = 200;

/// A failure of the node's file: the log says which.
struct Failed(StoreError);

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Failed(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        tracing::error!(error = %self.0, "the node's page");
        let text = "The node's state file cannot be read or written; the node's log says why.";
        (StatusCode::INTERNAL_SERVER_ERROR, Html(views::message("It did not work", text))).into_response()
    }
}

fn to_sign_in() -> Response {
    Redirect::to("/sign-in").into_response()
}

pub async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, Html(views::message("Not found", "There is no such page."))).into_response()
}

pub async fn sign_in_form(State(state): State<PageState>, headers: HeaderMap) -> Response {
    match state.sessions.name(&headers) {
        Some(_) => Redirect::to("/").into_response(),
        None => Html(views::sign_in("", None)).into_response(),
    }
}

#[derive(Deserialize)]
pub struct SignIn {
    #[serde(default)]
    code: String,
    #[serde(default)]
    name: String,
}

/// The pause after a wrong code.
const PAUSE: Duration = Duration::from_millis(300);

pub async fn sign_in(State(state): State<PageState>, Form(form): Form<SignIn>) -> Result<Response, impl IntoResponse> {
    let name = form.name.trim().chars().take(100).collect::<String>();
    let wrong =
        |message: &str| (StatusCode::UNPROCESSABLE_ENTITY, Html(views::sign_in(&name, Some(message)))).into_response();
    if name.is_empty() {
        return Ok(wrong("Say who you are: your name stands beside what you decide."));
    }
    // A right code never waits behind wrong ones, whatever another process on this machine sends.
    let is_used = state.store.is_page_code(&form.code).await? && state.store.use_page_code(&form.code, &name).await?;
    if !is_used {
        let Ok(turn) = state.wrong_codes.try_acquire() else {
            let text = "This code is not right, or it is over. Wrong codes come from elsewhere on this machine, too.";
            return Ok((StatusCode::TOO_MANY_REQUESTS, Html(views::sign_in(&name, Some(text)))).into_response());
        };
        if state.noted_codes.check().is_ok() {
            state.store.note_wrong_page_code(&name).await?;
        }
        tokio::time::sleep(PAUSE).await;
        drop(turn);
        return Ok(wrong("This code is not right, or it is over. `atoll node reviews code` makes a new one."));
    }
    let cookie = state.sessions.begin(name);
    Ok::<_, Failed>(([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response())
}

pub async fn sign_out(State(state): State<PageState>, headers: HeaderMap) -> Response {
    ([(header::SET_COOKIE, state.sessions.end(&headers))], to_sign_in()).into_response()
}

pub async fn list(State(state): State<PageState>, headers: HeaderMap) -> Result<Response, impl IntoResponse> {
    let Some(name) = state.sessions.name(&headers) else { return Ok(to_sign_in()) };
    let reviews = state.store.reviews(LISTED).await?;
    let untold = state.untold.borrow().clone();
    Ok::<_, Failed>(Html(views::list(&name, &reviews, untold)).into_response())
}

pub async fn show(
    State(state): State<PageState>,
    headers: HeaderMap,
    Path(id): Path<i64>,
) -> Result<Response, impl IntoResponse> {
    let Some(name) = state.sessions.name(&headers) else { return Ok(to_sign_in()) };
    render(&state, &name, id, None).await
}

async fn render(state: &PageState, name: &str, id: i64, error: Option<String>) -> Result<Response, Failed> {
    let Some(review) = state.store.find_review(id).await? else { return Ok(not_found().await) };
    let earlier = state.store.earlier_decisions(&review).await?;
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok((status, Html(views::review(name, &review, &earlier, error.as_deref()))).into_response())
}

#[derive(Deserialize)]
pub struct Decide {
    verdict: String,
    #[serde(default)]
    hash: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    until: String,
    #[serde(default)]
    runs: String,
    #[serde(default)]
    any_data: Option<String>,
}

impl Decide {
    fn approval(&self) -> Result<Approval, String> {
        let any_data = self.any_data.is_some();
        Ok(match self.scope.as_str() {
            "until" => {
                let until = end_of_day(self.until.trim()).map_err(|_| "Say a day, such as 2027-01-31.")?;
                Approval { until: Some(until), any_data, ..Default::default() }
            }
            "runs" => {
                let runs = self.runs.trim().parse().map_err(|_| "Say how many runs, such as 5.")?;
                Approval { runs: Some(runs), any_data, ..Default::default() }
            }
            "always" => Approval { any_data, ..Default::default() },
            _ => Approval { this_run_only: true, ..Default::default() },
        })
    }
}

pub async fn decide(
    State(state): State<PageState>,
    headers: HeaderMap,
    Path(id): Path<i64>,
    Form(form): Form<Decide>,
) -> Result<Response, impl IntoResponse> {
    let Some(name) = state.sessions.name(&headers) else { return Ok(to_sign_in()) };
    let verdict = match form.verdict.as_str() {
        "approve" => Verdict::Approve,
        "withdraw" => Verdict::Withdraw,
        "reject" => Verdict::Reject,
        _ => return render(&state, &name, id, Some("Say whether you approve or reject it.".to_owned())).await,
    };
    let approval = match form.approval() {
        Ok(approval) => approval,
        Err(message) => return render(&state, &name, id, Some(message)).await,
    };
    let reason = form.reason.chars().take(1024).collect();
    let decision = Decision { by: name.clone(), at_node: true, at: timestamp::now(), reason };
    let review = state.store.find_review(id).await?;
    let data = review.and_then(|review| database::state_of_all(&state.databases, &review.request.asked.databases));
    match state.store.decide(id, &form.hash, verdict, &decision, &approval, data.as_deref()).await {
        Ok(_) => Ok(Redirect::to("/").into_response()),
        Err(DecideError::Store(error)) => Err(error.into()),
        Err(error) => render(&state, &name, id, Some(error.to_string())).await,
    }
}
