//! What each step shows.

mod arguments;
mod collaboration;
mod database;
mod function;
mod name;
mod organizations;
mod overview;

use std::sync::Arc;

use leptos::prelude::*;

use super::{
    data::WizardData,
    form::{Errors, first_incomplete},
    step::{STEPS, Step, address},
};
use crate::{islands::LiveForm, protocol::domain::User, session::Draft};

/// A step with all that it shows.
#[derive(Clone)]
pub struct StepPage {
    pub draft: Draft,
    pub step: Step,
    pub errors: Errors,
    pub user: User,
    pub data: Arc<WizardData>,
}

impl StepPage {
    fn error(&self, field: &str) -> Option<String> {
        self.errors.get(field).cloned()
    }
}

/// Whether fields of a step depend on others of the same step, or it copies something.
pub fn has_islands(step: Step) -> bool {
    matches!(step, Step::Organizations | Step::Database | Step::Arguments | Step::Overview)
}

/// The page of a step.
pub fn step_page(page: StepPage) -> impl IntoView {
    let step = page.step;
    let number = step as usize + 1;
    let content = match step {
        Step::Collaboration => collaboration::view(&page).into_any(),
        Step::Function => function::view(&page).into_any(),
        Step::Organizations => organizations::view(&page).into_any(),
        Step::Database => database::view(&page).into_any(),
        Step::Arguments => arguments::view(&page).into_any(),
        Step::Name => name::view(&page).into_any(),
        Step::Overview => overview::view(&page).into_any(),
    };
    let count = page.errors.len();
    let updates = has_islands(step) && step != Step::Overview;
    view! {
        <div class="wizard">
            <h1>"New task"</h1>
            <Progress page=page.clone()/>
            <form id="wizard" method="post" action=address(&page.draft.id, step) class="wizard-form" novalidate>
                // The first submit button is the one that Enter presses.
                <button type="submit" name="action" value=if step == Step::Overview { "stay" } else { "next" } class="default-button" tabindex="-1" aria-hidden="true">"Next"</button>
                <h2><span class="muted">{format!("Step {number} of {}: ", STEPS.len())}</span>{step.title()}</h2>
                {(count > 0).then(|| view! {
                    <p class="flash error" role="alert" tabindex="-1" autofocus=true>{page.error("overview").unwrap_or_else(|| "Something has to be corrected before this goes on.".to_owned())}</p>
                })}
                {content}
                <div class="wizard-buttons">
                    {step.previous().map(|_| view! { <button type="submit" name="action" value="back" formnovalidate>"Back"</button> })}
                    {if step == Step::Overview {
                        view! { <button type="submit" name="action" value="create" class="primary">"Create task"</button> }
                    } else {
                        view! { <button type="submit" name="action" value="next" class="primary">"Next"</button> }
                    }}
                </div>
            </form>
            {updates.then(|| view! { <LiveForm/> })}
        </div>
    }
}

/// Where one is; steps that can be gone to are links.
#[component]
fn Progress(page: StepPage) -> impl IntoView {
    let reachable = first_incomplete(&page.draft, Step::Overview, &page.data).unwrap_or(Step::Overview);
    view! {
        <nav class="steps" aria-label="Steps">
            <ol>
                {STEPS.iter().map(|(step, _, title)| {
                    let step = *step;
                    let current = step == page.step;
                    let done = step < page.step;
                    let link = !current && !page.draft.id.is_empty() && step <= reachable;
                    view! {
                        <li class:done=done aria-current=current.then_some("step")>
                            {if link {
                                view! { <a href=address(&page.draft.id, step)>{*title}</a> }.into_any()
                            } else {
                                view! { <span>{*title}</span> }.into_any()
                            }}
                        </li>
                    }
                }).collect_view()}
            </ol>
        </nav>
    }
}
