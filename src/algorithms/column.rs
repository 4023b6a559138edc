use arrow_array::{
    Array, ArrayRef,
    cast::AsArray,
    types::{Float64Type, Int64Type},
};
use arrow_cast::{CastOptions, cast_with_options, display::FormatOptions};
use arrow_schema::{DataType, Schema};

use super::{AlgorithmError, DecimalMark, Table};
use crate::protocol::name::one_line;

/// The most column names that a message lists.
const NAMES_SHOWN: usize = 20;

/// The position of a column; an error that lists the columns there are.
pub fn find(schema: &Schema, column: &str) -> Result<usize, AlgorithmError> {
    schema.index_of(column).or_else(|_| schema.index_of(&one_line(column))).map_err(|_| {
        let mut names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let more = names.len().saturating_sub(NAMES_SHOWN);
        names.truncate(NAMES_SHOWN);
        let mut columns = names.join(", ");
        if more > 0 {
            columns.push_str(&format!(" and {more} more"));
        }
        AlgorithmError::NoSuchColumn { column: column.to_owned(), columns }
    })
}

/// What a column holds, in words, where it does not hold numbers. In an untyped table that is text.
pub fn content(table: &Table, index: usize) -> String {
    match table.schema.field(index).data_type() {
        _ if table.untyped.is_some() => "it holds text".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "it holds text".to_owned(),
        DataType::Boolean => "it holds true and false".to_owned(),
        kind if kind.is_temporal() => "it holds dates or times".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "it holds bytes".to_owned()
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => "it holds lists".to_owned(),
        // The type's own name has those of what is in it, which nobody shared.
        _ => "it holds something else".to_owned(),
    }
}

/// A number of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    Integer(i64),
    Float(f64),
}

/// Texts that stand for a missing value, in small and capital letters as pandas has them
/// (<https://pandas.pydata.org/docs/reference/api/pandas.read_csv.html>, `na_values`).
const MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// No text of [`MISSING`] is longer, in bytes.
const LONGEST_MISSING: usize = 8;

/// Whether a text stands for a missing value.
pub fn is_missing(text: &str) -> bool {
    text.len() <= LONGEST_MISSING && MISSING.contains(&text)
}

/// Calls `visit` with the row and the value of each number of an array, and with the row alone of what is no number.
/// Missing values (null, NaN) are left out. Text is read as numbers only in an untyped table.
pub fn for_each_value(untyped: Option<DecimalMark>, array: &ArrayRef, mut visit: impl FnMut(usize, Option<Number>)) {
    match array.data_type() {
        DataType::Null => {}
        DataType::Float64 => floats(array, visit),
        DataType::Int64 => integers(array, visit),
        DataType::Utf8 if let Some(mark) = untyped => {
            for (row, text) in array.as_string::<i32>().iter().enumerate() {
                let Some(text) = text.map(str::trim) else { continue };
                match number(text, mark) {
                    Some(number) => visit(row, Some(number)),
                    None if is_missing(text) => {}
                    None => visit(row, None),
                }
            }
        }
        kind => {
            let target =
                if kind.is_integer() && *kind != DataType::UInt64 { DataType::Int64 } else { DataType::Float64 };
            let options = CastOptions { safe: true, format_options: FormatOptions::default() };
            let cast = kind.is_numeric().then(|| cast_with_options(array, &target, &options).ok()).flatten();
            match cast {
                Some(cast) if target == DataType::Int64 => integers(&cast, visit),
                Some(cast) => floats(&cast, visit),
                None => (0..array.len()).filter(|row| array.is_valid(*row)).for_each(|row| visit(row, None)),
            }
        }
    }
}

/// The number that a text is, if it is one, as pandas reads them.
pub fn number(text: &str, mark: DecimalMark) -> Option<Number> {
    if let Ok(value) = text.parse::<i64>() {
        return Some(Number::Integer(value));
    }
    let value = match mark {
        DecimalMark::Point => text.parse::<f64>(),
        // With a point it would be of another country, or thousands.
        DecimalMark::Comma if text.contains('.') => return None,
        DecimalMark::Comma => text.replace(',', ".").parse::<f64>(),
    };
    // Missing values are written in some ways, and "NAN" is none of them.
    value.ok().filter(|value| !value.is_nan()).map(Number::Float)
}

fn floats(array: &ArrayRef, mut visit: impl FnMut(usize, Option<Number>)) {
    for (row, value) in array.as_primitive::<Float64Type>().iter().enumerate() {
        if let Some(value) = value.filter(|value| !value.is_nan()) {
            visit(row, Some(Number::Float(value)));
        }
    }
}

fn integers(array: &ArrayRef, mut visit: impl FnMut(usize, Option<Number>)) {
    for (row, value) in array.as_primitive::<Int64Type>().iter().enumerate() {
        if let Some(value) = value {
            visit(row, Some(Number::Integer(value)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Int16Array, StringArray};
    use std::sync::Arc;

    fn values(array: ArrayRef) -> Vec<Option<Number>> {
        let mut values = Vec::new();
        for_each_value(Some(DecimalMark::Point), &array, |_, value| values.push(value));
        values
    }

    #[test]
    fn text_of_untyped_tables_is_read_as_pandas_reads_it() {
        let texts =
            StringArray::from(vec![Some("1"), Some(" 2.5"), Some("NA"), Some(""), None, Some("-3e2"), Some("NAN")]);
        let expected = [Number::Integer(1), Number::Float(2.5), Number::Float(-300.0)].map(Some);
        assert_eq!(values(Arc::new(texts)), [expected.as_slice(), &[None]].concat(), "NAN is a text");
        assert_eq!(values(Arc::new(StringArray::from(vec![Some("Ann"), None]))), [None]);
    }

    #[test]
    fn decimals_can_stand_behind_a_comma() {
        let of = |text: &str| number(text, DecimalMark::Comma);
        assert_eq!(of("1,5"), Some(Number::Float(1.5)));
        assert_eq!((of("-12"), of("+1,5e3")), (Some(Number::Integer(-12)), Some(Number::Float(1_500.0))));
        assert_eq!(["1.5", "1.500,5", "1,500,5"].map(of), [None; 3]);
        assert_eq!(number("1,5", DecimalMark::Point), None);
    }

    #[test]
    fn every_text_that_is_missing_is_found() {
        assert!(MISSING.iter().all(|text| is_missing(text)) && !is_missing("Nobody at all"));
    }

    #[test]
    fn narrow_integers_stay_integers() {
        let array = Int16Array::from(vec![Some(7), None]);
        assert_eq!(values(Arc::new(array)), [Some(Number::Integer(7))]);
    }
}
