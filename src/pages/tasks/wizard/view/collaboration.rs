use leptos::prelude::*;

use super::StepPage;
use crate::pages::components::FieldError;

pub fn view(page: &StepPage) -> impl IntoView + use<> {
    let error = page.error("collaboration");
    let described = error.is_some().then_some("collaboration-error");
    let chosen = page.draft.collaboration_id;
    let collaborations = page.data.collaborations.clone();
    if collaborations.is_empty() {
        return view! { <p class="empty">"Your organization takes part in no collaboration yet, so there is nobody to send a task to."</p> }.into_any();
    }
    view! {
        <fieldset class="choices" aria-describedby=described>
            <legend>"Collaboration"</legend>
            <p class="help">"The organizations that agreed to compute together."</p>
            <FieldError id="collaboration-error".to_owned() error/>
            {collaborations.into_iter().map(|collaboration| {
                let id = collaboration.id;
                let closed = page.data.closed(&collaboration);
                let members: Vec<String> = collaboration.organizations.into_iter().map(|organization| organization.name).collect();
                view! {
                    <div class="choice">
                        <input type="radio" name="collaboration" id=format!("collaboration-{id}") value=id checked=chosen == Some(id)
                            disabled=closed.is_some()/>
                        <div>
                            <label for=format!("collaboration-{id}")>{collaboration.name}</label>
                            <p class="muted">{members.join(", ")}</p>
                            {closed.map(|reason| view! { <p class="reason">{reason}</p> })}
                        </div>
                    </div>
                }
            }).collect_view()}
        </fieldset>
    }
    .into_any()
}
