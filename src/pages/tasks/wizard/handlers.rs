use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Form as FormBody,
    body::Body,
    extract::{FromRequest, Query, Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    data::WizardData,
    form::{Errors, Form, apply, check, first_incomplete, prune},
    spec::{errors_of, task_spec},
    step::{Step, address},
    view::{self, StepPage},
};
use crate::{
    pages::{
        error::PageError, render::Page, sign_in::sign_in_and_find_kept, state::PageState, tasks::drafts::put_on_list,
        user::User,
    },
    protocol::client::ClientError,
    serve::whole_body,
    session::{Draft, FlashKind, SessionError, Unsent, put_flash, take_flash},
};

/// Which step of which draft.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct Place {
    draft: String,
    step: String,
    /// Preselected for a new draft.
    collaboration: String,
}

/// `GET /tasks/new`
pub async fn show(
    State(state): State<PageState>,
    user: User,
    Query(place): Query<Place>,
) -> Result<Response, PageError> {
    require_permission(&user)?;
    // The draft has its address from the first question on, so that the browser's Back finds it again. It is stored
    // with the first answer.
    if place.draft.is_empty() {
        let mut address = address(&Draft::new().id, Step::Collaboration);
        if let Ok(collaboration) = place.collaboration.parse::<i64>() {
            address.push_str(&format!("&collaboration={collaboration}"));
        }
        return Ok(Redirect::to(&address).into_response());
    }
    let flash = take_flash(&user.session).await?;
    let id = place.draft.as_str();
    let draft = match load(&state, &user, id).await? {
        Some(draft) => draft,
        // Somebody else's is a new one.
        None if is_somebody_s(&state, id).await? => return Ok(Redirect::to("/tasks/new").into_response()),
        None if is_draft_id(id) && Step::from_key(&place.step) == Step::Collaboration => {
            Draft { id: id.to_owned(), collaboration_id: place.collaboration.parse().ok(), ..Default::default() }
        }
        None => {
            let text = "This draft is no longer there. Start a new task.";
            put_flash(&user.session, FlashKind::Error, text).await?;
            return Ok(Redirect::to("/tasks/new").into_response());
        }
    };
    if let Some(task_id) = draft.task_id {
        return Ok(Redirect::to(&format!("/tasks/{task_id}")).into_response());
    }
    let wanted = Step::from_key(&place.step);
    let mut draft = draft;
    let mut data = WizardData::load(&user.signed_in, &draft).await?;
    let user_id = user.signed_in.user.id;
    let unsent = state.registry.store().take_unsent(user_id, id).await.map_err(SessionError::from)?;
    if let Some(unsent) = unsent.or(draft.unsent.take()) {
        take_over(&mut draft, &mut data, &user, Step::from_key(&unsent.step), &Form(unsent.fields)).await?;
        save(&state, &user, &draft).await?;
    }
    // Nobody gets to a question whose answer depends on one that is still open.
    let step = first_incomplete(&draft, wanted, &data).unwrap_or(wanted);
    let page = Page::new(title(step)).flash(flash);
    render(&state, page, user, draft, data, step, Errors::new()).await
}

async fn load(state: &PageState, user: &User, id: &str) -> Result<Option<Draft>, PageError> {
    let draft = state.registry.store().load_draft(user.signed_in.user.id, id).await;
    Ok(draft.map_err(SessionError::from)?)
}

/// Whether anybody has a draft with this id.
async fn is_somebody_s(state: &PageState, id: &str) -> Result<bool, PageError> {
    Ok(state.registry.store().user_of_draft(id).await.map_err(SessionError::from)?.is_some())
}

/// Stores a draft of somebody, as the newest.
pub async fn save(state: &PageState, user: &User, draft: &Draft) -> Result<(), PageError> {
    let saved = state.registry.store().save_draft(user.signed_in.user.id, draft).await;
    Ok(saved.map_err(SessionError::from)?)
}

/// Whether this can be the id of a draft: 32 hexadecimal digits.
fn is_draft_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn require_permission(user: &User) -> Result<(), PageError> {
    match user.signed_in.permissions.may_create_tasks() {
        true => Ok(()),
        false => Err(PageError::Forbidden("Your roles do not permit you to create tasks.".to_owned())),
    }
}

fn title(step: Step) -> String {
    format!("New task: {}", step.title())
}

async fn render(
    state: &PageState,
    page: Page,
    user: User,
    mut draft: Draft,
    data: WizardData,
    step: Step,
    errors: Errors,
) -> Result<Response, PageError> {
    // The only one there is needs no choice.
    if let ([only], None) = (data.collaborations.as_slice(), draft.collaboration_id) {
        draft.collaboration_id = Some(only.id);
    }
    let step_page =
        StepPage { draft: draft.clone(), step, errors, user: user.signed_in.user.clone(), data: Arc::new(data) };
    let islands = view::has_islands(step);
    let page = page.user(user.signed_in).section("/tasks/new");
    let page = if islands { page.with_islands() } else { page };
    Ok(page.render(state, move || view::step_page(step_page.clone())).await)
}

/// `POST /tasks/new`: takes over a step's answers and goes on, back, or creates the task.
pub async fn submit(
    State(state): State<PageState>,
    user: Option<User>,
    headers: HeaderMap,
    Query(place): Query<Place>,
    request: Request,
) -> Result<Response, PageError> {
    let step = Step::from_key(&place.step);
    let Some(user) = user else {
        let next = request.uri().to_string();
        return match keep_unsent(&state, &place.draft, step, request).await? {
            true => Ok(Redirect::to(&sign_in_and_find_kept(&next)).into_response()),
            false => Err(PageError::SignIn { next }),
        };
    };
    require_permission(&user)?;
    let form = match FormBody::from_request(request, &()).await {
        Ok(FormBody(pairs)) => Form(pairs),
        Err(refused) => return Ok(refused.into_response()),
    };
    let known = match place.draft.as_str() {
        "" => None,
        id => load(&state, &user, id).await?,
    };
    let is_free = known.is_none() && is_draft_id(&place.draft) && !is_somebody_s(&state, &place.draft).await?;
    let named = is_free.then(|| Draft { id: place.draft.clone(), ..Default::default() });
    let mut draft = known.or(named).unwrap_or_else(Draft::new);
    let mut data = match WizardData::load(&user.signed_in, &draft).await {
        // What was typed waits in the draft; the page to which this leads says that the hub is away.
        Err(PageError::HubUnavailable(_)) if !form.is_too_large() && form.action() != "update" => {
            draft.unsent = Some(Unsent { step: step.key().to_owned(), fields: form.0 });
            save(&state, &user, &draft).await?;
            let listed = put_on_list(&state, &user, &headers, &draft).await?;
            return Ok((listed, Redirect::to(&address(&draft.id, step))).into_response());
        }
        data => data?,
    };
    // What is sent now is newer.
    draft.unsent = None;
    if form.is_too_large() {
        // Shown again and not stored: nothing typed is lost.
        take_over(&mut draft, &mut data, &user, step, &form).await?;
        let errors = Errors::from([(step.key().to_owned(), "One of the answers is too long.".to_owned())]);
        let page = Page::new(title(step)).status(StatusCode::UNPROCESSABLE_ENTITY);
        return render(&state, page, user, draft, data, step, errors).await;
    }
    take_over(&mut draft, &mut data, &user, step, &form).await?;
    match form.action() {
        // Only shown, not stored: the fields themselves stay with the browser.
        "update" => return render(&state, Page::new(title(step)), user, draft, data, step, Errors::new()).await,
        "create" if step == Step::Overview => return create(state, user, draft, data).await,
        _ => save(&state, &user, &draft).await?,
    }
    let listed = put_on_list(&state, &user, &headers, &draft).await?;
    let next = match form.action() {
        "back" => step.previous().unwrap_or(step),
        "all" | "none" => step,
        _ => {
            let errors = check(&draft, step, &data);
            if !errors.is_empty() {
                let page = Page::new(format!("Error in {}", title(step))).status(StatusCode::UNPROCESSABLE_ENTITY);
                let page = render(&state, page, user, draft, data, step, errors).await?;
                return Ok((listed, page).into_response());
            }
            step.next()
        }
    };
    Ok((listed, Redirect::to(&address(&draft.id, next))).into_response())
}

/// Takes a step's answers into the draft. Another collaboration has other data.
async fn take_over(
    draft: &mut Draft,
    data: &mut WizardData,
    user: &User,
    step: Step,
    form: &Form,
) -> Result<(), PageError> {
    let before = draft.collaboration_id;
    apply(draft, step, form, data);
    if draft.collaboration_id != before {
        draft.study_id = None;
        *data = WizardData::load(&user.signed_in, draft).await?;
    }
    if step == Step::Collaboration {
        prune(draft, data);
    }
    Ok(())
}

/// The largest form that is kept of somebody who has to sign in first, in bytes.
const UNSENT: usize = 16 * 1024;

/// Keeps what was typed by somebody who was signed out in another tab, say, until they have signed in. Answers whether it
/// is kept.
async fn keep_unsent(state: &PageState, draft_id: &str, step: Step, request: Request) -> Result<bool, PageError> {
    let store = state.registry.store();
    if !is_draft_id(draft_id) || !is_somebody_s(state, draft_id).await? {
        return Ok(false);
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = whole_body(body, UNSENT).await else { return Ok(false) };
    let read = FormBody::from_request(Request::from_parts(parts, Body::from(body)), &()).await;
    let Ok(FormBody(fields)) = read else { return Ok(false) };
    let form = Form(fields);
    if form.is_too_large() || form.action() == "update" {
        return Ok(false);
    }
    let unsent = Unsent { step: step.key().to_owned(), fields: form.0 };
    store.keep_unsent(draft_id, &unsent).await.map_err(SessionError::from)?;
    Ok(true)
}

/// A press that waits longer than this was one of two.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Of two presses of the button, also at two replicas, the second waits for the first and finds its task.
async fn create(state: PageState, user: User, mut draft: Draft, data: WizardData) -> Result<Response, PageError> {
    if let Some(step) = first_incomplete(&draft, Step::Overview, &data) {
        let errors = check(&draft, step, &data);
        let page = Page::new(title(step)).status(StatusCode::UNPROCESSABLE_ENTITY);
        return render(&state, page, user, draft, data, step, errors).await;
    }
    let spec = task_spec(&draft, &data).ok_or(PageError::Internal)?;
    let store = state.registry.store().clone();
    let pressed = Instant::now();
    // Of this user: the address of a draft can come from somebody else.
    let key = format!("{} {}", user.signed_in.user.id, draft.id);
    let lock = store.lock(format!("task of draft {key}")).await;
    let has_waited = pressed.elapsed() > AT_ONCE;
    let created = match lock.is_some() {
        true => store.task_of_draft(&key).await.map_err(SessionError::from)?.or(draft.task_id),
        false => return uncertain(&state, user, draft, data).await,
    };
    let task_id = match created {
        Some(task_id) => task_id,
        // Who pressed while the other press was under way does not know yet that its task may be there.
        None if has_waited && store.is_uncertain(&key).await.map_err(SessionError::from)? => {
            return uncertain(&state, user, draft, data).await;
        }
        None => match user.signed_in.hub.create_task(&spec).await {
            Ok(task) => task.id,
            Err(ClientError::Rejected { message, errors, .. }) => {
                let page = Page::new(title(Step::Overview)).status(StatusCode::UNPROCESSABLE_ENTITY);
                let errors = errors_of(&message, &errors);
                return render(&state, page, user, draft, data, Step::Overview, errors).await;
            }
            Err(ClientError::NotAllowed(message) | ClientError::NotFound(message)) => {
                let page = Page::new(title(Step::Overview)).status(StatusCode::UNPROCESSABLE_ENTITY);
                let errors = Errors::from([("overview".to_owned(), message)]);
                return render(&state, page, user, draft, data, Step::Overview, errors).await;
            }
            Err(error) if error.is_temporary() => {
                store.note_uncertain(&key).await.map_err(SessionError::from)?;
                return uncertain(&state, user, draft, data).await;
            }
            Err(error) => return Err(error.into()),
        },
    };
    // The task is there: what cannot be noted is told by the list of tasks.
    if let Err(error) = store.note_task(&key, task_id).await {
        tracing::warn!(%error, task_id, "the task of a draft was not noted");
    }
    drop(lock);
    draft.task_id = Some(task_id);
    save(&state, &user, &draft).await?;
    put_flash(&user.session, FlashKind::Success, "The task is created.").await?;
    Ok(Redirect::to(&format!("/tasks/{task_id}")).into_response())
}

async fn uncertain(state: &PageState, user: User, draft: Draft, data: WizardData) -> Result<Response, PageError> {
    let page = Page::new(title(Step::Overview)).status(StatusCode::SERVICE_UNAVAILABLE);
    let text = "The hub did not answer, so it is not certain whether the task was created. Look at the list of tasks \
                before you press the button again.";
    let errors = Errors::from([("overview".to_owned(), text.to_owned())]);
    render(state, page, user, draft, data, Step::Overview, errors).await
}
