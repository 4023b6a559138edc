use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// SHA-256 in hexadecimal of a JSON value, whatever the order of its keys.
pub(super) fn sha256(value: &Value) -> String {
    format!("{:x}", Sha256::digest(sorted(value).to_string()))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut pairs: Vec<(&String, &Value)> = object.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            Value::Object(Map::from_iter(pairs.into_iter().map(|(key, value)| (key.clone(), sorted(value)))))
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        value => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_keys_does_not_matter_and_everything_else_does() {
        assert_eq!(
            sha256(&json!({"a": [{"b": 1, "c": 2}], "d": 3})),
            sha256(&json!({"d": 3, "a": [{"c": 2, "b": 1}]}))
        );
        assert_ne!(sha256(&json!([1, 2])), sha256(&json!([2, 1])));
        assert_ne!(sha256(&json!("1")), sha256(&json!(1)));
        assert_ne!(sha256(&json!(1)), sha256(&json!(1.0)));
    }
}
