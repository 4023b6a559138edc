//! Arguments: from what was typed to JSON values, by the types that the function's description gives.

use serde_json::{Map, Value, json};
use strsim::normalized_damerau_levenshtein;

use super::{
    data::{ChosenFunction, SharedColumns, WizardData},
    form::Errors,
};
use crate::{
    protocol::domain::{Argument, ArgumentType, Condition},
    session::Draft,
};

/// Conditions on arguments that have conditions themselves: no store means more, and none may go round in a circle.
const CONDITION_DEPTH: usize = 8;

/// How the names of arguments' fields begin.
pub const FIELD: &str = "argument_";

/// The name of an argument's field.
pub fn field(name: &str) -> String {
    format!("{FIELD}{name}")
}

/// What is shown for an argument: what was typed, or its default.
pub fn typed(draft: &Draft, argument: &Argument) -> Vec<String> {
    match draft.arguments.get(&argument.name) {
        Some(values) => values.clone(),
        None => default_entries(argument),
    }
}

/// The default as entries of the field. Lists are JSON in a store's description.
fn default_entries(argument: &Argument) -> Vec<String> {
    let Some(Some(default)) = &argument.default else { return Vec::new() };
    match serde_json::from_str(default) {
        Ok(Value::Array(items)) if is_list(argument.kind) => {
            items.into_iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect()
        }
        _ if argument.kind == ArgumentType::Boolean => vec![yes_or_no(default).to_string()],
        _ => vec![default.clone()],
    }
}

/// Stores write booleans as people do.
fn yes_or_no(text: &str) -> bool {
    matches!(text.trim().to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on")
}

/// Whether several values can be given.
pub fn is_list(kind: ArgumentType) -> bool {
    matches!(
        kind,
        ArgumentType::StringList
            | ArgumentType::IntegerList
            | ArgumentType::FloatList
            | ArgumentType::ColumnList
            | ArgumentType::OrganizationList
    )
}

/// Whether an argument applies, given what was typed for the one on which it depends.
pub fn applies(draft: &Draft, function: &ChosenFunction, argument: &Argument) -> bool {
    applies_within(draft, function, argument, CONDITION_DEPTH)
}

fn applies_within(draft: &Draft, function: &ChosenFunction, argument: &Argument, depth: usize) -> bool {
    let Some(Condition { argument_id, operator, value }) = &argument.condition else { return true };
    let Some(parent) = function.arguments.iter().find(|other| other.id == *argument_id) else { return true };
    // What depends on something that is not asked for is not asked for either.
    if depth == 0 || !applies_within(draft, function, parent, depth - 1) {
        return false;
    }
    let present = typed(draft, parent).into_iter().next().unwrap_or_default();
    if parent.kind == ArgumentType::Boolean {
        return (yes_or_no(&present) == yes_or_no(value)) == (operator == "==");
    }
    let numbers = present.trim().parse::<f64>().ok().zip(value.trim().parse::<f64>().ok());
    match (operator.as_str(), numbers) {
        ("==", Some((present, value))) => present == value,
        ("!=", Some((present, value))) => present != value,
        (">", Some((present, value))) => present > value,
        ("<", Some((present, value))) => present < value,
        (">=", Some((present, value))) => present >= value,
        ("<=", Some((present, value))) => present <= value,
        ("==", None) => present.eq_ignore_ascii_case(value),
        ("!=", None) => !present.eq_ignore_ascii_case(value),
        // An operator that is not known, or numbers compared with text: better asked for than lost.
        _ => true,
    }
}

/// All arguments as JSON, that of "Include data from" too; or what is wrong, by field.
pub fn values(draft: &Draft, data: &WizardData, function: &ChosenFunction) -> Result<Map<String, Value>, Errors> {
    let columns = data.columns(draft);
    let members: Vec<i64> = data.organizations(draft).into_iter().map(|(organization, _)| organization.id).collect();
    let mut values = Map::new();
    let mut errors = Errors::new();
    for argument in function.asked_arguments() {
        if !applies(draft, function, argument) {
            continue;
        }
        let entries: Vec<String> = typed(draft, argument)
            .iter()
            // Lists of text are typed one a line.
            .flat_map(|entry| if is_list(argument.kind) { entry.lines().collect() } else { vec![entry.as_str()] })
            .map(|entry| entry.trim().to_owned())
            .filter(|entry| !entry.is_empty())
            .collect();
        match value(argument, &entries, columns.as_ref(), &members) {
            Ok(Some(value)) if !argument.frontend_only => {
                values.insert(argument.name.clone(), value);
            }
            Ok(_) => {}
            Err(message) => {
                errors.insert(field(&argument.name), message);
            }
        }
    }
    if let Some(include) = function.include_argument() {
        values.insert(include.name.clone(), json!(draft.include));
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

/// The value of one argument; `None` if it is left to the function's default.
fn value(
    argument: &Argument,
    entries: &[String],
    columns: Option<&SharedColumns>,
    members: &[i64],
) -> Result<Option<Value>, String> {
    if entries.is_empty() {
        return match argument.default {
            Some(_) => Ok(None),
            None if argument.kind == ArgumentType::Boolean => Ok(Some(json!(false))),
            None => Err("This has to be given.".to_owned()),
        };
    }
    if !argument.allowed_values.is_empty()
        && let Some(entry) = entries.iter().find(|entry| !argument.allowed_values.contains(entry))
    {
        return Err(format!("\"{entry}\" is not one of the values that are allowed."));
    }
    let items = entries.iter().map(|entry| item(argument.kind, entry, columns, members));
    let mut items = items.collect::<Result<Vec<Value>, String>>()?;
    Ok(if is_list(argument.kind) { Some(Value::Array(items)) } else { items.pop() })
}

fn item(kind: ArgumentType, text: &str, columns: Option<&SharedColumns>, members: &[i64]) -> Result<Value, String> {
    use ArgumentType::*;
    match kind {
        String | StringList => Ok(json!(text)),
        Integer | IntegerList => {
            text.parse::<i64>().map(|number| json!(number)).map_err(|_| format!("\"{text}\" is not a whole number."))
        }
        Float | FloatList => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(json!(number)),
            _ => Err(format!("\"{text}\" is not a number. Write it with a point, such as 0.5.")),
        },
        Boolean => Ok(json!(yes_or_no(text))),
        Json => serde_json::from_str(text).map_err(|error| format!("This is not JSON: {error}.")),
        Column | ColumnList => match columns {
            Some(columns) if !columns.may_have_more && !columns.names.iter().any(|column| column == text) => {
                Err(no_such_column(&columns.names, text))
            }
            _ => Ok(json!(text)),
        },
        Organization | OrganizationList => match text.parse::<i64>() {
            Ok(id) if members.contains(&id) => Ok(json!(id)),
            _ => Err("This organization is not in the collaboration.".to_owned()),
        },
    }
}

fn no_such_column(names: &[String], text: &str) -> String {
    let message = format!("The chosen databases do not share a column \"{text}\".");
    match nearest(names, text).join(", ") {
        like if like.is_empty() => message,
        like => format!("{message} There is: {like}."),
    }
}

/// How many names are suggested in a message.
const SUGGESTED: usize = 5;

/// Names that have what was typed in them; if none has, those that are like it.
fn nearest<'a>(names: &'a [String], text: &str) -> Vec<&'a str> {
    let with: Vec<&str> = containing(names, text).take(SUGGESTED).collect();
    if !with.is_empty() {
        return with;
    }
    let like = |name: &&String| normalized_damerau_levenshtein(name, text) >= 0.7;
    names.iter().filter(like).map(String::as_str).take(SUGGESTED).collect()
}

/// The names in which a text stands, in small or capital letters: first those that begin with it.
pub fn containing<'a>(names: &'a [String], text: &str) -> impl Iterator<Item = &'a str> {
    let text = text.trim().to_lowercase();
    let places = names.iter().map(move |name| (name.as_str(), name.to_lowercase().find(&text)));
    let found: Vec<(&str, usize)> = places.filter_map(|(name, place)| Some((name, place?))).collect();
    let of = |begins: bool| found.clone().into_iter().filter(move |(_, place)| (*place == 0) == begins);
    of(true).chain(of(false)).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argument(kind: ArgumentType, default: Option<Option<&str>>) -> Argument {
        Argument {
            id: 1,
            name: "a".to_owned(),
            display_name: "A".to_owned(),
            description: std::string::String::new(),
            kind,
            default: default.map(|default| default.map(str::to_owned)),
            allowed_values: Vec::new(),
            condition: None,
            frontend_only: false,
        }
    }

    fn of(kind: ArgumentType, entries: &[&str]) -> Result<Option<Value>, std::string::String> {
        let entries: Vec<_> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        let columns = SharedColumns { names: vec!["age".to_owned(), "weight_kg".to_owned()], may_have_more: false };
        value(&argument(kind, None), &entries, Some(&columns), &[2, 3])
    }

    #[test]
    fn typed_text_becomes_a_value_of_the_argument_s_type() {
        assert_eq!(of(ArgumentType::Integer, &["7"]), Ok(Some(json!(7))));
        assert_eq!(of(ArgumentType::Float, &["0.5"]), Ok(Some(json!(0.5))));
        assert_eq!(of(ArgumentType::Boolean, &[]), Ok(Some(json!(false))));
        assert_eq!(of(ArgumentType::Json, &["{\"a\": [1]}"]), Ok(Some(json!({"a": [1]}))));
        assert_eq!(of(ArgumentType::Column, &["age"]), Ok(Some(json!("age"))));
        assert_eq!(of(ArgumentType::OrganizationList, &["2", "3"]), Ok(Some(json!([2, 3]))));
        assert_eq!(of(ArgumentType::String, &["größe"]), Ok(Some(json!("größe"))));
    }

    #[test]
    fn conditions_look_at_what_was_given_and_at_those_before_them() {
        let condition = |argument_id, operator: &str, value: &str| {
            Some(Condition { argument_id, operator: operator.to_owned(), value: value.to_owned() })
        };
        let named = |id, kind, default, condition| Argument {
            id,
            name: format!("a{id}"),
            condition,
            ..argument(kind, default)
        };
        let function = ChosenFunction {
            store_id: None,
            image: std::string::String::new(),
            name: std::string::String::new(),
            display_name: std::string::String::new(),
            central: false,
            databases: Vec::new(),
            arguments: vec![
                named(1, ArgumentType::String, Some(None), None),
                named(2, ArgumentType::Integer, Some(Some("5")), condition(1, "!=", "")),
                named(3, ArgumentType::Boolean, Some(Some("True")), None),
                named(4, ArgumentType::Integer, None, condition(3, "==", "1")),
                named(5, ArgumentType::Integer, None, condition(2, ">", "4")),
                named(6, ArgumentType::Integer, None, condition(7, "==", "1")),
                named(7, ArgumentType::Integer, None, condition(6, "==", "1")),
            ],
            is_other: false,
        };
        let mut draft = Draft::default();
        let asked = |draft: &Draft| {
            let asked = function.arguments.iter().filter(|argument| applies(draft, &function, argument));
            asked.map(|argument| argument.id).collect::<Vec<_>>()
        };
        assert_eq!(asked(&draft), [1, 3, 4]);
        draft.arguments.insert("a1".to_owned(), vec!["sex".to_owned()]);
        assert_eq!(asked(&draft), [1, 2, 3, 4, 5]);
        draft.arguments.insert("a3".to_owned(), vec!["false".to_owned()]);
        assert_eq!(asked(&draft), [1, 2, 3, 5]);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        for (kind, entry) in [
            (ArgumentType::Integer, "7.5"),
            (ArgumentType::Float, "NaN"),
            (ArgumentType::Json, "{"),
            (ArgumentType::Column, "weight"),
            (ArgumentType::Organization, "9"),
        ] {
            assert!(of(kind, &[entry]).is_err(), "{kind:?}");
        }
        assert!(of(ArgumentType::String, &[]).is_err());
    }

    #[test]
    fn names_that_are_meant_are_suggested() {
        assert_eq!(
            of(ArgumentType::Column, &["weight"]).unwrap_err(),
            "The chosen databases do not share a column \"weight\". There is: weight_kg."
        );
        assert!(of(ArgumentType::Column, &["wieght_kg"]).unwrap_err().contains("weight_kg"));
        assert!(!of(ArgumentType::Column, &["x"]).unwrap_err().contains("There is"));
        let names = ["height", "weight", "Birth weight"].map(str::to_owned);
        assert_eq!(containing(&names, "WEIGHT").collect::<Vec<_>>(), ["weight", "Birth weight"]);
        let more = SharedColumns { names: names.to_vec(), may_have_more: true };
        let value = value(&argument(ArgumentType::Column, None), &["other".to_owned()], Some(&more), &[]);
        assert_eq!(value, Ok(Some(json!("other"))));
    }

    #[test]
    fn an_argument_with_a_default_can_be_left_out_and_zero_is_not_nothing() {
        let optional = argument(ArgumentType::Integer, Some(None));
        assert_eq!(value(&optional, &[], None, &[]), Ok(None));
        assert_eq!(value(&optional, &["0".to_owned()], None, &[]), Ok(Some(json!(0))));
    }
}
