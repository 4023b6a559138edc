//! What a step's form sends, taken over into the draft, and what is wrong with it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{arguments, data::WizardData, step::Step};
use crate::session::{Draft, FunctionChoice};

/// Messages by field.
pub type Errors = BTreeMap<String, String>;

/// Fields and values as they were sent; a field can come several times.
pub struct Form(pub Vec<(String, String)>);

/// The fields of arguments that the form showed: boxes of which none is ticked send nothing.
pub const SHOWN: &str = "shown";

/// The longest field that is taken, in bytes: of arguments, which can be JSON, and of anything else.
const ARGUMENT_LIMIT: usize = 100_000;
const FIELD_LIMIT: usize = 8_000;

impl Form {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    fn ids(&self, name: &str) -> Vec<i64> {
        self.all(name).into_iter().filter_map(|value| value.parse().ok()).collect()
    }

    /// The button that was pressed.
    pub fn action(&self) -> &str {
        // A script adds its own after those of the form.
        self.0.iter().rev().find(|(key, _)| key == "action").map_or("next", |(_, value)| value)
    }

    /// Whether some field is larger than anything that makes sense.
    pub fn is_too_large(&self) -> bool {
        let limit = |name: &str| match name {
            "kwargs" => ARGUMENT_LIMIT,
            name if name.starts_with(arguments::FIELD) => ARGUMENT_LIMIT,
            _ => FIELD_LIMIT,
        };
        self.0.iter().any(|(name, value)| name.len() > FIELD_LIMIT || value.len() > limit(name))
    }
}

/// Takes over what a step asks for, right or wrong, so that nothing typed is lost.
pub fn apply(draft: &mut Draft, step: Step, form: &Form, data: &WizardData) {
    match step {
        Step::Collaboration => draft.collaboration_id = form.text("collaboration").and_then(|id| id.parse().ok()),
        Step::Function => {
            draft.function = form.text("function").and_then(function_of);
            let text = |name| form.text(name).unwrap_or_default().to_owned();
            draft.other.image = text("image");
            draft.other.method = text("method");
            draft.other.kwargs = text("kwargs");
            draft.other.central = form.text("kind") == Some("central");
        }
        Step::Organizations => {
            let all: Vec<i64> =
                data.organizations(draft).into_iter().filter(|(_, node)| node.is_some()).map(|(o, _)| o.id).collect();
            let is_central = data.function(draft).is_some_and(|function| function.central);
            let chosen = match form.action() {
                "all" => all,
                "none" => Vec::new(),
                _ if is_central => form.ids("include"),
                _ => form.ids("organizations"),
            };
            if is_central {
                draft.aggregate_at = form.text("aggregate_at").and_then(|id| id.parse().ok());
                draft.include = chosen;
            } else {
                draft.organizations = chosen;
            }
        }
        Step::Database => {
            let count = data.function(draft).map_or(1, |function| function.databases.len());
            let labels = (0..count).map(|index| form.text(&format!("database_{index}")).unwrap_or_default().trim());
            draft.databases = labels.map(str::to_owned).collect();
        }
        Step::Arguments => {
            let Some(function) = data.function(draft) else { return };
            if function.is_other {
                draft.other.kwargs = form.text("kwargs").unwrap_or_default().to_owned();
                return;
            }
            for argument in function.asked_arguments() {
                let field = arguments::field(&argument.name);
                let values: Vec<String> = form.all(&field).into_iter().map(str::to_owned).collect();
                // What was not asked for yet keeps its default for when it is.
                if !values.is_empty() || form.all(SHOWN).contains(&field.as_str()) {
                    draft.arguments.insert(argument.name.clone(), values);
                }
            }
        }
        Step::Name => {
            draft.name = form.text("name").unwrap_or_default().trim().to_owned();
            draft.description = form.text("description").unwrap_or_default().trim().replace("\r\n", "\n");
        }
        Step::Overview => {}
    }
}

fn is_of_image_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || "./:@_-".contains(character)
}

/// Characters that nobody sees and that change the order of others: a name of them could not be pressed, or would
/// look like another one.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// `other` or `<store>:<algorithm>:<function>`.
fn function_of(value: &str) -> Option<FunctionChoice> {
    if value == "other" {
        return Some(FunctionChoice::Other);
    }
    let mut parts = value.splitn(3, ':');
    Some(FunctionChoice::OfStore {
        store_id: parts.next()?.parse().ok()?,
        algorithm_id: parts.next()?.parse().ok()?,
        function: parts.next()?.to_owned(),
    })
}

/// The value of a function's radio button.
pub fn value_of(choice: &FunctionChoice) -> String {
    match choice {
        FunctionChoice::Other => "other".to_owned(),
        FunctionChoice::OfStore { store_id, algorithm_id, function } => {
            format!("{store_id}:{algorithm_id}:{function}")
        }
    }
}

/// What is wrong with a step of the draft; empty if nothing is.
pub fn check(draft: &Draft, step: Step, data: &WizardData) -> Errors {
    let mut errors = Errors::new();
    let mut wrong = |field: &str, message: &str| {
        errors.entry(field.to_owned()).or_insert_with(|| message.to_owned());
    };
    match step {
        Step::Collaboration => match data.collaboration(draft) {
            None => wrong("collaboration", "Choose a collaboration."),
            Some(collaboration) => {
                if let Some(reason) = data.closed(collaboration) {
                    wrong("collaboration", reason);
                }
            }
        },
        Step::Function => match (&draft.function, data.function(draft)) {
            (None, _) => wrong("function", "Choose a function."),
            (Some(_), None) => wrong("function", "This function is not in the store any more, or the store is away."),
            (Some(FunctionChoice::Other), Some(function)) => {
                if function.image.is_empty() {
                    wrong("image", "Enter the name of the image.");
                } else if function.image.starts_with('-') || !function.image.chars().all(is_of_image_name) {
                    wrong("image", "The name of an image has letters, digits and . / : @ _ - only.");
                }
                if function.name.is_empty() {
                    wrong("method", "Enter the name of the method.");
                }
                if let Err(message) = json_object(&draft.other.kwargs) {
                    wrong("kwargs", &message);
                }
            }
            (Some(_), Some(_)) => {}
        },
        Step::Organizations => check_organizations(draft, data, &mut wrong),
        Step::Database => {
            let Some(function) = data.function(draft) else { return errors };
            let labels = data.labels(draft);
            for index in 0..function.databases.len() {
                let field = format!("database_{index}");
                let chosen = draft.databases.get(index).map_or("", String::as_str);
                match labels.iter().find(|label| label.label == chosen) {
                    None if chosen.is_empty() && function.is_other => {}
                    None if chosen.is_empty() => wrong(&field, "Choose a database."),
                    Some(label) if !label.lacking.is_empty() => {
                        wrong(&field, &format!("{} does not have this database.", label.lacking.join(", ")));
                    }
                    None if !labels.is_empty() => wrong(&field, "None of the chosen organizations has this database."),
                    _ => {}
                }
            }
        }
        Step::Arguments => {
            let Some(function) = data.function(draft) else { return errors };
            if function.is_other {
                if let Err(message) = json_object(&draft.other.kwargs) {
                    wrong("kwargs", &message);
                }
                return errors;
            }
            errors.extend(arguments::values(draft, data, &function).err().unwrap_or_default());
        }
        Step::Name => match draft.name.as_str() {
            "" => wrong("name", "Enter a name."),
            name if name.chars().all(char::is_numeric) => {
                wrong("name", "A name cannot be a number only: it would look like an id.");
            }
            name if name.chars().any(is_invisible) => wrong("name", "The name has invisible characters. Type it anew."),
            name if name.chars().count() > 128 => wrong("name", "A name has at most 128 characters."),
            _ if draft.description.chars().count() > 1024 => {
                wrong("description", "A description has at most 1024 characters.");
            }
            _ => {}
        },
        Step::Overview => {}
    }
    errors
}

fn check_organizations(draft: &Draft, data: &WizardData, wrong: &mut impl FnMut(&str, &str)) {
    let with_node: Vec<i64> = data
        .organizations(draft)
        .into_iter()
        .filter(|(_, node)| node.is_some())
        .map(|(organization, _)| organization.id)
        .collect();
    let all_there = |ids: &[i64]| ids.iter().all(|id| with_node.contains(id));
    let Some(function) = data.function(draft) else { return };
    if !function.central {
        match draft.organizations.as_slice() {
            [] => wrong("organizations", "Choose at least one organization."),
            ids if !all_there(ids) => wrong("organizations", "One of these organizations has no node."),
            _ => {}
        }
        return;
    }
    match draft.aggregate_at {
        None => wrong("aggregate_at", "Choose the organization that aggregates."),
        Some(id) if !with_node.contains(&id) => wrong("aggregate_at", "This organization has no node."),
        Some(_) => {}
    }
    if function.include_argument().is_some() {
        match draft.include.as_slice() {
            [] => wrong("include", "Choose at least one organization."),
            ids if !all_there(ids) => wrong("include", "One of these organizations has no node."),
            _ => {}
        }
    }
}

/// A JSON object; nothing stands for an empty one.
pub fn json_object(text: &str) -> Result<serde_json::Map<String, Value>, String> {
    if text.trim().is_empty() {
        return Ok(serde_json::Map::new());
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("This has to be a JSON object, such as {\"column_name\": \"age\"}.".to_owned()),
        Err(error) => Err(format!("This is not JSON: {error}.")),
    }
}

/// Drops answers that no longer fit what was answered before them; what was only typed stays.
pub fn prune(draft: &mut Draft, data: &WizardData) {
    if data.collaboration(draft).is_none() {
        draft.collaboration_id = None;
        return;
    }
    let members: Vec<i64> = data.organizations(draft).into_iter().map(|(organization, _)| organization.id).collect();
    draft.organizations.retain(|id| members.contains(id));
    draft.include.retain(|id| members.contains(id));
    draft.aggregate_at = draft.aggregate_at.filter(|id| members.contains(id));
}

/// The first step before `until` with something wrong in it.
pub fn first_incomplete(draft: &Draft, until: Step, data: &WizardData) -> Option<Step> {
    super::step::STEPS
        .iter()
        .map(|(step, ..)| *step)
        .take_while(|step| *step < until)
        .find(|step| !check(draft, *step, data).is_empty())
}
