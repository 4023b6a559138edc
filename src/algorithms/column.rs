use arrow_array::{
    Array, ArrayRef,
    cast::AsArray,
    types::{Decimal128Type, Decimal256Type, Float64Type, Int64Type, UInt64Type},
};
use arrow_buffer::i256;
use arrow_cast::cast;
use arrow_schema::{DECIMAL128_MAX_PRECISION, DECIMAL128_MAX_SCALE, DataType, Schema};

use super::{AlgorithmError, DecimalMark, Table};

/// The most column names that a message lists.
const NAMES_SHOWN: usize = 20;

/// The position of a column; an error that lists the columns there are.
pub fn find(schema: &Schema, column: &str) -> Result<usize, AlgorithmError> {
    schema.index_of(column).map_err(|_| {
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
        DataType::Dictionary(_, values) if !is_number_like(values) => "it holds text".to_owned(),
        kind if is_number_like(kind) => "it holds numbers of more than 30 digits".to_owned(),
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
    /// Counts as 1 or 0.
    Boolean(bool),
    Float(f64),
    /// So many parts, of which `10^scale` make one: a decimal number, or a whole one beyond 64 bits.
    Decimal {
        parts: i128,
        scale: u8,
    },
}

/// Numbers with more digits are none: what is computed of them could not be checked as exactly as it is told.
const MOST_PARTS: u128 = 1 << 100;

impl Number {
    /// A decimal number in its simplest form; `None` if it has too many digits. A negative scale stands for zeros.
    fn decimal(parts: i128, scale: i8) -> Option<Number> {
        let power = |exponent: u8| 10_i128.checked_pow(u32::from(exponent));
        let (mut parts, mut scale) = match u8::try_from(scale) {
            Ok(scale) => (parts, scale),
            Err(_) => (parts.checked_mul(power(scale.unsigned_abs())?)?, 0),
        };
        // Zeros at the end are no digits of its own.
        while (parts.unsigned_abs() >= MOST_PARTS || scale > DECIMAL128_MAX_SCALE.unsigned_abs())
            && scale > 0
            && parts % 10 == 0
        {
            (parts, scale) = (parts / 10, scale - 1);
        }
        if parts.unsigned_abs() >= MOST_PARTS {
            return None;
        }
        let unit = power(scale)?;
        match i64::try_from(parts / unit) {
            Ok(whole) if parts % unit == 0 => Some(Number::Integer(whole)),
            _ => Some(Number::Decimal { parts, scale }),
        }
    }

    /// The same of a longer one.
    fn long_decimal(mut parts: i256, mut scale: i8) -> Option<Number> {
        let ten = i256::from_i128(10);
        while parts.to_i128().is_none() && scale > 0 && parts.checked_rem(ten)? == i256::ZERO {
            (parts, scale) = (parts.checked_div(ten)?, scale - 1);
        }
        Number::decimal(parts.to_i128()?, scale)
    }

    /// The nearest float, or the one beside it.
    pub fn to_f64(self) -> f64 {
        match self {
            Number::Integer(value) => value as f64,
            Number::Boolean(value) => f64::from(u8::from(value)),
            Number::Float(value) => value,
            Number::Decimal { parts, scale } => parts as f64 / 10_f64.powi(i32::from(scale)),
        }
    }

    /// Whether it has no decimals.
    pub fn is_whole(self) -> bool {
        match self {
            Number::Integer(_) | Number::Boolean(_) => true,
            Number::Float(value) => value.fract() == 0.0,
            Number::Decimal { parts, scale } => {
                10_i128.checked_pow(u32::from(scale)).is_some_and(|unit| parts % unit == 0)
            }
        }
    }
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

/// Whether a type holds numbers, as pandas has it: also true and false, and numbers in a dictionary (its categories).
fn is_number_like(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_number_like(values),
        kind => kind.is_numeric() || *kind == DataType::Boolean,
    }
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
        DataType::Boolean => {
            for (row, value) in array.as_boolean().iter().enumerate() {
                if let Some(value) = value {
                    visit(row, Some(Number::Boolean(value)));
                }
            }
        }
        DataType::UInt64 => {
            for (row, value) in array.as_primitive::<UInt64Type>().iter().enumerate() {
                if let Some(value) = value {
                    visit(row, Number::decimal(i128::from(value), 0));
                }
            }
        }
        DataType::Decimal128(_, scale) => {
            for (row, parts) in array.as_primitive::<Decimal128Type>().iter().enumerate() {
                if let Some(parts) = parts {
                    visit(row, Number::decimal(parts, *scale));
                }
            }
        }
        DataType::Decimal256(_, scale) => {
            for (row, parts) in array.as_primitive::<Decimal256Type>().iter().enumerate() {
                if let Some(parts) = parts {
                    visit(row, Number::long_decimal(parts, *scale));
                }
            }
        }
        kind => {
            // All of these hold what is in the narrower type.
            let target = match kind {
                DataType::Dictionary(_, values) if is_number_like(values) => Some(values.as_ref().clone()),
                DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => {
                    Some(DataType::Decimal128(DECIMAL128_MAX_PRECISION, *scale))
                }
                kind if kind.is_integer() => Some(DataType::Int64),
                kind if kind.is_floating() => Some(DataType::Float64),
                _ => None,
            };
            match target.and_then(|target| cast(array, &target).ok()) {
                Some(cast) => for_each_value(None, &cast, &mut visit as &mut dyn FnMut(usize, Option<Number>)),
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
    match text {
        "True" | "TRUE" | "true" => return Some(Number::Boolean(true)),
        "False" | "FALSE" | "false" => return Some(Number::Boolean(false)),
        _ => {}
    }
    // Beyond 64 bits a float would be another number.
    if text.trim_start_matches(['+', '-']).bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().and_then(|parts| Number::decimal(parts, 0));
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
    use arrow_array::{
        BooleanArray, Decimal128Array, Decimal256Array, DictionaryArray, Int8Array, Int16Array, Int64Array,
        StringArray, UInt64Array, types::Int8Type,
    };
    use arrow_buffer::i256;
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
    fn numbers_of_every_type_are_exact() {
        let whole = |value: i64| Some(Number::Integer(value));
        let long = |parts: i128| Some(Number::Decimal { parts, scale: 0 });
        let cents = |parts: i128| Some(Number::Decimal { parts, scale: 2 });
        let of = |array: ArrayRef| {
            let mut values = Vec::new();
            for_each_value(None, &array, |_, value| values.push(value));
            values
        };
        let unsigned = UInt64Array::from(vec![Some(9_007_199_254_740_993), Some(u64::MAX), None]);
        assert_eq!(of(Arc::new(unsigned)), [whole(9_007_199_254_740_993), long(u64::MAX.into())]);
        let decimals = |values: Vec<i128>, scale: i8| -> ArrayRef {
            Arc::new(Decimal128Array::from(values).with_precision_and_scale(38, scale).unwrap())
        };
        let money = 1_234_567_890_123_456_789_012_i128;
        assert_eq!(of(decimals(vec![110, 220, 300, money], 2)), [cents(110), cents(220), whole(3), cents(money)]);
        assert_eq!(of(decimals(vec![5, -5], -3)), [whole(5_000), whole(-5_000)]);
        assert_eq!(of(decimals(vec![1 << 101], 0)), [None]);
        let wide = Decimal256Array::from(vec![i256::from(110), i256::MAX]).with_precision_and_scale(76, 2).unwrap();
        assert_eq!(of(Arc::new(wide)), [cents(110), None]);
        for kind in [DataType::Decimal32(9, 2), DataType::Decimal64(18, 2)] {
            assert_eq!(of(cast(&decimals(vec![110], 2), &kind).unwrap()), [cents(110)]);
        }
        let truths = BooleanArray::from(vec![Some(true), None, Some(false)]);
        assert_eq!(of(Arc::new(truths)), [Some(Number::Boolean(true)), Some(Number::Boolean(false))]);
        let categories: Int64Array = vec![10, 20].into();
        let keys = Int8Array::from(vec![Some(1), None, Some(0), Some(1)]);
        let categories = DictionaryArray::new(keys, Arc::new(categories));
        assert_eq!(of(Arc::new(categories)), [whole(20), whole(10), whole(20)]);
        let words: DictionaryArray<Int8Type> = vec!["a", "b"].into_iter().collect();
        assert_eq!(of(Arc::new(words)), [None, None]);
        let text = |text: &str| number(text, DecimalMark::Point);
        assert_eq!(text("18446744073709551616"), long(1 << 64));
        assert_eq!(text("-9223372036854775809"), long(-(1 << 63) - 1));
        assert_eq!((text(&"9".repeat(31)), text(&"9".repeat(60)), text("")), (None, None, None));
    }

    #[test]
    fn narrow_integers_stay_integers() {
        let array = Int16Array::from(vec![Some(7), None]);
        assert_eq!(values(Arc::new(array)), [Some(Number::Integer(7))]);
    }
}
