//! From a complete draft to the task that is sent.

use super::{
    arguments,
    data::WizardData,
    form::{Errors, json_object},
    step::Step,
};
use crate::{
    protocol::domain::{FunctionCall, TaskSpec},
    session::Draft,
};

/// The task of a draft; `None` as long as something is missing.
pub fn task_spec(draft: &Draft, data: &WizardData) -> Option<TaskSpec> {
    let function = data.function(draft)?;
    let kwargs = match function.is_other {
        true => json_object(&draft.other.kwargs).ok()?,
        false => arguments::values(draft, data, &function).ok()?,
    };
    Some(TaskSpec {
        name: draft.name.clone(),
        description: draft.description.clone(),
        image: function.image.clone(),
        collaboration_id: draft.collaboration_id?,
        study_id: draft.study_id,
        store_id: function.store_id,
        databases: draft.databases.iter().filter(|label| !label.is_empty()).cloned().collect(),
        organizations: match function.central {
            true => draft.aggregate_at.into_iter().collect(),
            false => draft.organizations.clone(),
        },
        call: FunctionCall {
            function: function.name,
            args: if function.is_other { draft.other.args.clone() } else { Vec::new() },
            kwargs,
            written: None,
        },
    })
}

/// The step that asks for what the hub calls by this name.
pub fn step_of(field: &str) -> Step {
    match field.split(['[', '.']).next().unwrap_or_default() {
        "collaboration_id" | "study_id" | "_schema" => Step::Collaboration,
        "image" | "store_id" => Step::Function,
        "organizations" if field.contains("input") => Step::Arguments,
        "organizations" => Step::Organizations,
        "databases" => Step::Database,
        _ => Step::Name,
    }
}

/// The hub's messages by the fields of the overview.
pub fn errors_of(message: &str, errors: &std::collections::BTreeMap<String, Vec<String>>) -> Errors {
    if errors.is_empty() {
        return Errors::from([("overview".to_owned(), message.to_owned())]);
    }
    let mut by_step = Errors::new();
    for (field, messages) in errors {
        by_step.insert(step_of(field).key().to_owned(), messages.join(" "));
    }
    by_step
}
