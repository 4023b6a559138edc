use leptos::prelude::*;

use super::StepPage;
use crate::{
    pages::components::{FieldError, NodeState},
    protocol::domain::{Node, Organization},
};

pub fn view(page: &StepPage) -> impl IntoView + use<> {
    let function = page.data.function(&page.draft);
    let central = function.as_ref().is_some_and(|function| function.central);
    let includes = function.as_ref().is_some_and(|function| function.include_argument().is_some());
    let organizations: Vec<(Organization, Option<Node>)> = page
        .data
        .organizations(&page.draft)
        .into_iter()
        .map(|(organization, node)| (organization.clone(), node.cloned()))
        .collect();
    let shared = shared_databases(page);
    let draft = page.draft.clone();
    view! {
        {central.then(|| view! {
            <OrganizationChoices name="aggregate_at" legend="Aggregate at" kind="radio" organizations=organizations.clone()
                help="The organization whose node adds up the partial results. Whoever may see the task can open them, too."
                chosen=draft.aggregate_at.into_iter().collect() error=page.error("aggregate_at")/>
        })}
        {(central && includes).then(|| view! {
            <OrganizationChoices name="include" legend="Include data from" kind="checkbox" organizations=organizations.clone()
                help="The function runs beside their data." chosen=draft.include.clone() error=page.error("include")/>
        })}
        {(!central).then(|| view! {
            <OrganizationChoices name="organizations" legend="Organizations" kind="checkbox" organizations=organizations.clone()
                help="The function runs beside their data." chosen=draft.organizations.clone() error=page.error("organizations")/>
        })}
        <p id="shared-databases" class="help" data-dependent role="status">{shared}</p>
    }
}

/// Which databases the present choice leaves.
fn shared_databases(page: &StepPage) -> String {
    if page.data.data_organizations(&page.draft).is_empty() {
        return "Choose organizations to see which databases they share.".to_owned();
    }
    let labels = page.data.labels(&page.draft);
    let shared: Vec<&str> =
        labels.iter().filter(|label| label.lacking.is_empty()).map(|label| label.label.as_str()).collect();
    match (shared.is_empty(), labels.is_empty()) {
        (_, true) => "The nodes of these organizations do not tell which databases they have.".to_owned(),
        (true, _) => "These organizations share no database.".to_owned(),
        _ => format!("Databases that all of these have: {}.", shared.join(", ")),
    }
}

#[component]
fn OrganizationChoices(
    name: &'static str,
    legend: &'static str,
    kind: &'static str,
    help: &'static str,
    organizations: Vec<(Organization, Option<Node>)>,
    chosen: Vec<i64>,
    error: Option<String>,
) -> impl IntoView {
    let error_id = format!("{name}-error");
    let described = error.is_some().then(|| error_id.clone());
    let several = kind == "checkbox";
    view! {
        <fieldset class="choices" aria-describedby=described>
            <legend>{legend}</legend>
            <p class="help">{help}</p>
            <FieldError id=error_id error/>
            {several.then(|| view! {
                <p class="select-all">
                    <button type="submit" name="action" value="all" formnovalidate>"Select all"</button>
                    <button type="submit" name="action" value="none" formnovalidate class="quiet">"Select none"</button>
                </p>
            })}
            {organizations.into_iter().map(|(organization, node)| {
                let id = organization.id;
                let without_node = node.is_none();
                view! {
                    <div class="choice">
                        <input type=kind name=name id=format!("{name}-{id}") value=id checked=chosen.contains(&id) disabled=without_node/>
                        <div>
                            <label for=format!("{name}-{id}")>{organization.name}</label>
                            <p><NodeState node/></p>
                            {without_node.then(|| view! { <p class="reason">"It has no node in this collaboration, so nothing can run there."</p> })}
                        </div>
                    </div>
                }
            }).collect_view()}
        </fieldset>
    }
}
