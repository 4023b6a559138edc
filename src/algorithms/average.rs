//! The average of a column over several organizations: each gives its sum and its count, nothing else leaves it.

use serde_json::{Map, Value, json};

use super::{
    AlgorithmError, CentralFunction, Computed, Disclosure, GoesOn, ORGANIZATIONS_ARGUMENT, PartialFunction, Table,
    column::{self, Number},
    exact::Exact,
    guard::{EXACT, Guard, Refusal},
};
use crate::protocol::{
    domain::{ANSWERED_AT, MissingValue},
    name::one_line,
};

/// Counts up whenever what is computed or told changes.
pub const VERSION: u32 = 9;

/// Sum and count of a column at one organization.
pub const PARTIAL: PartialFunction = PartialFunction {
    name: "partial_average",
    arguments: &[COLUMN_ARGUMENT],
    columns: |arguments| Ok(vec![column_name(arguments)?]),
    question: partial_arguments,
    compute: partial,
    suppressed,
    discloses: "The sum and the number of the values in the column: two numbers.",
};

/// The central function: the average over the organizations of its subtask.
pub const CENTRAL: CentralFunction = CentralFunction {
    arguments: &[COLUMN_ARGUMENT, ORGANIZATIONS_ARGUMENT],
    partial: "partial_average",
    partial_arguments,
    aggregate,
    goes_on_without_some: true,
    discloses: "The average over all organizations that take part: one number. Their sums and counts come to this \
                organization's node.",
};

/// The argument that names the column.
pub const COLUMN_ARGUMENT: &str = "column_name";

/// As names of columns are written everywhere: with blanks around it, it is no other one.
fn column_name(arguments: &Map<String, Value>) -> Result<String, AlgorithmError> {
    match arguments.get(COLUMN_ARGUMENT) {
        Some(Value::String(name)) => Ok(one_line(name)),
        Some(_) => Err(AlgorithmError::WrongArgument { name: COLUMN_ARGUMENT, expected: "a text" }),
        None => Err(AlgorithmError::MissingArgument(COLUMN_ARGUMENT)),
    }
}

/// Sum and count of a column's values: `{"sum", "count"}`. Missing values (null and NaN) are not counted. The sum is
/// exact if all values are whole or decimal numbers, and a [`MissingValue`] if it is not finite. Where the limits do not allow
/// them, both are.
fn partial(
    arguments: &Map<String, Value>,
    table: Table,
    disclosure: &Disclosure,
    goes_on: GoesOn<'_>,
) -> Result<Computed, AlgorithmError> {
    let name = column_name(arguments)?;
    let index = column::find(&table.schema, &name)?;
    let (content, untyped) = (column::content(&table, index), table.untyped);
    let mut guard = Guard::new(&table, &name, 1, disclosure)?;
    let mut sum = Sum::default();
    for batch in (table.read)(&[index])? {
        let batch = batch?;
        guard.batch(&batch)?;
        goes_on(guard.bytes())?;
        column::for_each_value(untyped, batch.column(0), |row, value| match value {
            Some(number) => {
                if guard.see(row, number) {
                    sum.add(number);
                }
            }
            None => guard.see_other(row),
        });
    }
    // The sum of a single value would be the value.
    let (told_of, refusal) = guard.end(&content);
    let value = match &refusal {
        Some(Refusal::Suppressed(reason)) => suppressed(reason),
        Some(Refusal::Identifiers | Refusal::NotNumeric(_)) => Value::Null,
        None => json!({"sum": sum.total(), "count": sum.count}),
    };
    Ok(Computed { value, refusal, told_of })
}

/// What is told in the place of sum and count.
fn suppressed(reason: &str) -> Value {
    let suppressed = MissingValue::Suppressed(reason.to_owned()).to_json();
    json!({"sum": suppressed, "count": suppressed})
}

/// A sum that loses no digits: whole and decimal numbers exactly, floats with Neumaier's compensation (a plain sum of ten million
/// values is off in the last digits).
#[derive(Default)]
struct Sum {
    count: u64,
    /// Of whole and decimal numbers, in parts of which `10^scale` make one.
    parts: i128,
    scale: u8,
    is_too_large: bool,
    has_floats: bool,
    floats: f64,
    compensation: f64,
}

impl Sum {
    fn add(&mut self, number: Number) {
        self.count += 1;
        match number {
            Number::Integer(value) if self.scale == 0 => self.parts += i128::from(value),
            Number::Integer(value) => self.add_parts(value.into(), 0),
            Number::Boolean(value) => self.add_parts(value.into(), 0),
            Number::Decimal { parts, scale } => self.add_parts(parts, scale),
            Number::Float(value) => {
                self.has_floats = true;
                let next = self.floats + value;
                let lost = if self.floats.abs() >= value.abs() {
                    (self.floats - next) + value
                } else {
                    (value - next) + self.floats
                };
                self.compensation += lost;
                self.floats = next;
            }
        }
    }

    fn add_parts(&mut self, parts: i128, scale: u8) {
        let common = self.scale.max(scale);
        let in_common = |parts: i128, scale: u8| {
            10_i128.checked_pow(u32::from(common - scale)).and_then(|unit| parts.checked_mul(unit))
        };
        let sum = in_common(self.parts, self.scale).zip(in_common(parts, scale));
        match sum.and_then(|(sum, parts)| sum.checked_add(parts)) {
            Some(sum) => (self.parts, self.scale) = (sum, common),
            None => self.is_too_large = true,
        }
    }

    fn total(&self) -> Value {
        if self.is_too_large {
            return finite(f64::INFINITY);
        }
        let exact = Number::Decimal { parts: self.parts, scale: self.scale };
        match decimal(self.parts, self.scale) {
            Some(exact) if !self.has_floats => exact,
            _ => match self.floats + self.compensation + exact.to_f64() {
                // A whole number is written in one way: whether a column has decimals can hang on one row, which does not
                // have to be among those of the sum.
                whole if whole.fract() == 0.0 && whole.abs() < EXACT => json!(whole as i64),
                sum => finite(sum),
            },
        }
    }
}

/// JSON has no infinity: what is beyond the numbers could not be established.
fn finite(number: f64) -> Value {
    if number.is_finite() {
        return json!(number);
    }
    MissingValue::NotEstablished("the column holds infinite values, or its sum is beyond what numbers hold".to_owned())
        .to_json()
}

/// A decimal number with all of its digits and no zeros at its end.
fn decimal(parts: i128, scale: u8) -> Option<Value> {
    let digits = format!("{:0>width$}", parts.unsigned_abs(), width = usize::from(scale) + 1);
    let (whole, decimals) = digits.split_at(digits.len() - usize::from(scale));
    let (sign, decimals) = (if parts < 0 { "-" } else { "" }, decimals.trim_end_matches('0'));
    let point = if decimals.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{decimals}").parse().ok().map(Value::Number)
}

fn partial_arguments(arguments: &Map<String, Value>) -> Result<Map<String, Value>, AlgorithmError> {
    Ok(Map::from_iter([(COLUMN_ARGUMENT.to_owned(), json!(column_name(arguments)?))]))
}

/// `{"average"}`, and `organizations_left_out` if some suppressed their part or did not allow it: those are `refused`.
/// With `answered_at` if a part is an answer of before.
fn aggregate(partials: &[Value], refused: usize) -> Result<Value, AlgorithmError> {
    let unexpected = || AlgorithmError::UnexpectedPartialResult("sum and count are expected".to_owned());
    let (mut sum, mut count, mut left_out) = (Exact::default(), 0, refused);
    // As old as the oldest part.
    let answered_at = partials.iter().filter_map(|partial| partial.get(ANSWERED_AT)?.as_str()).min();
    for partial in partials {
        let part = |key: &str| partial.get(key).ok_or_else(unexpected);
        let (partial_sum, partial_count) = (part("sum")?, part("count")?);
        match (MissingValue::read(partial_sum), MissingValue::read(partial_count)) {
            (Some(_), Some(_)) => {
                left_out += 1;
                continue;
            }
            // Without this one the average would be of something else.
            (Some(missing @ MissingValue::NotEstablished(_)), None) => {
                return Ok(json!({"average": missing.to_json()}));
            }
            _ => {}
        }
        let partial_sum = match (partial_sum.as_i64(), partial_sum.as_f64()) {
            (Some(whole), _) => Number::Integer(whole),
            (None, Some(float)) => Number::Float(float),
            (None, None) => return Err(unexpected()),
        };
        sum = sum + Exact::from(partial_sum);
        count = u64::checked_add(count, partial_count.as_u64().ok_or_else(unexpected)?).ok_or_else(unexpected)?;
    }
    let average = match count {
        0 if left_out == 0 => {
            MissingValue::NotEstablished("no organization has a value in this column".to_owned()).to_json()
        }
        0 => MissingValue::NotEstablished("no organization may tell its part".to_owned()).to_json(),
        count => finite(sum.divided(count as f64).to_f64()),
    };
    let mut aggregate = json!({"average": average});
    if left_out > 0 {
        aggregate["organizations_left_out"] = json!(left_out);
    }
    if let Some(at) = answered_at {
        aggregate[ANSWERED_AT] = json!(at);
    }
    Ok(aggregate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{algorithms::SketchKey, protocol::policy::Limits};
    use arrow_array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
    use std::sync::Arc;

    fn table(arrays: Vec<(&str, ArrayRef)>) -> Table {
        let batch = RecordBatch::try_from_iter(arrays).unwrap();
        Table {
            schema: batch.schema(),
            untyped: None,
            identifiers: Vec::new(),
            has_person: false,
            read: Box::new(move |columns| Ok(Box::new(std::iter::once(Ok(batch.project(columns).unwrap()))))),
        }
    }

    fn within(limits: Limits) -> Disclosure {
        // Whether values are identifiers is not what these tests are about.
        let allowed_identifiers = ["age", "weight", "small", "x", "name"].map(str::to_owned).into();
        Disclosure { limits, allowed_identifiers, key: SketchKey::new([7; 16]), left_out: Vec::new() }
    }

    fn call(column: &str, table: Table) -> Result<Value, AlgorithmError> {
        call_within(column, table, Limits::default())
    }

    fn call_within(column: &str, table: Table, limits: Limits) -> Result<Value, AlgorithmError> {
        let arguments = Map::from_iter([("column_name".to_owned(), json!(column))]);
        Ok(partial(&arguments, table, &within(limits), &|_| Ok(()))?.value)
    }

    #[test]
    fn missing_values_are_not_counted() {
        let age = Arc::new(Int64Array::from(vec![Some(60), None, Some(193)]));
        assert_eq!(call("age", table(vec![("age", age)])), Ok(json!({"sum": 253, "count": 2})));
        let weight = Arc::new(Float64Array::from(vec![Some(1.5), Some(f64::NAN), None]));
        assert_eq!(call("weight", table(vec![("weight", weight)])), Ok(json!({"sum": 1.5, "count": 1})));
        let small = Arc::new(Int32Array::from(vec![1, 2]));
        assert_eq!(call("small", table(vec![("small", small)])), Ok(json!({"sum": 3, "count": 2})));
    }

    #[test]
    fn true_is_one_and_beside_numbers_a_text() {
        let of_text = |values: Vec<&str>| Table {
            untyped: Some(crate::algorithms::DecimalMark::Point),
            ..table(vec![("x", Arc::new(StringArray::from(values)))])
        };
        assert_eq!(call("x", of_text(vec!["True", "FALSE", "true", ""])), Ok(json!({"sum": 2, "count": 3})));
        assert_eq!(call("x", of_text(vec!["True", "2"])), Ok(Value::Null));
        assert_eq!(call("x", of_text(vec!["yes", "no"])), Ok(Value::Null));
        let booleans: ArrayRef = Arc::new(arrow_array::BooleanArray::from(vec![Some(true), None, Some(false)]));
        assert_eq!(call("x", table(vec![("x", booleans)])), Ok(json!({"sum": 1, "count": 2})));
    }

    #[test]
    fn decimals_have_the_digits_that_they_need() {
        use arrow_array::{Decimal128Array, Decimal256Array};
        use arrow_buffer::i256;
        let narrow = Decimal128Array::from(vec![5 * 10_i128.pow(29), 25 * 10_i128.pow(29), 0]);
        let narrow: ArrayRef = Arc::new(narrow.with_precision_and_scale(38, 30).unwrap());
        assert_eq!(call("x", table(vec![("x", narrow)])), Ok(json!({"sum": 3, "count": 3})));
        let wide =
            |tenths: i128| i256::from_i128(tenths * 10_i128.pow(20)).wrapping_mul(i256::from_i128(10_i128.pow(17)));
        let wide = Decimal256Array::from(vec![wide(25), wide(50), i256::ZERO]);
        let wide: ArrayRef = Arc::new(wide.with_precision_and_scale(76, 38).unwrap());
        assert_eq!(call("x", table(vec![("x", wide)])), Ok(json!({"sum": 7.5, "count": 3})));
    }

    #[test]
    fn what_is_not_finite_could_not_be_established() {
        let infinite: ArrayRef = Arc::new(Float64Array::from(vec![1.0, f64::INFINITY]));
        let part = call("x", table(vec![("x", infinite)])).unwrap();
        assert!(matches!(MissingValue::read(&part["sum"]), Some(MissingValue::NotEstablished(_))), "{part}");
        assert_eq!(part["count"], 2);
        for partials in [vec![json!({"sum": 1, "count": 2}), part], vec![json!({"sum": f64::MAX, "count": 1}); 2]] {
            let average = aggregate(&partials, 0).unwrap();
            assert!(matches!(MissingValue::read(&average["average"]), Some(MissingValue::NotEstablished(_))));
        }
    }

    #[test]
    fn ten_million_small_values_lose_no_digits() {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![0.1; 10_000_000]));
        let result = call("x", table(vec![("x", values)])).unwrap();
        assert_eq!(result["sum"].as_f64().unwrap(), 1_000_000.0);
    }

    #[test]
    fn failures_name_columns_and_never_values() {
        let name: ArrayRef = Arc::new(StringArray::from(vec!["secret"]));
        let error = call("age", table(vec![("name", name.clone())])).unwrap_err();
        assert_eq!(error.to_string(), "there is no column \"age\"; the columns are: name");
        let limits = within(Limits::default());
        let arguments = Map::from_iter([("column_name".to_owned(), json!("name"))]);
        let text = partial(&arguments, table(vec![("name", name.clone())]), &limits, &|_| Ok(())).unwrap();
        assert_eq!(text.refusal, Some(Refusal::NotNumeric("it holds text".to_owned())));
        assert_eq!((text.value, text.told_of.taking_part.rows), (Value::Null, 1));
        let error = partial(&Map::new(), table(vec![("name", name)]), &limits, &|_| Ok(())).unwrap_err();
        assert_eq!(error, AlgorithmError::MissingArgument("column_name"));
    }

    #[test]
    fn it_stops_when_told_to() {
        let age: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let arguments = Map::from_iter([("column_name".to_owned(), json!("age"))]);
        let table = table(vec![("age", age)]);
        let stopped =
            partial(&arguments, table, &within(Limits::default()), &|_| Err(AlgorithmError::Stopped)).unwrap_err();
        assert_eq!(stopped, AlgorithmError::Stopped);
    }

    #[test]
    fn the_average_is_over_all_values_not_over_averages() {
        let partials = [json!({"sum": 253, "count": 4}), json!({"sum": 173, "count": 4})];
        assert_eq!(aggregate(&partials, 0), Ok(json!({"average": 53.25})));
        let kept = [json!({"sum": 253, "count": 4, "answered_at": "2026-11-26 16:37 UTC"}), partials[1].clone()];
        assert_eq!(aggregate(&kept, 0), Ok(json!({"average": 53.25, "answered_at": "2026-11-26 16:37 UTC"})));
        let uneven = [json!({"sum": 10, "count": 1}), json!({"sum": 0, "count": 9})];
        assert_eq!(aggregate(&uneven, 0), Ok(json!({"average": 1.0})));
    }

    #[test]
    fn suppressed_zero_and_not_established_are_three_results() {
        let limits = Limits { minimum_rows: Some(3), smallest_cell: Some(1), ..Default::default() };
        let of = |ages: Vec<Option<i64>>| {
            let ages: ArrayRef = Arc::new(Int64Array::from(ages));
            call_within("age", table(vec![("age", ages)]), limits).unwrap()
        };
        assert_eq!(of(vec![None, None, None]), json!({"sum": 0, "count": 0}));
        assert_eq!(of(vec![Some(1), Some(2), Some(2), None]), json!({"sum": 5, "count": 3}));
        for few in [vec![Some(7), None, None], vec![Some(7), Some(8)]] {
            let suppressed = of(few);
            for key in ["sum", "count"] {
                assert!(matches!(MissingValue::read(&suppressed[key]), Some(MissingValue::Suppressed(_))));
            }
            assert!(!suppressed.to_string().contains('7'), "{suppressed}");
        }
    }

    #[test]
    fn thresholds_count_people_where_the_table_says_who_its_rows_are_about() {
        let limits = Limits { minimum_rows: Some(3), ..Default::default() };
        let of = |people: Vec<Option<&str>>, ages: Vec<i64>| {
            let ages: ArrayRef = Arc::new(Int64Array::from(ages));
            let people: ArrayRef = Arc::new(StringArray::from(people));
            let table = Table { has_person: true, ..table(vec![("age", ages), ("patient", people)]) };
            let read = table.read;
            let table = Table { read: Box::new(move |_| read(&[0, 1])), ..table };
            let arguments = Map::from_iter([("column_name".to_owned(), json!("age"))]);
            partial(&arguments, table, &within(limits), &|_| Ok(())).unwrap()
        };
        let two_people = of(vec![Some("a"), Some("b"), Some("b"), Some("b")], vec![60, 61, 62, 63]);
        assert!(two_people.refusal.is_some() && two_people.value.to_string().contains("fewer than 3 people"));
        let three = of(vec![Some("a"), Some("b"), Some("c"), Some("c")], vec![60, 61, 62, 63]);
        assert_eq!(three.value["count"], 4);
        assert!(three.refusal.is_none() && three.told_of.table.people.is_some());
        let unnamed = of(vec![Some("a"), Some("b"), Some("c"), None], vec![60, 61, 62, 63]);
        assert!(unnamed.refusal.is_some());
    }

    #[test]
    fn a_sum_that_is_a_count_of_few_or_one_value_is_suppressed() {
        let of = |values: Vec<f64>, limits: Limits| {
            let values: ArrayRef = Arc::new(Float64Array::from(values));
            call_within("x", table(vec![("x", values)]), limits).unwrap().to_string()
        };
        let smokers = |yes: usize, no: usize| [vec![1.0; yes], vec![0.0; no]].concat();
        assert!(of(smokers(3, 60), Limits::SAFE).contains("same value"));
        // And the complement.
        assert!(of(smokers(60, 3), Limits::SAFE).contains("same value"));
        // There are two zeros, which are one value.
        let with_both_zeros = [smokers(3, 60), vec![-0.0]].concat();
        assert!(of(with_both_zeros, Limits::SAFE).contains("same value"));
        assert_eq!(of(smokers(5, 60), Limits::SAFE), r#"{"sum":5,"count":65}"#);
        assert!(of(smokers(60, 0), Limits::SAFE).contains("60"));
        let incomes = [vec![1_000_000.0], vec![1_000.5; 6], vec![2_000.5; 6]].concat();
        assert!(of(incomes, Limits::SAFE).contains("largest_value_share"));
    }

    #[test]
    fn identifiers_are_refused_and_other_values_are_not() {
        let of = |values: Vec<f64>, named: &[&str], allowed: &[&str]| {
            let values: ArrayRef = Arc::new(Float64Array::from(values));
            let table = Table {
                identifiers: named.iter().map(|name| (*name).to_owned()).collect(),
                ..table(vec![("number", values)])
            };
            let allowed_identifiers = allowed.iter().map(|name| (*name).to_owned()).collect();
            let disclosure = Disclosure { allowed_identifiers, ..within(Limits::SAFE) };
            partial(&Map::from_iter([("column_name".to_owned(), json!("number"))]), table, &disclosure, &|_| Ok(()))
        };
        let ids: Vec<f64> = (100_000..100_040).map(f64::from).collect();
        assert!(of(ids.clone(), &[], &[]).is_ok_and(|computed| computed.refusal == Some(Refusal::Identifiers)));
        assert!(of(ids.clone(), &[], &["number"]).is_ok_and(|computed| computed.refusal.is_none()));
        let ages: Vec<f64> = (0..40).map(|number| f64::from(40 + number % 20)).collect();
        assert!(of(ages.clone(), &[], &[]).is_ok_and(|computed| computed.refusal.is_none()));
        assert!(matches!(of(ages, &["number"], &[]), Err(AlgorithmError::Identifiers(_))));
        let weights: Vec<f64> = ids.iter().map(|id| id / 1_000.0 + 0.0005).collect();
        assert!(of(weights, &[], &[]).is_ok_and(|computed| computed.refusal.is_none()));
    }

    #[test]
    fn without_any_value_the_average_cannot_be_established() {
        let of = |partials: &[Value]| aggregate(partials, 0).unwrap();
        let nothing = of(&[json!({"sum": 0, "count": 0})]);
        assert!(matches!(MissingValue::read(&nothing["average"]), Some(MissingValue::NotEstablished(_))));
        let suppressed = MissingValue::Suppressed("few".to_owned()).to_json();
        let suppressed = json!({"sum": suppressed, "count": suppressed});
        let only_suppressed = of(std::slice::from_ref(&suppressed));
        assert!(matches!(MissingValue::read(&only_suppressed["average"]), Some(MissingValue::NotEstablished(_))));
        assert_ne!(only_suppressed["average"], nothing["average"]);
        let some = of(&[suppressed, json!({"sum": 10, "count": 4})]);
        assert_eq!(some, json!({"average": 2.5, "organizations_left_out": 1}));
        assert!(matches!(aggregate(&[json!(7)], 0), Err(AlgorithmError::UnexpectedPartialResult(_))));
    }
}
