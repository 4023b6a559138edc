use std::sync::Arc;

use leptos::prelude::*;
use serde_json::Value;

use crate::{protocol::printable::printable, session::Names};

/// How the names of arguments begin whose values are ids of organizations, as in vantage6's own algorithms.
const ORGANIZATIONS: &str = "organization";

/// The arguments of a call, those that have no name first, with the names of the organizations that they mean.
#[component]
pub fn ArgumentList(args: Vec<Value>, kwargs: serde_json::Map<String, Value>, names: Arc<Names>) -> impl IntoView {
    let positional = args.into_iter().enumerate().map(|(index, value)| (format!("argument {}", index + 1), value));
    let arguments: Vec<(String, Value)> = positional.chain(kwargs).collect();
    let none = arguments.is_empty();
    view! {
        {none.then_some("none")}
        <ul class="plain">
            {arguments.into_iter().map(|(name, value)| {
                let organizations = organizations(&name, &value, &names);
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                view! {
                    <li>
                        <code>{printable(&name)}</code> " = " <code>{printable(&value)}</code>
                        {organizations.map(|names| view! { <span class="muted">{format!(" ({names})")}</span> })}
                    </li>
                }
            }).collect_view()}
        </ul>
    }
}

/// The names of the organizations that an argument means, if it means any.
fn organizations(name: &str, value: &Value, names: &Names) -> Option<String> {
    if !name.starts_with(ORGANIZATIONS) {
        return None;
    }
    let ids: Option<Vec<i64>> = match value {
        Value::Array(ids) => ids.iter().map(Value::as_i64).collect(),
        id => id.as_i64().map(|id| vec![id]),
    };
    let words: Vec<String> = ids?.into_iter().map(|id| names.organization(id)).collect();
    (!words.is_empty()).then(|| printable(&words.join(", ")))
}
