//! The call of the official Python client that creates the same task.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::protocol::domain::TaskSpec;

/// `client.task.create(…)` of vantage6-client 4.x.
pub fn create_call(spec: &TaskSpec) -> String {
    let mut input = serde_json::Map::new();
    input.insert("method".into(), json!(spec.call.function));
    if !spec.call.args.is_empty() {
        input.insert("args".into(), json!(spec.call.args));
    }
    input.insert("kwargs".into(), Value::Object(spec.call.kwargs.clone()));
    let databases: Vec<Value> = spec.databases.iter().map(|label| json!({"label": label})).collect();
    let mut lines = vec![
        ("collaboration", json!(spec.collaboration_id)),
        ("organizations", json!(spec.organizations)),
        ("name", json!(spec.name)),
        ("description", json!(spec.description)),
        ("image", json!(spec.image)),
        ("input_", Value::Object(input)),
        ("databases", json!(databases)),
    ];
    if let Some(study) = spec.study_id {
        lines.push(("study", json!(study)));
    }
    if let Some(store) = spec.store_id {
        lines.push(("store", json!(store)));
    }
    let mut call = "client.task.create(\n".to_owned();
    for (name, value) in lines {
        // Writing into a String cannot fail.
        let _ = writeln!(call, "    {name}={},", literal(&value));
    }
    call.push(')');
    call
}

/// A JSON value as a Python literal.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        // Escapes of JSON strings are escapes of Python strings, but for pairs of surrogates, which serde does not
        // write.
        Value::String(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Value::Object(object) => {
            let pairs = object.iter().map(|(key, value)| format!("{}: {}", json!(key), literal(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::domain::FunctionCall;

    #[test]
    fn the_call_has_python_literals() {
        let kwargs = json!({"column_name": "age \"x\"", "flag": true, "nothing": null});
        let Value::Object(kwargs) = kwargs else { panic!() };
        let call = create_call(&TaskSpec {
            name: "Mean".into(),
            description: String::new(),
            image: "i".into(),
            collaboration_id: 1,
            study_id: None,
            store_id: None,
            databases: vec!["default".into()],
            organizations: vec![2, 3],
            call: FunctionCall { function: "f".into(), args: vec![], kwargs, written: None },
        });
        assert!(call.contains("organizations=[2, 3],"), "{call}");
        assert!(call.contains(r#""kwargs": {"column_name": "age \"x\"", "flag": True, "nothing": None}"#), "{call}");
    }
}
