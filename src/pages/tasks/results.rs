//! Results as a table: one row an organization, one column a key.

use std::io;

use indexmap::IndexSet;
use serde::Serialize;
use serde_json::Value;

use super::state::{Cell, ResultRow, Results};
use crate::protocol::{
    domain::{ANSWERED_AT, MissingValue, RunResult},
    payload::PayloadError,
};

/// The column for a result that is no object.
pub const WHOLE: &str = "Result";
/// The longest text of a cell that a page shows, in bytes; downloads are whole.
const CELL_LIMIT: usize = 2_000;
/// All cells together; of many each shows less, …
const CELLS_LIMIT: usize = 200_000;
/// … but as much as this.
const LEAST_SHOWN: usize = 100;
/// The longest name of a column, and the longest raw JSON, that a page shows.
const NAME_LIMIT: usize = 200;
const RAW_LIMIT: usize = 100_000;
/// The most columns of a table that a page shows.
const COLUMN_LIMIT: usize = 100;

/// The result of one organization, as it came.
#[derive(Debug, Clone)]
pub struct NamedResult {
    pub organization: String,
    pub value: Result<Value, PayloadError>,
}

/// Names the results that are there, in the order of the runs.
pub fn name_results(results: Vec<RunResult>, name_of_run: impl Fn(i64) -> String) -> Vec<NamedResult> {
    let named =
        |result: RunResult| Some(NamedResult { organization: name_of_run(result.run_id), value: result.value? });
    results.into_iter().filter_map(named).collect()
}

/// The keys of all results in the order of their first appearance.
fn columns(results: &[NamedResult]) -> IndexSet<String> {
    let mut columns = IndexSet::new();
    results.iter().for_each(|result| add_columns(&mut columns, result));
    columns
}

/// Adds the keys of a result that are not among the columns yet.
pub fn add_columns(columns: &mut IndexSet<String>, result: &NamedResult) {
    match &result.value {
        Ok(Value::Object(object)) if !object.is_empty() => columns.extend(object.keys().cloned()),
        _ => columns.extend([WHOLE.to_owned()]),
    }
}

/// The value of a result in a column.
pub fn value_in<'a>(result: &'a NamedResult, column: &str) -> Option<&'a Value> {
    match &result.value {
        Ok(Value::Object(object)) if !object.is_empty() => object.get(column),
        Ok(value) if column == WHOLE => Some(value),
        _ => None,
    }
}

/// The table that pages show; `None` without any result.
pub fn table(results: &[NamedResult], aggregated: bool) -> Option<Results> {
    if results.is_empty() {
        return None;
    }
    // A date stands with the organization, not as a number of its own.
    let mut columns: Vec<String> = columns(results).into_iter().filter(|column| column != ANSWERED_AT).collect();
    let more_columns = columns.len().saturating_sub(COLUMN_LIMIT);
    columns.truncate(COLUMN_LIMIT);
    let of_cell = (CELLS_LIMIT / (columns.len() * results.len()).max(1)).clamp(LEAST_SHOWN, CELL_LIMIT);
    let rows = results
        .iter()
        .map(|result| ResultRow {
            organization: result.organization.clone(),
            answered_at: value_in(result, ANSWERED_AT).and_then(Value::as_str).map(|at| shorten(at, CELL_LIMIT)),
            cells: columns
                .iter()
                .map(|column| match (&result.value, value_in(result, column)) {
                    (Err(error), _) if column == WHOLE => Cell::Text(format!("cannot be shown: {error}")),
                    (_, Some(value)) => cell(value, of_cell),
                    (_, None) => Cell::Missing,
                })
                .collect(),
        })
        .collect();
    let columns = columns.iter().map(|column| shorten(column, NAME_LIMIT)).collect();
    let raw: Vec<RawResult> = results.iter().map(raw_one).collect();
    Some(Results { aggregated, columns, more_columns, rows, raw: pretty(&raw, RAW_LIMIT) })
}

/// A result as JSON, with its organization.
#[derive(Serialize)]
pub struct RawResult<'a> {
    organization: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// One of them.
pub fn raw_one(result: &NamedResult) -> RawResult<'_> {
    RawResult {
        organization: &result.organization,
        result: result.value.as_ref().ok(),
        error: result.value.as_ref().err().map(ToString::to_string),
    }
}

fn cell(value: &Value, limit: usize) -> Cell {
    match value {
        Value::Number(number) => Cell::Number(number.to_string()),
        Value::String(text) => Cell::Text(shorten(text, limit)),
        Value::Bool(_) | Value::Null => Cell::Text(value.to_string()),
        nested => match MissingValue::read(nested) {
            Some(missing) => Cell::Absent(shorten(&missing.words(), limit)),
            None => Cell::Nested(pretty(nested, limit)),
        },
    }
}

/// What stands behind a text that goes on.
const SHORTENED: &str = "… (shortened; the download has all of it)";

fn shorten(text: &str, limit: usize) -> String {
    match text.get(..text.floor_char_boundary(limit)) {
        Some(begin) if begin.len() < text.len() => format!("{begin}{SHORTENED}"),
        _ => text.to_owned(),
    }
}

/// JSON on several lines; no more is written than is shown.
fn pretty(value: &impl Serialize, limit: usize) -> String {
    let mut begin = Begin { bytes: Vec::new(), limit };
    let is_whole = serde_json::to_writer_pretty(&mut begin, value).is_ok();
    let text = String::from_utf8_lossy(&begin.bytes);
    match is_whole {
        true => text.into_owned(),
        // A character may have been cut.
        false => format!("{}{SHORTENED}", text.trim_end_matches(char::REPLACEMENT_CHARACTER)),
    }
}

/// Takes so many bytes and no more.
struct Begin {
    bytes: Vec<u8>,
    limit: usize,
}

impl io::Write for Begin {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.limit - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(value: Value) -> NamedResult {
        NamedResult { organization: "org".to_owned(), value: Ok(value) }
    }

    #[test]
    fn long_texts_end_between_characters_and_say_so() {
        for length in 0..8 {
            let long = "é".repeat(length);
            let shown = |text: String| text.strip_suffix(SHORTENED).map(str::to_owned).ok_or(text);
            let expected = if length <= 2 { Err(long.clone()) } else { Ok("éé".to_owned()) };
            assert_eq!(shown(shorten(&long, 5)), expected);
            // With its quotes.
            let expected = if length <= 2 { Err(format!("\"{long}\"")) } else { Ok("\"éé".to_owned()) };
            assert_eq!(shown(pretty(&long, 6)), expected);
        }
    }

    #[test]
    fn of_many_cells_each_shows_less() {
        let wide = |columns: usize| {
            result((0..columns).map(|column| (format!("k{column}"), json!("&".repeat(3_000)))).collect())
        };
        for (columns, shown) in [(1, 2_000), (100, 1_000)] {
            let table = table(&[wide(columns), wide(columns)], false).unwrap();
            let Cell::Text(text) = &table.rows[1].cells[0] else { panic!("it is a text") };
            assert_eq!(text.len(), shown + SHORTENED.len());
        }
    }

    #[test]
    fn falsy_values_are_results() {
        for value in [json!(0), json!(false), json!(null), json!("")] {
            let table = table(&[result(value.clone())], false).unwrap();
            assert_eq!(table.columns, ["Result"]);
            assert_ne!(table.rows[0].cells[0], Cell::Missing, "{value}");
        }
    }

    #[test]
    fn keys_become_columns_and_nested_values_stay_readable() {
        let table =
            table(&[result(json!({"sum": 253, "count": 4})), result(json!({"count": 1, "more": [1]}))], false).unwrap();
        assert_eq!(table.columns, ["sum", "count", "more"]);
        assert_eq!(table.rows[0].cells[0], Cell::Number("253".into()));
        assert_eq!(table.rows[0].cells[2], Cell::Missing);
        assert_eq!(table.rows[1].cells[2], Cell::Nested("[\n  1\n]".into()));
    }

    #[test]
    fn the_date_of_an_earlier_answer_stands_with_its_organization() {
        let kept = json!({"sum": 253, "count": 4, "answered_at": "2026-11-26 16:37 UTC"});
        let table = table(&[result(kept), result(json!({"sum": 1, "count": 2}))], false).unwrap();
        assert_eq!(table.columns, ["sum", "count"]);
        let dates: Vec<Option<&str>> = table.rows.iter().map(|row| row.answered_at.as_deref()).collect();
        assert_eq!(dates, [Some("2026-11-26 16:37 UTC"), None]);
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let table =
            table(&[NamedResult { organization: "org".to_owned(), value: Err(PayloadError::Encrypted) }], false)
                .unwrap();
        assert_eq!(table.rows[0].cells[0], Cell::Text("cannot be shown: the payload is encrypted".into()));
    }
}
