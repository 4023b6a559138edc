//! The average of a column over several organizations: each gives its sum and its count, nothing else leaves it.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    AlgorithmError, CentralFunction, Table,
    column::{self, Number},
};

/// The central function: the average over the organizations of its subtask.
pub const CENTRAL: CentralFunction = CentralFunction { partial: "partial_average", partial_arguments, aggregate };

/// The argument that names the column.
pub const COLUMN_ARGUMENT: &str = "column_name";

fn column_name(arguments: &Map<String, Value>) -> Result<&str, AlgorithmError> {
    match arguments.get(COLUMN_ARGUMENT) {
        Some(Value::String(name)) => Ok(name),
        Some(_) => Err(AlgorithmError::WrongArgument { name: COLUMN_ARGUMENT, expected: "a text" }),
        None => Err(AlgorithmError::MissingArgument(COLUMN_ARGUMENT)),
    }
}

/// Sum and count of a column's values: `{"sum", "count"}`. Missing values (null and NaN) are not counted. The sum is
/// an integer if all values are and it fits.
pub fn partial(
    arguments: &Map<String, Value>,
    table: Table,
    stopped: &dyn Fn() -> bool,
) -> Result<Value, AlgorithmError> {
    let name = column_name(arguments)?;
    let index = column::find(&table.schema, name)?;
    column::require_numeric(&table, index)?;
    let mut sum = Sum::default();
    for batch in (table.read)(&[index])? {
        if stopped() {
            return Err(AlgorithmError::Stopped);
        }
        column::for_each_number(name, batch?.column(0), |number| sum.add(number))?;
    }
    Ok(json!({"sum": sum.total(), "count": sum.count}))
}

/// A sum that loses no digits: integers exactly, floats with Neumaier's compensation (a plain sum of ten million
/// values is off in the last digits).
#[derive(Default)]
struct Sum {
    count: u64,
    integers: i128,
    has_floats: bool,
    floats: f64,
    compensation: f64,
}

impl Sum {
    fn add(&mut self, number: Number) {
        self.count += 1;
        match number {
            Number::Integer(value) => self.integers += i128::from(value),
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

    fn total(&self) -> Value {
        match i64::try_from(self.integers) {
            Ok(integers) if !self.has_floats => json!(integers),
            _ => json!(self.floats + self.compensation + self.integers as f64),
        }
    }
}

fn partial_arguments(arguments: &Map<String, Value>) -> Result<Map<String, Value>, AlgorithmError> {
    Ok(Map::from_iter([(COLUMN_ARGUMENT.to_owned(), json!(column_name(arguments)?))]))
}

fn aggregate(partials: &[Value]) -> Result<Value, AlgorithmError> {
    #[derive(Deserialize)]
    struct Partial {
        sum: f64,
        count: u64,
    }
    let (mut sum, mut count) = (0.0, 0);
    for partial in partials {
        let partial: Partial = serde_json::from_value(partial.clone())
            .map_err(|_| AlgorithmError::UnexpectedPartialResult("sum and count are expected".to_owned()))?;
        sum += partial.sum;
        count += partial.count;
    }
    match count {
        0 => Err(AlgorithmError::NothingToAverage),
        count => Ok(json!({"average": sum / count as f64})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
    use std::sync::Arc;

    fn table(arrays: Vec<(&str, ArrayRef)>) -> Table {
        let batch = RecordBatch::try_from_iter(arrays).unwrap();
        Table {
            schema: batch.schema(),
            untyped: false,
            read: Box::new(move |columns| Ok(Box::new(std::iter::once(Ok(batch.project(columns).unwrap()))))),
        }
    }

    fn call(column: &str, table: Table) -> Result<Value, AlgorithmError> {
        partial(&Map::from_iter([("column_name".to_owned(), json!(column))]), table, &|| false)
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
        let error = call("name", table(vec![("name", name.clone())])).unwrap_err();
        assert_eq!(error.to_string(), "the column \"name\" is not numeric: it holds text");
        let error = partial(&Map::new(), table(vec![("name", name)]), &|| false).unwrap_err();
        assert_eq!(error, AlgorithmError::MissingArgument("column_name"));
    }

    #[test]
    fn it_stops_when_told_to() {
        let age: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let arguments = Map::from_iter([("column_name".to_owned(), json!("age"))]);
        assert_eq!(partial(&arguments, table(vec![("age", age)]), &|| true), Err(AlgorithmError::Stopped));
    }

    #[test]
    fn the_average_is_over_all_values_not_over_averages() {
        let partials = [json!({"sum": 253, "count": 4}), json!({"sum": 173, "count": 4})];
        assert_eq!(aggregate(&partials), Ok(json!({"average": 53.25})));
        let uneven = [json!({"sum": 10, "count": 1}), json!({"sum": 0, "count": 9})];
        assert_eq!(aggregate(&uneven), Ok(json!({"average": 1.0})));
    }

    #[test]
    fn without_any_value_there_is_nothing_to_average() {
        assert_eq!(aggregate(&[json!({"sum": 0, "count": 0})]), Err(AlgorithmError::NothingToAverage));
        assert!(matches!(aggregate(&[json!(7)]), Err(AlgorithmError::UnexpectedPartialResult(_))));
    }
}
