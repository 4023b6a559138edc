//! The arguments of built-in functions, as Python would take them.

use serde_json::Value;

use super::{AlgorithmError, Arguments, BuiltIn, ORGANIZATIONS_ARGUMENT, find};
use crate::protocol::domain::FunctionCall;

/// How alike a name has to be for being meant (Jaro and Winkler; 1 is the same).
const ALIKE: f64 = 0.8;

/// The call of a built-in function with all of its arguments by name; another call as it is. An error for what the function
/// does not know: it would do something else than what was asked for.
pub fn by_name(image: &str, call: FunctionCall) -> Result<FunctionCall, AlgorithmError> {
    // Whether there is such a function is told later.
    let known = match find(image, &call.function) {
        Ok(BuiltIn::Partial(function)) => function.arguments,
        Ok(BuiltIn::Central(function)) => function.arguments,
        Err(_) => return Ok(call),
    };
    let mut kwargs = named(known, call.args, call.kwargs)?;
    if let Some(organizations) = kwargs.get_mut(ORGANIZATIONS_ARGUMENT) {
        each_once(organizations)?;
    }
    Ok(FunctionCall { args: Vec::new(), kwargs, ..call })
}

/// Arguments by position get the names that stand at their places.
fn named(known: &[&'static str], args: Vec<Value>, kwargs: Arguments) -> Result<Arguments, AlgorithmError> {
    if args.len() > known.len() {
        return Err(AlgorithmError::TooManyArguments { given: args.len(), most: known.len() });
    }
    if let Some(name) = kwargs.keys().find(|name| !known.contains(&name.as_str())) {
        let alike = known.iter().map(|known| (strsim::jaro_winkler(known, name), known));
        let nearest = alike.filter(|(alike, _)| *alike >= ALIKE).max_by(|one, other| one.0.total_cmp(&other.0));
        let meant = nearest.map(|(_, known)| format!(" (did you mean \"{known}\"?)")).unwrap_or_default();
        return Err(AlgorithmError::UnknownArgument { name: name.clone(), known: known.join(", "), meant });
    }
    let mut all = Arguments::new();
    for (name, value) in known.iter().zip(args) {
        if kwargs.contains_key(*name) {
            return Err(AlgorithmError::ArgumentTwice(name));
        }
        all.insert((*name).to_owned(), value);
    }
    all.extend(kwargs);
    Ok(all)
}

/// Organizations that are named twice are asked once. None, or an empty list, is everybody.
fn each_once(organizations: &mut Value) -> Result<(), AlgorithmError> {
    let wrong =
        || AlgorithmError::WrongArgument { name: ORGANIZATIONS_ARGUMENT, expected: "a list of organization ids" };
    if organizations.is_null() {
        return Ok(());
    }
    let ids = organizations.as_array_mut().ok_or_else(wrong)?;
    if ids.iter().any(|id| id.as_i64().is_none()) {
        return Err(wrong());
    }
    let mut seen = std::collections::HashSet::new();
    ids.retain(|id| seen.insert(id.as_i64()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::AVERAGE_IMAGE;
    use serde_json::json;

    fn call(function: &str, args: Value, kwargs: Value) -> Result<Value, String> {
        let (Value::Array(args), Value::Object(kwargs)) = (args, kwargs) else { panic!() };
        let call = FunctionCall { function: function.to_owned(), args, kwargs, written: None };
        let call = by_name(AVERAGE_IMAGE, call).map_err(|error| error.to_string())?;
        assert!(call.args.is_empty());
        Ok(Value::Object(call.kwargs))
    }

    #[test]
    fn positions_stand_for_names() {
        let age = json!({"column_name": "age"});
        assert_eq!(call("partial_average", json!(["age"]), json!({})), Ok(age.clone()));
        assert_eq!(call("average_partial", json!([]), age.clone()), Ok(age));
        let some = json!({"column_name": "age", "organizations_to_include": [3, 2]});
        assert_eq!(call("central_average", json!(["age", [3, 2, 3]]), json!({})), Ok(some.clone()));
        assert_eq!(call("master", json!(["age"]), json!({"organizations_to_include": [3, 2]})), Ok(some));
        let all = json!({"column_name": "age", "organizations_to_include": null});
        assert_eq!(call("central_average", json!([]), all.clone()), Ok(all));
    }

    #[test]
    fn what_a_function_does_not_know_is_refused_with_what_it_knows() {
        for (function, args, kwargs, told) in [
            (
                "central_average",
                json!([]),
                json!({"column_name": "age", "org_ids": [3]}),
                "column_name, organizations_to_include",
            ),
            (
                "master",
                json!([]),
                json!({"column_name": "age", "organisations_to_include": [3]}),
                "did you mean \"organizations_to_include\"?",
            ),
            ("partial_average", json!([]), json!({"Column_name": "age"}), "did you mean \"column_name\"?"),
            ("partial_average", json!(["age", 2]), json!({}), "2 arguments, and it takes 1"),
            ("partial_average", json!(["age"]), json!({"column_name": "age"}), "\"column_name\" is given twice"),
            ("central_average", json!(["age", 3]), json!({}), "a list of organization ids"),
            ("central_average", json!(["age", ["3"]]), json!({}), "a list of organization ids"),
        ] {
            let error = call(function, args, kwargs).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        // Of others nothing is known.
        let other = FunctionCall { function: "f".to_owned(), args: vec![json!(1)], ..Default::default() };
        assert_eq!(by_name("example/other", other.clone()), Ok(other));
    }
}
