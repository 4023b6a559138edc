//! The task whose central function asks for a subtask: a subtask may ask only what that function is known to ask.

use serde_json::Value;

use super::{error::RunError, request::database_of, station::Shared};
use crate::{
    algorithms::{self, BuiltIn},
    protocol::{
        domain::FunctionCall,
        review::{ParentTask, ReviewedDatabase},
        wire::v4,
    },
};

/// The parent of a subtask; an error if it would not ask this.
pub async fn of(shared: &Shared, task: &v4::Task, call: &FunctionCall, id: i64) -> Result<ParentTask, RunError> {
    let refused = |reason: String| RunError::NotAllowed(reason);
    let parent = shared.hub.task_as_sent(id).await.map_err(RunError::of_call)?;
    let missing =
        || refused("the organization that aggregates has no run of the task to which this subtask belongs".to_owned());
    let aggregator = task.init_org.as_ref().map(|link| link.id).ok_or_else(missing)?;
    let runs = {
        // Of many subtasks that come at once, the inputs of their parents are in memory one after the other.
        let _turn = shared.large_answers.acquire().await;
        shared.hub.runs_at(id, aggregator).await.map_err(RunError::of_call)?
    };
    let run = runs.into_iter().find(|run| run.organization_id == Some(aggregator));
    let run = run.ok_or_else(missing)?;
    let asked = run.call.ok_or_else(|| refused("the server does not say what its parent asks".to_owned()))?;
    let asked = asked.map_err(|error| refused(format!("what its parent asks cannot be read: {error}")))?;
    if algorithms::without_digest(&parent.image) != algorithms::without_digest(&task.image) {
        return Err(refused("its image is not that of the task to which it belongs".to_owned()));
    }
    let own: Vec<ReviewedDatabase> = task.databases.iter().map(database_of).collect();
    let of_parent: Vec<ReviewedDatabase> = parent.databases.iter().map(database_of).collect();
    if algorithms::is_built_in(&task.image) {
        // Nobody judges what stands between the first task and this one but the node that aggregates.
        if parent.parent.is_some() {
            return Err(refused("a built-in function asks for nothing that asks for more".to_owned()));
        }
        let states = shared.hub.run_states(id).await.map_err(RunError::of_call)?;
        let of_parent_task: Vec<i64> = states.iter().filter_map(|run| run.organization_id).collect();
        let expected = expected(&parent.image, &asked, &of_parent_task, shared.organization_id).map_err(refused)?;
        let names = || algorithms::other_names(&task.image, &expected.function);
        if call.function != expected.function && !names().contains(&call.function.as_str()) {
            return Err(refused(format!(
                "the function \"{}\" of its parent asks for \"{}\" and not for \"{}\"",
                asked.function, expected.function, call.function
            )));
        }
        if call.kwargs != expected.kwargs || !call.args.is_empty() {
            return Err(refused("its arguments are not those that its parent was called with".to_owned()));
        }
        if own != of_parent {
            return Err(refused("its databases are not those of its parent".to_owned()));
        }
    } else if own.iter().any(|database| !of_parent.contains(database)) {
        return Err(refused("it names databases that its parent does not".to_owned()));
    }
    Ok(ParentTask::new(id, parent.name, asked))
}

/// What a built-in central function asks an organization, whose task is for these ones.
fn expected(
    image: &str,
    parent: &FunctionCall,
    of_parent: &[i64],
    organization_id: i64,
) -> Result<FunctionCall, String> {
    let Ok(BuiltIn::Central(central)) = algorithms::find(image, &parent.function) else {
        return Err(format!("the function \"{}\" of its parent asks for nothing", parent.function));
    };
    let parent = algorithms::by_name(image, parent.clone()).map_err(|error| format!("of its parent, {error}"))?;
    let organizations = parent.kwargs.get(algorithms::ORGANIZATIONS_ARGUMENT).and_then(Value::as_array);
    let is_included = match organizations {
        Some(ids) if !ids.is_empty() => ids.iter().any(|id| id.as_i64() == Some(organization_id)),
        // It asks those of its task if there are several, and else everybody.
        _ => of_parent.len() <= 1 || of_parent.contains(&organization_id),
    };
    if !is_included {
        return Err("its parent does not include this organization".to_owned());
    }
    let kwargs = (central.partial_arguments)(&parent.kwargs).map_err(|error| error.to_string())?;
    Ok(FunctionCall { function: central.partial.to_owned(), args: Vec::new(), kwargs, written: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn central(kwargs: Value) -> FunctionCall {
        let kwargs = kwargs.as_object().unwrap().clone();
        FunctionCall { function: "central_average".to_owned(), args: Vec::new(), kwargs, written: None }
    }

    #[test]
    fn a_central_function_asks_its_partial_function_with_its_own_arguments_where_it_is_told_to() {
        let image = algorithms::AVERAGE_IMAGE;
        let asks =
            expected(image, &central(json!({"column_name": "age", "organizations_to_include": [2]})), &[4], 2).unwrap();
        assert_eq!((asks.function.as_str(), &asks.kwargs["column_name"]), ("partial_average", &json!("age")));
        for everybody in [json!({"column_name": "age"}), json!({"column_name": "age", "organizations_to_include": []})]
        {
            assert!(expected(image, &central(everybody.clone()), &[4], 3).is_ok());
            assert!(expected(image, &central(everybody.clone()), &[3, 4], 3).is_ok());
            assert!(expected(image, &central(everybody), &[2, 4], 3).is_err());
        }
        let named = central(json!({"column_name": "age", "organizations_to_include": [2]}));
        assert!(expected(image, &named, &[4], 3).is_err());
        let partial = FunctionCall { function: "partial_average".to_owned(), ..central(json!({"column_name": "age"})) };
        assert!(expected(image, &partial, &[4], 2).is_err());
    }
}
