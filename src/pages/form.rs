//! Forms of administration: a list of fields with what was typed and what is wrong, one view for all of them.

use std::collections::BTreeMap;

use axum::{http::StatusCode, response::Response};
use leptos::prelude::*;

use super::{
    components::{Breadcrumbs, FieldError, PermissionTable, TextField},
    error::PageError,
    render::Page,
    state::PageState,
};
use crate::{
    protocol::{client::ClientError, domain::RuleItem},
    session::SignedIn,
};

/// The fields of a form as they were sent.
#[derive(Debug, Clone, Default)]
pub struct Sent(pub Vec<(String, String)>);

impl Sent {
    /// The text of a field, without blanks around it.
    pub fn text(&self, name: &str) -> String {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    }

    /// Whether a checkbox was checked.
    pub fn flag(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// The ids of the checkboxes of this name that were checked.
    pub fn ids(&self, name: &str) -> Vec<i64> {
        self.0.iter().filter(|(key, _)| key == name).filter_map(|(_, value)| value.parse().ok()).collect()
    }
}

/// One field.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name in the form and at the hub.
    pub name: &'static str,
    pub label: &'static str,
    pub help: &'static str,
    pub kind: Kind,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A line of text; the type of the input.
    Line(&'static str, String),
    /// Yes or no.
    Flag(bool),
    /// One of several: key and words.
    One(Vec<(String, String)>, String),
    /// Any of several: id, words, a remark, whether it is chosen.
    Several(Vec<Choice>),
    /// Rules as a table, with the ids of those that are chosen; folded away while there are none.
    Rules(Vec<RuleItem>, Vec<i64>),
}

/// One thing that can be chosen.
#[derive(Debug, Clone)]
pub struct Choice {
    pub id: i64,
    pub label: String,
    pub remark: String,
    pub chosen: bool,
}

impl Field {
    /// A line of text.
    pub fn line(name: &'static str, label: &'static str, value: impl Into<String>) -> Self {
        Field { name, label, help: "", kind: Kind::Line("text", value.into()) }
    }

    pub fn flag(name: &'static str, label: &'static str, value: bool) -> Self {
        Field { name, label, help: "", kind: Kind::Flag(value) }
    }

    pub fn one(
        name: &'static str,
        label: &'static str,
        options: Vec<(String, String)>,
        value: impl Into<String>,
    ) -> Self {
        Field { name, label, help: "", kind: Kind::One(options, value.into()) }
    }

    pub fn several(name: &'static str, label: &'static str, options: Vec<Choice>) -> Self {
        Field { name, label, help: "", kind: Kind::Several(options) }
    }

    pub fn help(self, help: &'static str) -> Self {
        Field { help, ..self }
    }
}

/// A whole form with where it is and where it leads.
#[derive(Debug, Clone)]
pub struct Form {
    pub title: String,
    /// The menu entry, and the way to this page.
    pub section: &'static str,
    pub way: Vec<(String, String)>,
    /// Said before the fields; empty if there is nothing to say.
    pub lead: &'static str,
    pub action: String,
    pub submit: &'static str,
    pub cancel: String,
    pub fields: Vec<Field>,
}

/// What is wrong with what was sent: by field, and as a whole under "".
pub type Errors = BTreeMap<String, String>;

const UNCERTAIN: &str = "The hub did not answer, so it is not certain whether this was stored. Look at the list before you \
                         press the button again.";

/// What the hub said to a form, by the names of its fields; an error if it is none of the form's fault.
pub fn refused(error: ClientError, form: &Form) -> Result<Errors, PageError> {
    match error {
        ClientError::Rejected { status: 400 | 409 | 422, message, errors } => {
            let known = |name: &str| form.fields.iter().any(|field| field.name == name);
            let mut by_field: Errors = errors
                .into_iter()
                .filter_map(|(name, messages)| {
                    let name = name.split(['.', '[']).next().unwrap_or_default().to_owned();
                    Some((name, messages.into_iter().next()?))
                })
                .filter(|(name, _)| known(name))
                .collect();
            if by_field.is_empty() {
                by_field.insert(String::new(), message);
            }
            Ok(by_field)
        }
        // What was typed is not lost because the hub does not take it now.
        ClientError::NotAllowed(message) | ClientError::Rejected { status: 429 | 507, message, .. } => {
            Ok(Errors::from([(String::new(), message)]))
        }
        error if error.is_temporary() => Ok(Errors::from([(String::new(), UNCERTAIN.to_owned())])),
        error => Err(error.into()),
    }
}

impl Form {
    /// The page; 422 if something is wrong.
    pub async fn render(self, state: &PageState, me: SignedIn, errors: Errors) -> Response {
        let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let (title, section) = (self.title.clone(), self.section);
        let view = move || view! { <FormPage form=self.clone() errors=errors.clone()/> };
        Page::new(title).user(me).section(section).status(status).render(state, view).await
    }
}

#[component]
fn FormPage(form: Form, errors: Errors) -> impl IntoView {
    let general = errors.get("").cloned();
    view! {
        <Breadcrumbs way=form.way/>
        <h1>{form.title}</h1>
        {(!form.lead.is_empty()).then(|| view! { <p class="lead">{form.lead}</p> })}
        <form method="post" action=form.action class="wizard-form form-page">
            {general.map(|message| view! { <p class="flash error" role="alert">{message}</p> })}
            {form.fields.into_iter().map(|field| {
                let error = errors.get(field.name).cloned();
                view! { <FieldView field error/> }
            }).collect_view()}
            <p class="actions">
                <button type="submit" class="primary">{form.submit}</button>
                <a class="button" href=form.cancel>"Cancel"</a>
            </p>
        </form>
    }
}

#[component]
fn FieldView(field: Field, error: Option<String>) -> impl IntoView {
    let Field { name, label, help, kind } = field;
    let error_id = format!("{name}-error");
    let described = error.is_some().then(|| error_id.clone());
    let help_view = (!help.is_empty()).then(|| view! { <p class="help">{help}</p> });
    match kind {
        Kind::Line(kind, value) => match help {
            "" => view! { <TextField name label kind value maxlength=1024 error/> }.into_any(),
            help => view! { <TextField name label kind value maxlength=1024 help error/> }.into_any(),
        },
        Kind::Flag(checked) => view! {
            <div class="field">
                <label class="flag"><input type="checkbox" name=name id=name checked=checked/> {label}</label>
                {help_view}
                <FieldError id=error_id error/>
            </div>
        }
        .into_any(),
        Kind::One(options, value) => view! {
            <div class="field">
                <label for=name>{label}</label>
                {help_view}
                <select id=name name=name aria-describedby=described>
                    {options.into_iter().map(|(key, text)| {
                        let selected = key == value;
                        view! { <option value=key selected=selected>{text}</option> }
                    }).collect_view()}
                </select>
                <FieldError id=error_id error/>
            </div>
        }
        .into_any(),
        Kind::Rules(rules, chosen) => {
            let open = !chosen.is_empty() || error.is_some();
            view! {
            <details class="field" open=open>
                <summary>{label}</summary>
                {help_view}
                <FieldError id=error_id error/>
                <PermissionTable rules chosen edits=true/>
            </details>
            }
            .into_any()
        }
        Kind::Several(options) => view! {
            <fieldset class="choices compact" aria-describedby=described>
                <legend>{label}</legend>
                {help_view}
                <FieldError id=error_id error/>
                {options.is_empty().then(|| view! { <p class="muted">"There is nothing to choose."</p> })}
                {options.into_iter().map(|option| {
                    let id = format!("{name}-{}", option.id);
                    view! {
                        <div class="choice">
                            <input type="checkbox" name=name id=id.clone() value=option.id checked=option.chosen/>
                            <div>
                                <label for=id>{option.label}</label>
                                {(!option.remark.is_empty()).then(|| view! { <p class="help">{option.remark}</p> })}
                            </div>
                        </div>
                    }
                }).collect_view()}
            </fieldset>
        }
        .into_any(),
    }
}

/// Organizations to choose from.
pub fn organization_options(
    organizations: Vec<crate::protocol::domain::Organization>,
    chosen: impl Fn(i64) -> bool,
) -> Vec<Choice> {
    let mut options: Vec<Choice> = organizations
        .into_iter()
        .map(|organization| Choice {
            id: organization.id,
            chosen: chosen(organization.id),
            label: organization.name,
            remark: String::new(),
        })
        .collect();
    options.sort_by_key(|option| option.label.to_lowercase());
    options
}
