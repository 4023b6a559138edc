//! A draft filled in from a task that there is.

use axum::http::StatusCode;

use super::{
    arguments::is_list,
    data::{Store, WizardData, chosen},
};
use crate::{
    pages::{error::PageError, tasks::load::TaskView},
    protocol::domain::FunctionCall,
    session::{Draft, FunctionChoice, SignedIn},
};

/// The draft that would create this task again.
pub async fn draft_of(me: &SignedIn, view: &TaskView) -> Result<Draft, PageError> {
    let task = &view.task;
    let Some(Ok(call)) = view.call.clone() else {
        let why = "The arguments of this task cannot be read here, so it cannot be repeated here.";
        return Err(PageError::Refused(StatusCode::BAD_REQUEST, why));
    };
    if call.written.is_some() {
        let why =
            "The arguments of this task hold NaN or the like, which no form can hold: it cannot be repeated here.";
        return Err(PageError::Refused(StatusCode::BAD_REQUEST, why));
    }
    let mut draft = Draft {
        collaboration_id: task.collaboration_id,
        study_id: task.study_id,
        name: task.name.clone(),
        description: task.description.clone(),
        databases: task.databases.clone(),
        ..Draft::new()
    };
    let data = WizardData::load(me, &draft).await?;
    let organizations: Vec<i64> = view.runs.iter().filter_map(|run| run.organization_id).collect();
    draft.organizations = organizations.clone();
    // A central function at several organizations cannot be asked for in the wizard's own words.
    let known = find(&data.stores, &task.image, &call).filter(|(_, central)| !central || organizations.len() == 1);
    // Nor can arguments that the description does not know.
    let known = known.filter(|(choice, _)| {
        let described = data.function(&Draft { function: Some(choice.clone()), ..draft.clone() });
        described.is_some_and(|function| {
            let names: Vec<&String> = function.arguments.iter().map(|argument| &argument.name).collect();
            call.args.len() <= names.len() && call.kwargs.keys().all(|name| names.contains(&name))
        })
    });
    let Some((choice, central)) = known else {
        draft.function = Some(FunctionChoice::Other);
        draft.other.image = task.image.clone();
        draft.other.method = call.function;
        draft.other.kwargs = serde_json::to_string_pretty(&call.kwargs).unwrap_or_default();
        draft.other.args = call.args;
        return Ok(draft);
    };
    draft.function = Some(choice);
    if central {
        draft.aggregate_at = organizations.first().copied();
    }
    let Some(function) = data.function(&draft) else { return Ok(draft) };
    let include = function.include_argument().map(|argument| argument.name.clone());
    // Positional arguments are in the order of the description.
    let named = function.arguments.iter().map(|argument| argument.name.clone()).zip(call.args);
    for (name, value) in named.chain(call.kwargs) {
        if Some(&name) == include.as_ref() {
            let ids = value.as_array().cloned().unwrap_or_default();
            draft.include = ids.iter().filter_map(serde_json::Value::as_i64).collect();
            continue;
        }
        let list = function.arguments.iter().any(|argument| argument.name == name && is_list(argument.kind));
        let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let entries = match value {
            serde_json::Value::Array(items) if list => items.iter().map(text).collect(),
            serde_json::Value::Null => Vec::new(),
            value => vec![text(&value)],
        };
        draft.arguments.insert(name, entries);
    }
    if central && include.is_some() && draft.include.is_empty() {
        // Without the argument it is over everybody.
        let members = data.organizations(&draft);
        draft.include = members.iter().filter(|(_, node)| node.is_some()).map(|(member, _)| member.id).collect();
    }
    Ok(draft)
}

/// The function of a store that a call means, and whether it is central. Names of the 3.x line stand for the present
/// ones.
fn find(stores: &[Store], image: &str, call: &FunctionCall) -> Option<(FunctionChoice, bool)> {
    let name = match call.function.as_str() {
        "master" => "central_average",
        "average_partial" => "partial_average",
        name => name,
    };
    stores.iter().find_map(|store| {
        let algorithms = store.algorithms.as_ref().ok()?;
        let algorithm = algorithms.iter().find(|algorithm| algorithm.image == image)?;
        let function = algorithm.functions.iter().find(|function| function.name == name)?;
        let choice =
            FunctionChoice::OfStore { store_id: store.id, algorithm_id: algorithm.id, function: function.name.clone() };
        Some((choice, chosen(store.id, algorithm, function).central))
    })
}
