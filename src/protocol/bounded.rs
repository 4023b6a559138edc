//! JSON of somebody else, read with a bound on how many values it unfolds to: three bytes make a value, which takes
//! twenty times as much memory.

use std::{cell::Cell, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Values in all; more than any page or analysis here can use.
pub const VALUE_LIMIT: usize = 500_000;

/// Why JSON is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundedError {
    NotJson,
    TooMuch,
}

/// Reads JSON of at most [`VALUE_LIMIT`] values.
pub fn from_slice(bytes: &[u8]) -> Result<Value, BoundedError> {
    let left = Cell::new(VALUE_LIMIT);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Seed { left: &left }.deserialize(&mut reader);
    if left.get() == 0 {
        return Err(BoundedError::TooMuch);
    }
    let value = value.map_err(|_| BoundedError::NotJson)?;
    reader.end().map_err(|_| BoundedError::NotJson)?;
    Ok(value)
}

/// A value of at most [`SMALL_LIMIT`] values, where a request holds JSON of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct SmallValue(pub Value);

/// Values in a [`SmallValue`].
pub const SMALL_LIMIT: usize = 2_000;

impl<'de> Deserialize<'de> for SmallValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Seed { left: &Cell::new(SMALL_LIMIT) }.deserialize(deserializer).map(SmallValue)
    }
}

/// One value, of those that are left.
#[derive(Clone, Copy)]
struct Seed<'a> {
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.left.set(self.left.get().saturating_sub(1));
        if self.left.get() == 0 {
            return Err(de::Error::custom("too many values"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            object.insert(key, entries.next_value_seed(self)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_short_reads_as_by_serde_json_and_what_unfolds_is_refused() {
        for value in [json!(null), json!({"a": [1, -2, 2.5, "text", true, {}], "b": null}), json!([])] {
            assert_eq!(from_slice(value.to_string().as_bytes()), Ok(value));
        }
        for wrong in ["", "[1", "1 2", "nonsense"] {
            assert_eq!(from_slice(wrong.as_bytes()), Err(BoundedError::NotJson), "{wrong}");
        }
        for unit in ["[],", "0,", "{},"] {
            let many = format!("[{}0]", unit.repeat(VALUE_LIMIT));
            assert_eq!(from_slice(many.as_bytes()), Err(BoundedError::TooMuch));
        }
    }
}
