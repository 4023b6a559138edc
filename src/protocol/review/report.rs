use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Counts below this are small if the node's policies do not say.
const USUAL_SMALLEST_CELL: u64 = 5;
/// The most findings of a kind that are listed.
const LISTED: usize = 50;

/// What somebody who releases a result should look at. It names places in the result and never its values; but a place
/// can be named by a value, where an algorithm makes keys of values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// How many single values the result has.
    pub values: usize,
    /// Counts below this are called small.
    pub smallest_cell: u64,
    /// Whole numbers above zero and below `smallest_cell`.
    pub small_cells: Finding,
    /// Texts and numbers that occur once in a list of at least two.
    pub single_values: Finding,
    /// Values that the function suppressed or could not establish.
    pub missing: Finding,
}

/// Where something was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub count: usize,
    /// The first places, as paths: `table[3].count`.
    pub places: Vec<String>,
}

impl Finding {
    fn add(&mut self, place: &str) {
        self.count += 1;
        if self.places.len() < LISTED {
            self.places.push(place.to_owned());
        }
    }
}

impl Report {
    /// Looks through a result. `smallest_cell` as in the node's policies; where they tell any count, small ones are
    /// shown all the same.
    pub fn of(result: &Value, smallest_cell: Option<u64>) -> Report {
        let smallest_cell = smallest_cell.filter(|least| *least > 1).unwrap_or(USUAL_SMALLEST_CELL);
        let mut report = Report { smallest_cell, ..Default::default() };
        report.look(result, "");
        report
    }

    fn look(&mut self, value: &Value, place: &str) {
        let here = if place.is_empty() { "result" } else { place };
        if crate::protocol::domain::MissingValue::read(value).is_some() {
            return self.missing.add(here);
        }
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                    self.look(value, &place);
                }
            }
            Value::Array(items) => {
                self.look_for_single_values(items, here);
                for (index, item) in items.iter().enumerate() {
                    self.look(item, &format!("{place}[{index}]"));
                }
            }
            value => {
                self.values += 1;
                if value.as_u64().is_some_and(|count| count > 0 && count < self.smallest_cell) {
                    self.small_cells.add(here);
                }
            }
        }
    }

    /// Values that occur once in a list, and in a list of objects those that occur once under their key.
    fn look_for_single_values(&mut self, items: &[Value], place: &str) {
        let mut columns: HashMap<&str, Vec<(usize, &Value)>> = HashMap::new();
        for (index, item) in items.iter().enumerate() {
            match item {
                Value::Object(object) => {
                    for (key, value) in object {
                        columns.entry(key).or_default().push((index, value));
                    }
                }
                item => columns.entry("").or_default().push((index, item)),
            }
        }
        let mut columns: Vec<_> = columns.into_iter().collect();
        columns.sort_by_key(|(key, _)| *key);
        for (key, values) in columns {
            let values: Vec<_> =
                values.into_iter().filter(|(_, value)| value.is_string() || value.is_number()).collect();
            let mut counts: HashMap<String, usize> = HashMap::new();
            for (_, value) in &values {
                *counts.entry(value.to_string()).or_default() += 1;
            }
            for (index, value) in &values {
                if values.len() > 1 && counts.get(&value.to_string()) == Some(&1) {
                    let place =
                        if key.is_empty() { format!("{place}[{index}]") } else { format!("{place}[{index}].{key}") };
                    self.single_values.add(&place);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn small_cells_and_single_values_are_found_by_their_places_only() {
        let result = json!({
            "table": [{"sex": "female", "count": 12}, {"sex": "female", "count": 3}, {"sex": "male", "count": 3}],
            "mean": 2.5, "sum": {"suppressed": "few"}, "zero": 0
        });
        let report = Report::of(&result, Some(4));
        assert_eq!(report.small_cells.places, ["table[1].count", "table[2].count"]);
        assert_eq!(report.single_values.places, ["table[0].count", "table[2].sex"]);
        assert_eq!(report.missing.places, ["sum"]);
        assert_eq!(report.values, 8);
        let text = serde_json::to_string(&report).unwrap();
        assert!(!text.contains("male") && !text.contains("12"), "{text}");
    }

    #[test]
    fn a_long_list_is_counted_whole_and_listed_in_part() {
        let report = Report::of(&json!(vec![1; 1_000]), None);
        assert_eq!((report.small_cells.count, report.small_cells.places.len()), (1_000, LISTED));
        assert_eq!(report.single_values.count, 0);
        assert_eq!(Report::of(&json!(2), None).small_cells.places, ["result"]);
    }
}
