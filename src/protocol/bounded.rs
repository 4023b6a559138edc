//! JSON of somebody else, read with a bound on how many values it unfolds to: three bytes make a value, which takes
//! twenty times as much memory.

use std::{cell::Cell, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

use super::python_json;

/// Values in all; more than any page or analysis here can use.
pub const VALUE_LIMIT: usize = 300_000;
/// An object with anything in it takes as much memory as so many values more.
pub const OBJECT: usize = 6;

/// Why JSON is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundedError {
    NotJson,
    TooMuch,
}

/// Reads JSON of at most [`VALUE_LIMIT`] values, also as Python writes it.
pub fn from_slice(bytes: &[u8]) -> Result<Value, BoundedError> {
    from_slice_within(bytes, VALUE_LIMIT)
}

/// Reads JSON of fewer values than `most`, also as Python writes it.
pub fn from_slice_within(bytes: &[u8], most: usize) -> Result<Value, BoundedError> {
    let left = Cell::new(most);
    let bytes = python_json::without_mark(bytes);
    let rewritten = python_json::rewritten(bytes);
    let mut reader = serde_json::Deserializer::from_slice(rewritten.as_deref().unwrap_or(bytes));
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

/// How many values there are in one, itself included; an object counts as some more.
pub fn values_of(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(values_of).sum(),
        Value::Object(object) if object.is_empty() => 0,
        Value::Object(object) => OBJECT + object.values().map(values_of).sum::<usize>(),
        _ => 0,
    }
}

/// Counts the most values that JSON can hold, without reading it: each but the first has a comma, a bracket or a brace
/// before it. An object counts as some more.
#[derive(Default)]
pub struct MostValues {
    in_text: bool,
    escaped: bool,
    marks: usize,
}

impl MostValues {
    /// Takes the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_text => self.escaped = true,
                b'"' => self.in_text = !self.in_text,
                b',' | b'[' if !self.in_text => self.marks += 1,
                b'{' if !self.in_text => self.marks += 1 + OBJECT,
                _ => {}
            }
        }
    }

    /// Of what was taken so far.
    pub fn most(&self) -> usize {
        self.marks + 1
    }
}

/// A list of at most `LIMIT` items; no more are read.
pub fn at_most<'de, D, T, const LIMIT: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Items<T, const LIMIT: usize>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const LIMIT: usize> Visitor<'de> for Items<T, LIMIT> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "a list of at most {LIMIT} items")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(item) = items.next_element()? {
                if list.len() == LIMIT {
                    return Err(de::Error::invalid_length(LIMIT + 1, &self));
                }
                list.push(item);
            }
            Ok(list)
        }
    }
    deserializer.deserialize_seq(Items::<T, LIMIT>(PhantomData))
}

/// The library gives a number that is no small whole one as an object with this key, and what was written as its value.
pub const NUMBER: &str = "$serde_json::private::Number";

/// One value, of those that are left.
#[derive(Clone, Copy)]
struct Seed<'a> {
    left: &'a Cell<usize>,
}

impl Seed<'_> {
    fn count<E: de::Error>(self, values: usize) -> Result<(), E> {
        self.left.set(self.left.get().saturating_sub(values));
        if self.left.get() == 0 { Err(E::custom("too many values")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.count(1)?;
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
        // Room for four is made with the first: of many short lists that would be most of the memory.
        list.shrink_to_fit();
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        let mut is_empty = true;
        while let Some(key) = entries.next_key::<String>()? {
            if key == NUMBER && object.is_empty() {
                let text = entries.next_value::<String>()?;
                return text.parse().map(Value::Number).map_err(de::Error::custom);
            }
            if std::mem::take(&mut is_empty) {
                self.count(OBJECT)?;
            }
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
    fn values_are_counted_without_reading_them() {
        for (text, values) in
            [("7", 1), ("[]", 2), ("[1,2,3]", 4), (r#"{"a":[1,{}],"b":"[,{"}"#, 18), (r#"["\\\"[,","\\\\",[[]]]"#, 6)]
        {
            for length in [1, 100] {
                let mut counted = MostValues::default();
                text.as_bytes().chunks(length).for_each(|piece| counted.add(piece));
                assert_eq!(counted.most(), values, "{text}");
            }
        }
    }

    #[test]
    fn what_is_short_reads_as_by_serde_json_and_what_unfolds_is_refused() {
        for value in [json!(null), json!({"a": [1, -2, 2.5, u64::MAX, "text", true, {}], "b": null}), json!([])] {
            assert_eq!(from_slice(value.to_string().as_bytes()), Ok(value));
        }
        let exact = "[12345678901234567890123,-0.1000000000000000055,1e+400,123456789.12345679]";
        assert_eq!(from_slice(exact.as_bytes()).unwrap().to_string(), exact);
        for wrong in ["", "[1", "1 2", "nonsense", r#"{"$serde_json::private::Number":"1]"}"#] {
            assert_eq!(from_slice(wrong.as_bytes()), Err(BoundedError::NotJson), "{wrong}");
        }
        for (unit, values) in [("[],", 1), ("0,", 1), ("{},", 1), ("{\"\":0},", 2 + OBJECT)] {
            let many = format!("[{}0]", unit.repeat(VALUE_LIMIT / values));
            assert_eq!(from_slice(many.as_bytes()), Err(BoundedError::TooMuch));
        }
    }
}
