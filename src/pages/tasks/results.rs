//! Results as a table: one row an organization, one column a key.

use std::{
    collections::{HashMap, HashSet},
    hash::BuildHasher,
    io,
};

use indexmap::IndexSet;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::{
    frame::{self, Frame},
    state::{Cell, ResultRow, Results},
};
use crate::protocol::{
    domain::{ANSWERED_AT, MissingValue},
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
/// The most rows of tables that a page shows.
const ROWS_LIMIT: usize = 200;
/// The most columns of a table that a page shows.
const COLUMN_LIMIT: usize = 100;
/// Up to so many of a result are counted.
const COLUMNS_COUNTED: usize = 100_000;
/// One result at a time is unfolded, to be shown or downloaded.
pub static UNFOLDED: Semaphore = Semaphore::const_new(1);

/// The result of one organization, as it came.
#[derive(Debug, Clone)]
pub struct NamedResult {
    pub organization: String,
    pub value: Result<Value, PayloadError>,
}

/// The columns of a result: its keys.
pub fn columns_of(result: &NamedResult) -> impl Iterator<Item = &str> {
    let object = result.value.as_ref().ok().and_then(Value::as_object).filter(|object| !object.is_empty());
    let whole = object.is_none().then_some(WHOLE);
    object.into_iter().flat_map(|object| object.keys().map(String::as_str)).chain(whole)
}

/// Shows somebody the table that a result is, or that stands in its text, if it is one.
pub fn with_frame<T>(result: &NamedResult, see: impl FnOnce(Option<&Frame<'_>>) -> T) -> T {
    let value = result.value.as_ref().ok();
    let of_text = value.and_then(frame::in_text);
    see(of_text.as_ref().or(value).and_then(frame::of).as_ref())
}

/// The value of a result in a column.
pub fn value_in<'a>(result: &'a NamedResult, column: &str) -> Option<&'a Value> {
    match &result.value {
        Ok(Value::Object(object)) if !object.is_empty() => object.get(column),
        Ok(value) if column == WHOLE => Some(value),
        _ => None,
    }
}

/// The table that a page shows. Results unfold to many times their bytes: of each it keeps what is shown, and no more.
pub struct Table {
    /// So many results can come.
    expected: usize,
    /// Those that are shown.
    columns: IndexSet<String>,
    /// The hashes of the others.
    more_columns: HashSet<u64>,
    rows: Vec<Row>,
    /// How many results have come.
    results: usize,
    /// How many rows of tables are not shown.
    more_rows: usize,
    raw: String,
}

struct Row {
    organization: String,
    answered_at: Option<String>,
    cells: HashMap<String, Cell>,
}

impl Table {
    /// For so many results.
    pub fn of(expected: usize) -> Table {
        let (columns, more_columns) = (IndexSet::new(), HashSet::new());
        Table { expected, columns, more_columns, rows: Vec::new(), results: 0, more_rows: 0, raw: String::new() }
    }

    /// How many results have come.
    pub fn results(&self) -> usize {
        self.results
    }

    /// Adds a result.
    pub fn add(&mut self, result: &NamedResult) {
        self.results += 1;
        with_frame(result, |frame| match frame {
            Some(frame) => self.add_frame(&result.organization, frame),
            None => self.add_one(result),
        });
        self.add_raw(result);
    }

    /// Adds the rows of a table.
    fn add_frame(&mut self, organization: &str, frame: &Frame<'_>) {
        let columns: Vec<&str> = frame.columns.iter().take(COLUMNS_COUNTED).map(AsRef::as_ref).collect();
        self.add_columns(&columns);
        let room = ROWS_LIMIT.saturating_sub(self.rows.len());
        let shown = frame.height().min(room);
        self.more_rows += frame.height() - shown;
        let limit = limit_of_cells(columns.len().min(COLUMN_LIMIT) * shown.max(self.expected));
        let places: Vec<(usize, &str)> =
            columns.into_iter().enumerate().filter(|(_, column)| self.columns.contains(*column)).collect();
        for row in 0..shown {
            let cell = |place| frame.cell(row, place).map_or(Cell::Missing, |value| cell(&value, limit));
            let cells = places.iter().map(|(place, column)| ((*column).to_owned(), cell(*place))).collect();
            self.rows.push(Row { organization: organization.to_owned(), answered_at: None, cells });
        }
    }

    fn add_columns(&mut self, columns: &[&str]) {
        for column in columns {
            if self.columns.len() < COLUMN_LIMIT {
                self.columns.insert((*column).to_owned());
            } else if !self.columns.contains(*column) {
                self.more_columns.insert(self.columns.hasher().hash_one(column));
            }
        }
    }

    /// Adds a result that is one row.
    fn add_one(&mut self, result: &NamedResult) {
        // A date stands with the organization, not as a number of its own.
        let of_result = columns_of(result).filter(|column| *column != ANSWERED_AT);
        let of_result = of_result.take(COLUMNS_COUNTED).collect::<Vec<_>>();
        self.add_columns(&of_result);
        let shown = of_result.into_iter().filter(|column| self.columns.contains(*column)).collect::<Vec<_>>();
        // It may be less in the end.
        let limit = limit_of_cells(shown.len() * self.expected);
        let cell = |column: &str| match (&result.value, value_in(result, column)) {
            (_, Some(value)) => cell(value, limit),
            (Err(error), None) => Cell::Text(format!("cannot be shown: {error}")),
            (Ok(_), None) => Cell::Missing,
        };
        let cells = shown.iter().map(|column| ((*column).to_owned(), cell(column))).collect();
        let answered_at = value_in(result, ANSWERED_AT).and_then(Value::as_str).map(|at| shorten(at, CELL_LIMIT));
        self.rows.push(Row { organization: result.organization.clone(), answered_at, cells });
    }

    /// Its JSON in a list.
    fn add_raw(&mut self, result: &NamedResult) {
        if self.raw.ends_with(SHORTENED) {
            return;
        }
        let one = pretty(&[raw_one(result)], RAW_LIMIT.saturating_sub(self.raw.len()));
        let items = one.strip_prefix("[\n").unwrap_or(&one);
        self.raw.push_str(if self.raw.is_empty() { "[\n" } else { ",\n" });
        self.raw.push_str(items.strip_suffix("\n]").unwrap_or(items));
    }

    /// As it is shown; `None` without any result.
    pub fn shown(mut self, aggregated: bool) -> Option<Results> {
        if self.rows.is_empty() {
            return None;
        }
        if !self.raw.ends_with(SHORTENED) {
            self.raw.push_str("\n]");
        }
        let limit = limit_of_cells(self.columns.len() * self.rows.len());
        let cells = |cells: &mut HashMap<String, Cell>| {
            let cell = |column| cells.remove(column).map_or(Cell::Missing, |cell| shorter(cell, limit));
            self.columns.iter().map(cell).collect()
        };
        let row = |mut row: Row| ResultRow {
            organization: row.organization,
            answered_at: row.answered_at,
            cells: cells(&mut row.cells),
        };
        let rows = self.rows.into_iter().map(row).collect();
        let columns = self.columns.iter().map(|column| shorten(column, NAME_LIMIT)).collect();
        let (more_columns, more_rows) = (self.more_columns.len(), self.more_rows);
        Some(Results { aggregated, columns, more_columns, rows, more_rows, raw: self.raw })
    }
}

/// The longest text of so many cells.
fn limit_of_cells(cells: usize) -> usize {
    (CELLS_LIMIT / cells.max(1)).clamp(LEAST_SHOWN, CELL_LIMIT)
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
        Value::Number(number) => Cell::Number(shorten(number.as_str(), limit)),
        Value::String(text) => Cell::Text(shorten(text, limit)),
        Value::Bool(_) | Value::Null => Cell::Text(value.to_string()),
        nested => match MissingValue::read(nested) {
            Some(missing) => Cell::Absent(shorten(&missing.words(), limit)),
            None => Cell::Nested(pretty(nested, limit)),
        },
    }
}

/// The same cell, with so much of its text.
fn shorter(cell: Cell, limit: usize) -> Cell {
    let short = |text: String| match text.strip_suffix(SHORTENED) {
        Some(begin) if begin.len() > limit => shorten(begin, limit),
        None if text.len() > limit => shorten(&text, limit),
        _ => text,
    };
    match cell {
        Cell::Text(text) => Cell::Text(short(text)),
        Cell::Nested(text) => Cell::Nested(short(text)),
        Cell::Absent(text) => Cell::Absent(short(text)),
        other => other,
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

    fn table(results: &[NamedResult], aggregated: bool) -> Option<Results> {
        let mut table = Table::of(results.len());
        results.iter().for_each(|result| table.add(result));
        table.shown(aggregated)
    }

    #[test]
    fn of_many_columns_the_first_are_shown_and_the_others_are_counted() {
        let wide = |from: usize, to: usize| result((from..to).map(|column| (format!("k{column}"), json!(1))).collect());
        let table = table(&[wide(0, 90), wide(80, 130), wide(120, 140), result(json!(7))], false).unwrap();
        assert_eq!((table.columns.len(), table.columns[99].as_str(), table.more_columns), (100, "k99", 41));
        let all: Vec<serde_json::Map<String, Value>> = serde_json::from_str(&table.raw).unwrap();
        assert_eq!((all.len(), &all[3]["result"]), (4, &json!(7)));
        assert_eq!(table.rows[0].cells[95], Cell::Missing);
        assert_eq!(table.rows[1].cells[95], Cell::Number("1".into()));
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
    fn rows_of_a_table_are_rows_and_of_many_the_first_are_shown() {
        let records: Vec<Value> = (0..300).map(|number| json!({"sex": "f", "n": number})).collect();
        let results = [result(json!(records)), result(json!({"sum": 5, "n": 7}))];
        let shown = table(&results, false).unwrap();
        assert_eq!(shown.columns, ["sex", "n", "sum"]);
        assert_eq!((shown.rows.len(), shown.more_rows), (201, 100));
        let cells = vec![Cell::Text("f".to_owned()), Cell::Number("1".to_owned()), Cell::Missing];
        assert_eq!((&shown.rows[1].cells, shown.rows[1].organization.as_str()), (&cells, "org"));
        let text = table(&[result(json!("{\"a\":{\"0\":1,\"1\":2}}"))], false).unwrap();
        assert_eq!((text.columns.as_slice(), text.rows.len()), (["a".to_owned()].as_slice(), 2));
        assert!(text.raw.contains("\\\"a\\\""), "the JSON is as it came: {}", text.raw);
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
