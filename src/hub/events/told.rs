//! What nodes tell. It is read into the little that is used of it as it comes: as JSON values a message takes many times
//! its bytes, and many can wait.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::protocol::{
    bounded::{NUMBER, SmallValue},
    wire::v4::LEFT_OUT,
};

/// The most facts that are kept of a node.
const FACTS: usize = 50_000;
/// The longest single fact, in bytes.
const FACT_BYTES: usize = 10_000;
/// The most bytes of all facts of a node, with a key for each value.
pub const CONFIG_BYTES: usize = 2 * 1024 * 1024;
/// `{"key": value or list of values}`: what a node tells of itself, as a row for each value. The official node puts types
/// and columns of databases into objects of their own: what is in them counts.
#[derive(Debug, Default, PartialEq)]
pub struct Facts {
    pub rows: Vec<(String, String)>,
    bytes: usize,
    /// How many did not fit.
    left_out: usize,
}

impl Facts {
    /// Keeps a fact, if it fits.
    fn add(&mut self, key: &str, value: String) {
        let bytes = key.len() + value.len();
        if key.len().max(value.len()) > FACT_BYTES || self.bytes + bytes > CONFIG_BYTES || self.rows.len() == FACTS {
            self.left_out += 1;
            return;
        }
        self.bytes += bytes;
        self.rows.push((key.to_owned(), value));
    }
}

impl<'de> Deserialize<'de> for Facts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut facts = Facts::default();
        let whole = Fact { facts: &mut facts, key: None, is_inner: false };
        deserializer.deserialize_map(whole)?;
        if facts.left_out > 0 {
            let left_out = (LEFT_OUT.to_owned(), facts.left_out.to_string());
            facts.rows.push(left_out);
        }
        Ok(facts)
    }
}

/// The value of a key, or all of them.
struct Fact<'a> {
    facts: &'a mut Facts,
    key: Option<&'a str>,
    /// Whether it stands in an object of a key: objects in it are no facts.
    is_inner: bool,
}

impl Fact<'_> {
    fn add<E>(self, value: String) -> Result<(), E> {
        self.facts.add(self.key.unwrap_or_default(), value);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Fact<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Fact<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an object with texts, or lists of texts")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.add(value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.add(value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.add(value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.add(serde_json::Value::from(value).to_string())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.add(value.to_owned())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(SmallValue(item)) = items.next_element()? {
            let text = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            self.facts.add(self.key.unwrap_or_default(), text);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        if self.is_inner {
            while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        let is_inner = self.key.is_some();
        while let Some(key) = entries.next_key::<String>()? {
            if key == NUMBER {
                let number = entries.next_value::<String>()?;
                return self.add(number);
            }
            entries.next_value_seed(Fact { facts: self.facts, key: Some(&key), is_inner })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, serde_json::Error> {
        serde_json::from_str::<Facts>(text).map(|facts| facts.rows)
    }

    #[test]
    fn facts_are_values_lists_of_values_and_what_stands_in_objects() {
        let text = r#"{"encryption": false, "database_labels": ["a", 7], "limits": {"minimum_rows": 10, "columns_a":
            ["x", null], "deep": {"y": "z"}}, "nothing": null, "share": 0.85, "nested": [["p", 1]]}"#;
        let facts = read(text).unwrap();
        let facts: Vec<(&str, &str)> = facts.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let expected = [
            ("encryption", "false"),
            ("database_labels", "a"),
            ("database_labels", "7"),
            ("minimum_rows", "10"),
            ("columns_a", "x"),
            ("columns_a", "null"),
            ("share", "0.85"),
            ("nested", "[\"p\",1]"),
        ];
        assert_eq!(facts, expected);
    }

    #[test]
    fn what_fits_is_kept_and_the_rest_is_counted() {
        let long = "x".repeat(FACT_BYTES + 1);
        let facts = read(&format!("{{\"a\": \"{long}\", \"{long}\": 1, \"b\": [\"{long}\", 2], \"c\": 3}}")).unwrap();
        let expected = [("b", "2"), ("c", "3"), (LEFT_OUT, "3")];
        assert_eq!(facts, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let many = read(&format!("{{\"a\": [{}0], \"b\": 1}}", "0,".repeat(FACTS + 1))).unwrap();
        assert_eq!((many.len(), many[FACTS].1.as_str()), (FACTS + 1, "3"));
        let large = read(&format!("{{\"a\": [{}\"\"]}}", format!("\"{}\",", "x".repeat(9_000)).repeat(400))).unwrap();
        let bytes: usize = large.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!(bytes <= CONFIG_BYTES + 30 && large.len() > 200, "{bytes}");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["1", "[]", "null", "\"a\""] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
