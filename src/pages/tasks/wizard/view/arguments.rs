use leptos::prelude::*;

use super::StepPage;
use crate::{
    pages::{
        components::{FieldError, TextArea},
        tasks::wizard::{
            arguments::{applies, field, is_list, typed},
            form::SHOWN,
        },
    },
    protocol::domain::{Argument, ArgumentType},
};

pub fn view(page: &StepPage) -> impl IntoView + use<> {
    let Some(function) = page.data.function(&page.draft) else { return ().into_any() };
    if function.is_other {
        return view! {
            <TextArea name="kwargs".to_owned() label="Arguments (JSON)".to_owned() value=page.draft.other.kwargs.clone() rows=8 code=true
                error=page.error("kwargs") help="An object, such as {\"column_name\": \"age\"}. Leave it empty if there are none.".to_owned()/>
        }
        .into_any();
    }
    let asked = function.asked_arguments();
    if asked.is_empty() {
        return view! { <p class="empty">"This function needs nothing more."</p> }.into_any();
    }
    let organizations: Vec<(String, String)> = page
        .data
        .organizations(&page.draft)
        .into_iter()
        .map(|(organization, _)| (organization.id.to_string(), organization.name.clone()))
        .collect();
    let columns = page.data.columns(&page.draft);
    let fields = asked.into_iter().map(|argument| {
        let name = field(&argument.name);
        let applies = applies(&page.draft, &function, argument);
        let options = options(argument, columns.as_deref(), &organizations);
        let block = format!("block-{name}");
        let error = page.error(&name);
        let content = applies.then(|| {
            view! {
                <input type="hidden" name=SHOWN value=name.clone()/>
                <ArgumentField argument=argument.clone() name values=typed(&page.draft, argument) options error/>
            }
        });
        // Only what depends on another answer is replaced in place; the rest keeps focus and cursor.
        view! { <div id=block data-dependent=argument.condition.is_some().then_some("")>{content}</div> }
    });
    fields.collect_view().into_any()
}

/// What can be chosen, as values and words; `None` if it has to be typed.
fn options(
    argument: &Argument,
    columns: Option<&[String]>,
    organizations: &[(String, String)],
) -> Option<Vec<(String, String)>> {
    let same = |values: &[String]| values.iter().map(|value| (value.clone(), value.clone())).collect();
    if !argument.allowed_values.is_empty() {
        return Some(same(&argument.allowed_values));
    }
    match argument.kind {
        ArgumentType::Column | ArgumentType::ColumnList => columns.map(same),
        ArgumentType::Organization | ArgumentType::OrganizationList => Some(organizations.to_vec()),
        ArgumentType::Boolean => Some(vec![("true".into(), "Yes".into()), ("false".into(), "No".into())]),
        _ => None,
    }
}

#[component]
fn ArgumentField(
    argument: Argument,
    name: String,
    values: Vec<String>,
    options: Option<Vec<(String, String)>>,
    error: Option<String>,
) -> impl IntoView {
    let error_id = format!("{name}-error");
    let described = error.is_some().then(|| error_id.clone());
    let optional = argument.default.is_some();
    let label = if optional { format!("{} (optional)", argument.display_name) } else { argument.display_name.clone() };
    let help = argument.description.clone();
    let help_text = (!help.is_empty()).then(|| view! { <p class="help">{help.clone()}</p> });
    match options {
        Some(options) if is_list(argument.kind) => view! {
            <fieldset class="choices compact" aria-describedby=described>
                <legend>{label}</legend>
                {help_text}
                <FieldError id=error_id error/>
                {options.into_iter().map(|(value, text)| {
                    let id = format!("{name}-{value}");
                    view! {
                        <div class="choice">
                            <input type="checkbox" name=name.clone() id=id.clone() checked=values.contains(&value) value=value/>
                            <div><label for=id>{text}</label></div>
                        </div>
                    }
                }).collect_view()}
            </fieldset>
        }
        .into_any(),
        Some(options) => {
            let present = values.into_iter().next().unwrap_or_default();
            view! {
                <div class="field">
                    <label for=name.clone()>{label}</label>
                    {help_text}
                    <select id=name.clone() name=name aria-describedby=described aria-invalid=error.is_some().then_some("true")>
                        <option value="">{if optional { "Default" } else { "Choose …" }}</option>
                        {options.into_iter().map(|(value, text)| {
                            let selected = value == present;
                            view! { <option value=value selected=selected>{text}</option> }
                        }).collect_view()}
                    </select>
                    <FieldError id=error_id error/>
                </div>
            }
            .into_any()
        }
        None if is_list(argument.kind) || argument.kind == ArgumentType::Json => {
            let hint = if argument.kind == ArgumentType::Json { "JSON" } else { "One a line" };
            let help = if help.is_empty() { hint.to_owned() } else { format!("{}. {hint}.", help.trim_end_matches('.')) };
            view! { <TextArea name label value=values.join("\n") help code=true error/> }.into_any()
        }
        None => {
            let present = values.into_iter().next().unwrap_or_default();
            let mode = match argument.kind {
                ArgumentType::Integer => "numeric",
                ArgumentType::Float => "decimal",
                _ => "text",
            };
            view! {
                <div class="field">
                    <label for=name.clone()>{label}</label>
                    {help_text}
                    <input id=name.clone() name=name type="text" inputmode=mode value=present aria-describedby=described
                        aria-invalid=error.is_some().then_some("true")/>
                    <FieldError id=error_id error/>
                </div>
            }
            .into_any()
        }
    }
}
