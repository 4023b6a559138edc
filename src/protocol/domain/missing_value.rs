use serde_json::{Value, json};

/// Why a result has no number where one is expected. It stands in the number's place, as an object with one key, so
/// that it is never taken for a zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MissingValue {
    /// It is known, but would tell too much of single people: `{"suppressed": reason}`.
    Suppressed(String),
    /// It cannot be known: `{"not_established": reason}`.
    NotEstablished(String),
}

impl MissingValue {
    /// Reads a value of a result; `None` if it is anything else.
    pub fn read(value: &Value) -> Option<MissingValue> {
        let object = value.as_object().filter(|object| object.len() == 1)?;
        let (key, reason) = object.iter().next()?;
        let reason = reason.as_str()?.to_owned();
        match key.as_str() {
            "suppressed" => Some(MissingValue::Suppressed(reason)),
            "not_established" => Some(MissingValue::NotEstablished(reason)),
            _ => None,
        }
    }

    /// The form in results.
    pub fn to_json(&self) -> Value {
        match self {
            MissingValue::Suppressed(reason) => json!({"suppressed": reason}),
            MissingValue::NotEstablished(reason) => json!({"not_established": reason}),
        }
    }

    /// In words, for tables and files.
    pub fn words(&self) -> String {
        match self {
            MissingValue::Suppressed(reason) => format!("suppressed: {reason}"),
            MissingValue::NotEstablished(reason) => format!("could not be established: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_marks_are_missing_values() {
        for value in [MissingValue::Suppressed("few".into()), MissingValue::NotEstablished("nothing".into())] {
            assert_eq!(MissingValue::read(&value.to_json()), Some(value));
        }
        for value in [json!(0), json!(null), json!({"suppressed": 1}), json!({"suppressed": "few", "sum": 1})] {
            assert_eq!(MissingValue::read(&value), None);
        }
    }
}
