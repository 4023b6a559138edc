use leptos::prelude::*;

use super::StepPage;
use crate::pages::{
    components::{FieldError, Room},
    tasks::wizard::data::{Label, SharedColumns},
};

pub fn view(page: &StepPage) -> impl IntoView + use<> {
    let Some(function) = page.data.function(&page.draft) else { return ().into_any() };
    let labels = page.data.labels(&page.draft);
    if function.databases.is_empty() {
        return view! { <p class="empty">"This function uses no database."</p> }.into_any();
    }
    let single = function.databases.len() == 1;
    let fields = function.databases.into_iter().enumerate().map(|(index, database)| {
        let legend = if single { "Database".to_owned() } else { format!("Database: {}", database.name) };
        let name = format!("database_{index}");
        let chosen = page.draft.databases.get(index).cloned().unwrap_or_default();
        view! {
            <DatabaseChoice error=page.error(&name) name legend help=database.description chosen labels=labels.clone() optional=function.is_other/>
        }
    });
    let fields = fields.collect_view();
    let columns = page.data.columns(&page.draft);
    view! {
        {fields}
        <p id="shared-columns" class="help" data-dependent role="status">
            {match columns {
                Some(SharedColumns { may_have_more: false, names }) if names.is_empty() => {
                    "The chosen databases share no column.".to_owned()
                }
                Some(columns) => format!("Columns that the chosen databases share: {}.", in_words(&columns)),
                None => String::new(),
            }}
        </p>
    }
    .into_any()
}

/// As many as can be read.
fn in_words(columns: &SharedColumns) -> String {
    let names = Room::new().names(&columns.names);
    if columns.may_have_more { format!("{names}, and others that a node does not tell") } else { names }
}

#[component]
fn DatabaseChoice(
    name: String,
    legend: String,
    help: String,
    labels: Vec<Label>,
    chosen: String,
    optional: bool,
    error: Option<String>,
) -> impl IntoView {
    let error_id = format!("{name}-error");
    let described = error.is_some().then(|| error_id.clone());
    if labels.is_empty() {
        return view! {
            <div class="field">
                <label for=name.clone()>{legend}</label>
                <p class="help">"The nodes do not tell which databases they have. Enter the label that you agreed with their admins, such as default."</p>
                <input id=name.clone() name=name type="text" value=chosen maxlength="128" aria-describedby=described/>
                <FieldError id=error_id error/>
            </div>
        }
        .into_any();
    }
    view! {
        <fieldset class="choices" aria-describedby=described>
            <legend>{legend}</legend>
            {(!help.is_empty()).then(|| view! { <p class="help">{help}</p> })}
            <FieldError id=error_id error/>
            {optional.then(|| view! {
                <div class="choice">
                    <input type="radio" name=name.clone() id=format!("{name}-none") value="" checked=chosen.is_empty()/>
                    <div><label for=format!("{name}-none")>"No database"</label></div>
                </div>
            })}
            {labels.into_iter().map(|label| {
                let id = format!("{name}-{}", label.label);
                let lacking = !label.lacking.is_empty();
                let is_chosen = chosen == label.label && !lacking;
                view! {
                    <div class="choice">
                        <input type="radio" name=name.clone() id=id.clone() value=label.label.clone() checked=is_chosen disabled=lacking/>
                        <div>
                            <label for=id>{label.label} " " {label.kinds.into_iter().map(|kind| view! { <span class="tag">{kind}</span> }).collect_view()}</label>
                            {label.columns.map(|columns| view! { <p class="muted">"Columns: " {in_words(&columns)}</p> })}
                            {lacking.then(|| view! { <p class="reason">{format!("Not available: {} does not have it.", label.lacking.join(", "))}</p> })}
                            {(!label.unknown.is_empty()).then(|| view! { <p class="reason">{format!("Not known at {}: its node does not tell.", label.unknown.join(", "))}</p> })}
                        </div>
                    </div>
                }
            }).collect_view()}
        </fieldset>
    }
    .into_any()
}
