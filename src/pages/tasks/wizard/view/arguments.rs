use leptos::prelude::*;

use super::StepPage;
use crate::{
    pages::{
        components::{FieldError, TextArea},
        tasks::wizard::{
            arguments::{applies, containing, field, is_list, typed},
            data::SharedColumns,
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
        // Too many to look through, or not all of them told: what is typed is searched for.
        let searched = columns.clone().filter(|columns| {
            let is_column = matches!(argument.kind, ArgumentType::Column | ArgumentType::ColumnList);
            is_column && argument.allowed_values.is_empty() && (columns.may_have_more || columns.names.len() > MANY)
        });
        let options = match &searched {
            Some(_) => None,
            None => options(argument, columns.as_ref().map(|columns| columns.names.as_slice()), &organizations),
        };
        let block = format!("block-{name}");
        let error = page.error(&name);
        let content = applies.then(|| {
            view! {
                <input type="hidden" name=SHOWN value=name.clone()/>
                <ArgumentField argument=argument.clone() name values=typed(&page.draft, argument) options searched error/>
            }
        });
        // Only what depends on another answer is replaced in place; the rest keeps focus and cursor.
        view! { <div id=block data-dependent=argument.condition.is_some().then_some("")>{content}</div> }
    });
    fields.collect_view().into_any()
}

/// More columns than these are searched for by their names.
const MANY: usize = 200;
/// So many of those found are offered.
const OFFERED: usize = 50;

/// The columns in whose names stands what was typed last.
#[component]
fn FoundColumns(name: String, columns: SharedColumns, typed: Vec<String>) -> impl IntoView {
    let all = columns.names.len();
    let text = typed.last().and_then(|entry| entry.lines().last()).unwrap_or_default().to_owned();
    let found: Vec<String> = containing(&columns.names, &text).map(str::to_owned).collect();
    let more =
        if columns.may_have_more { " A node does not tell all of its columns: any name can be typed." } else { "" };
    let told = match found.len() {
        0 => format!("None of {all} columns has \u{201c}{text}\u{201d} in its name.{more}"),
        _ if text.is_empty() => format!("{all} columns. Type a name or a part of it.{more}"),
        1 if found[0] == text => format!("One of {all} columns.{more}"),
        number => {
            let shown = found.iter().take(OFFERED).cloned().collect::<Vec<_>>().join(", ");
            let rest = number.saturating_sub(OFFERED);
            let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
            format!("With \u{201c}{text}\u{201d} in the name: {shown}{rest}.{more}")
        }
    };
    view! {
        <div id=format!("{name}-found") data-dependent role="status">
            <datalist id=format!("{name}-list")>
                {found.into_iter().take(OFFERED).map(|column| view! { <option value=column></option> }).collect_view()}
            </datalist>
            <p class="help">{told}</p>
        </div>
    }
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
    searched: Option<SharedColumns>,
    error: Option<String>,
) -> impl IntoView {
    let found = searched.map(|columns| view! { <FoundColumns name=name.clone() columns typed=values.clone()/> });
    let (searches, list) = (found.is_some().then_some(""), found.is_some().then(|| format!("{name}-list")));
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
            view! {
                <div data-search=searches>
                    <TextArea name label value=values.join("\n") help code=true error/>
                    {found}
                </div>
            }
            .into_any()
        }
        None => {
            let present = values.into_iter().next().unwrap_or_default();
            let mode = match argument.kind {
                ArgumentType::Integer => "numeric",
                ArgumentType::Float => "decimal",
                _ => "text",
            };
            view! {
                <div class="field" data-search=searches>
                    <label for=name.clone()>{label}</label>
                    {help_text}
                    <input id=name.clone() name=name type="text" inputmode=mode value=present list=list aria-describedby=described
                        aria-invalid=error.is_some().then_some("true")/>
                    <FieldError id=error_id error/>
                    {found}
                </div>
            }
            .into_any()
        }
    }
}
