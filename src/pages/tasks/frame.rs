//! Tables within results: a list of records, and what pandas writes of a DataFrame in each of its orientations
//! (<https://pandas.pydata.org/docs/reference/api/pandas.DataFrame.to_json.html>), also as a text of JSON.

use std::borrow::Cow;

use indexmap::IndexSet;
use serde_json::{Map, Value};

use crate::protocol::{bounded, domain::MissingValue};

/// The name of the column with the names of the rows, where they are more than numbers from 0 on.
const INDEX: &str = "index";

/// A table. Its cells stay where they are: a few records with other names each would be many cells.
pub struct Frame<'a> {
    pub columns: Vec<Cow<'a, str>>,
    /// The first column, if rows have names that are more than numbers from 0 on.
    names: Option<Vec<Cow<'a, str>>>,
    rows: Rows<'a>,
}

/// Where the cells stand.
enum Rows<'a> {
    /// In a record for each row, by the name of the column.
    Records(Vec<&'a Map<String, Value>>),
    /// In a list for each row.
    Lists(Vec<&'a [Value]>),
    /// In an object for each column, by the name of the row.
    Columns(Vec<&'a Map<String, Value>>, Vec<&'a str>),
}

impl Frame<'_> {
    /// How many rows there are.
    pub fn height(&self) -> usize {
        match &self.rows {
            Rows::Records(records) => records.len(),
            Rows::Lists(lists) => lists.len(),
            Rows::Columns(_, names) => names.len(),
        }
    }

    /// The value of a row in a column; `None` where a record lacks it.
    pub fn cell(&self, row: usize, column: usize) -> Option<Cow<'_, Value>> {
        let place = match &self.names {
            None => column,
            Some(names) if column == 0 => return Some(Cow::Owned(Value::from(names.get(row)?.as_ref()))),
            Some(_) => column - 1,
        };
        let value = match &self.rows {
            Rows::Records(records) => records.get(row)?.get(self.columns.get(column)?.as_ref()),
            Rows::Lists(lists) => lists.get(row)?.get(place),
            Rows::Columns(columns, names) => columns.get(place)?.get(*names.get(row)?),
        };
        value.map(Cow::Borrowed)
    }
}

/// What a text of JSON holds, if that is a table: algorithms often give one for the other.
pub fn in_text(value: &Value) -> Option<Value> {
    let text = value.as_str()?.trim();
    if !text.starts_with(['{', '[']) {
        return None;
    }
    bounded::from_slice(text.as_bytes()).ok().filter(|value| of(value).is_some())
}

/// The table that a value is, if it is one.
pub fn of(value: &Value) -> Option<Frame<'_>> {
    match value {
        Value::Array(items) => of_records(items).or_else(|| of_lists(None, None, items)),
        Value::Object(object) => split(object).or_else(|| with_schema(object)).or_else(|| by_columns(object)),
        _ => None,
    }
}

/// Whether a value stands in one cell.
fn is_plain(value: &Value) -> bool {
    !value.is_object() && !value.is_array() || MissingValue::read(value).is_some()
}

/// `[{"a": 1, "b": 2}, …]`
fn of_records(items: &[Value]) -> Option<Frame<'_>> {
    let records: Vec<&Map<String, Value>> = items.iter().map(Value::as_object).collect::<Option<_>>()?;
    let are_plain = |record: &&Map<String, Value>| !record.is_empty() && record.values().all(is_plain);
    if records.is_empty()
        || !records.iter().all(are_plain)
        || items.iter().any(|item| MissingValue::read(item).is_some())
    {
        return None;
    }
    let columns: IndexSet<&str> = records.iter().flat_map(|record| record.keys().map(String::as_str)).collect();
    let columns = columns.into_iter().map(Cow::Borrowed).collect();
    Some(Frame { columns, names: None, rows: Rows::Records(records) })
}

/// `[[1, 2], …]`, with names of columns and of rows where there are any.
fn of_lists<'a>(columns: Option<&'a [Value]>, index: Option<&'a [Value]>, data: &'a [Value]) -> Option<Frame<'a>> {
    let rows: Vec<&[Value]> = data.iter().map(|row| row.as_array().map(Vec::as_slice)).collect::<Option<_>>()?;
    let width = columns.map(<[Value]>::len).or_else(|| rows.first().map(|row| row.len())).filter(|width| *width > 0)?;
    if rows.iter().any(|row| row.len() != width || !row.iter().all(is_plain)) {
        return None;
    }
    let columns = match columns {
        Some(names) => names.iter().map(name).collect::<Option<Vec<_>>>()?,
        None => (0..width).map(|number| Cow::Owned(number.to_string())).collect(),
    };
    let frame = Frame { columns, names: None, rows: Rows::Lists(rows) };
    match index {
        None => Some(frame),
        Some(names) if names.len() == frame.height() => {
            Some(with_index(frame, names.iter().map(name).collect::<Option<Vec<_>>>()?))
        }
        Some(_) => None,
    }
}

/// The name of a column or of a row.
fn name(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(_) | Value::Bool(_) | Value::Null => Some(Cow::Owned(value.to_string())),
        _ => None,
    }
}

/// The names of the rows in a column of their own, unless they count from 0 on.
fn with_index<'a>(mut frame: Frame<'a>, names: Vec<Cow<'a, str>>) -> Frame<'a> {
    if names.iter().enumerate().all(|(number, name)| *name == number.to_string()) {
        return frame;
    }
    frame.columns.insert(0, Cow::Borrowed(INDEX));
    frame.names = Some(names);
    frame
}

/// `{"columns": […], "index": […], "data": [[…], …]}`
fn split(object: &Map<String, Value>) -> Option<Frame<'_>> {
    let list = |key: &str| object.get(key).and_then(Value::as_array).map(Vec::as_slice);
    let (columns, index, data) = (list("columns")?, list("index"), list("data")?);
    (object.len() == 2 + usize::from(index.is_some())).then(|| of_lists(Some(columns), index, data))?
}

/// `{"schema": {"fields": […]}, "data": [{…}, …]}`
fn with_schema(object: &Map<String, Value>) -> Option<Frame<'_>> {
    object.get("schema")?.get("fields")?.as_array()?;
    of_records(object.get("data")?.as_array()?)
}

/// `{"a": {"0": 1, "1": 2}, …}`: a column for each key, or a row if these count and the others do not.
fn by_columns(object: &Map<String, Value>) -> Option<Frame<'_>> {
    let inner: Vec<&Map<String, Value>> = object
        .values()
        .map(|value| value.as_object().filter(|_| MissingValue::read(value).is_none()))
        .collect::<Option<_>>()?;
    let keys: Vec<&str> = inner.first()?.keys().map(String::as_str).collect();
    let are_same =
        inner.iter().all(|one| one.keys().map(String::as_str).eq(keys.iter().copied()) && one.values().all(is_plain));
    let count = |mut keys: Box<dyn Iterator<Item = &str> + '_>| {
        (0..).zip(keys.by_ref()).all(|(number, key): (usize, &str)| key == number.to_string())
    };
    let (outer_count, inner_count) =
        (count(Box::new(object.keys().map(String::as_str))), count(Box::new(keys.iter().copied())));
    // One value for each key is as well an object of its own.
    if keys.is_empty() || !are_same || (keys.len() == 1 && !inner_count && !outer_count) {
        return None;
    }
    let outer = object.keys().map(|key| Cow::Borrowed(key.as_str()));
    let names = keys.iter().map(|key| Cow::Borrowed(*key));
    Some(if outer_count && !inner_count {
        Frame { columns: names.collect(), names: None, rows: Rows::Records(inner) }
    } else {
        let names = names.collect();
        with_index(Frame { columns: outer.collect(), names: None, rows: Rows::Columns(inner, keys) }, names)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(value: &Value) -> Option<(Vec<String>, Vec<Vec<Value>>)> {
        let frame = of(value)?;
        let cell = |row: usize, column: usize| frame.cell(row, column).map_or(Value::Null, Cow::into_owned);
        let rows = (0..frame.height()).map(|row| (0..frame.columns.len()).map(|column| cell(row, column)).collect());
        Some((frame.columns.iter().map(|column| column.to_string()).collect(), rows.collect()))
    }

    #[test]
    fn records_and_every_orientation_of_pandas_are_the_same_table() {
        let expected = Some((
            vec!["sex".to_owned(), "n".to_owned()],
            vec![vec![json!("f"), json!(30)], vec![json!("m"), json!(12.5)]],
        ));
        for value in [
            json!([{"sex": "f", "n": 30}, {"sex": "m", "n": 12.5}]),
            json!({"sex": {"0": "f", "1": "m"}, "n": {"0": 30, "1": 12.5}}),
            json!({"0": {"sex": "f", "n": 30}, "1": {"sex": "m", "n": 12.5}}),
            json!({"columns": ["sex", "n"], "index": [0, 1], "data": [["f", 30], ["m", 12.5]]}),
            json!({"columns": ["sex", "n"], "data": [["f", 30], ["m", 12.5]]}),
            json!({"schema": {"fields": [{"name": "sex", "type": "string"}]}, "data": [{"sex": "f", "n": 30}, {"sex": "m", "n": 12.5}]}),
        ] {
            assert_eq!(shown(&value), expected, "{value}");
            assert_eq!(in_text(&json!(value.to_string())), Some(value));
        }
        let lists = shown(&json!([[1, 2], [3, 4]])).unwrap();
        assert_eq!((lists.0, lists.1.len()), (vec!["0".to_owned(), "1".to_owned()], 2));
        // As `describe()` gives it.
        let described = shown(&json!({"age": {"count": 4, "mean": 60.5}, "weight": {"count": 4, "mean": 71}})).unwrap();
        assert_eq!(described.0, ["index", "age", "weight"]);
        assert_eq!(described.1[1], [json!("mean"), json!(60.5), json!(71)]);
        // What a record lacks is nothing.
        let lacking = shown(&json!([{"a": 1}, {"b": {"suppressed": "few"}}])).unwrap();
        assert_eq!(lacking.1, [[json!(1), Value::Null], [Value::Null, json!({"suppressed": "few"})]]);
    }

    #[test]
    fn other_results_are_no_tables() {
        for value in [
            json!({"sum": 253, "count": 4}),
            json!({"sum": {"suppressed": "few"}, "count": {"suppressed": "few"}}),
            json!({"a": {"x": 1}}),
            json!({"a": {"x": 1}, "b": {"y": 1}}),
            json!({"a": {"x": [1], "y": 2}}),
            json!([1, 2, 3]),
            json!([]),
            json!({}),
            json!([{}, {}]),
            json!([[1, 2], [3]]),
            json!([{"a": {"b": 1}}]),
            json!("text"),
            json!("{not json"),
            json!({"columns": ["a"], "data": 7}),
        ] {
            assert_eq!(shown(&value), None, "{value}");
            assert_eq!(in_text(&value), None);
        }
    }
}
