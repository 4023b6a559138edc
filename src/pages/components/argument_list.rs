use std::sync::Arc;

use leptos::prelude::*;
use serde_json::Value;

use crate::{protocol::printable::printable, session::Names};

/// Arguments whose values are ids of organizations, by the names that vantage6's own algorithms give them.
const ORGANIZATIONS: [&str; 6] =
    ["organizations_to_include", "organizations", "organization_ids", "org_ids", "organization", "organization_id"];

/// The arguments of a call, those that have no name first, with the names of the organizations that they mean.
#[component]
pub fn ArgumentList(
    args: Vec<Value>,
    kwargs: serde_json::Map<String, Value>,
    names: Arc<Names>,
    /// All of them, for somebody who decides about them.
    #[prop(optional)]
    all: bool,
) -> impl IntoView {
    let positional = args.into_iter().enumerate().map(|(index, value)| (format!("argument {}", index + 1), value));
    let mut arguments: Vec<(String, Value)> = positional.chain(kwargs).collect();
    let shown = if all { arguments.len() } else { SHOWN_ARGUMENTS };
    let more = arguments.len().saturating_sub(shown);
    arguments.truncate(shown);
    let none = arguments.is_empty();
    view! {
        {none.then_some("none")}
        <ul class="plain">
            {arguments.into_iter().map(|(name, value)| {
                let organizations = organizations(&name, &value, &names);
                let (name, value) = (shortened(name), shortened(words(&value)));
                view! {
                    <li>
                        <code>{printable(&name)}</code> " = " <code>{printable(&value)}</code>
                        {organizations.map(|names| view! { <span class="muted">{format!(" ({names})")}</span> })}
                    </li>
                }
            }).collect_view()}
            {(more > 0).then(|| view! { <li class="muted">{format!("… and {more} more")}</li> })}
        </ul>
    }
}

/// The most arguments that are shown where nobody decides about them.
const SHOWN_ARGUMENTS: usize = 100;
/// The longest name or value that is shown, in bytes.
const SHOWN: usize = 1_000;

fn shortened(text: String) -> String {
    match text.len() > SHOWN {
        true => format!("{}… ({} bytes in all)", &text[..text.floor_char_boundary(SHOWN)], text.len()),
        false => text,
    }
}

/// A value as it can be read: a text without quotes, unless it would look like a number or another value.
fn words(value: &Value) -> String {
    match value.as_str() {
        Some(text) if serde_json::from_str::<Value>(text).is_err() => text.to_owned(),
        _ => value.to_string(),
    }
}

/// The names of the organizations that an argument means, if it means any.
fn organizations(name: &str, value: &Value, names: &Names) -> Option<String> {
    if !ORGANIZATIONS.contains(&name) {
        return None;
    }
    let ids: Option<Vec<i64>> = match value {
        Value::Array(ids) => ids.iter().map(Value::as_i64).collect(),
        id => id.as_i64().map(|id| vec![id]),
    };
    let words: Vec<String> = ids?.into_iter().map(|id| names.organization(id)).collect();
    (!words.is_empty()).then(|| printable(&words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_that_are_not_the_same_do_not_look_the_same() {
        let words: Vec<String> =
            [json!("age"), json!("1"), json!(1), json!("[1]"), json!([1]), json!("true"), json!("")]
                .iter()
                .map(words)
                .collect();
        assert_eq!(words, ["age", "\"1\"", "1", "\"[1]\"", "[1]", "\"true\"", ""]);
    }
}
