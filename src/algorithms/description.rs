use serde_json::json;

use super::{AVERAGE_IMAGE, average::COLUMN_ARGUMENT};
use crate::protocol::wire::v4::{Argument, Database, Function, StoreAlgorithm, Visualization};

/// The built-in algorithms as an algorithm store describes them.
pub fn describe_all() -> Vec<StoreAlgorithm> {
    vec![average()]
}

fn average() -> StoreAlgorithm {
    let column = |id: i64| Argument {
        id,
        name: COLUMN_ARGUMENT.to_owned(),
        display_name: Some("Column".to_owned()),
        description: Some(
            "The numeric column to average. Missing values are not counted; a column of text makes the function fail."
                .to_owned(),
        ),
        kind: "column".to_owned(),
        has_default_value: false,
        default_value: None,
        conditional_on_id: None,
        conditional_operator: None,
        conditional_value: None,
        is_frontend_only: false,
        allowed_values: Vec::new(),
    };
    let organizations = Argument {
        id: 2,
        name: "organizations_to_include".to_owned(),
        display_name: Some("Include data from".to_owned()),
        description: Some(
            "The organizations whose data are averaged; all of the collaboration if none is given.".to_owned(),
        ),
        kind: "organization_list".to_owned(),
        has_default_value: true,
        default_value: None,
        ..column(2)
    };
    let database = |id: i64| Database {
        id,
        name: "Database".to_owned(),
        description: Some("The table with the column".to_owned()),
    };
    let table = |id: i64, columns: &[&str]| Visualization {
        id,
        name: "Table".to_owned(),
        description: None,
        kind: "table".to_owned(),
        schema: json!({"location": [], "columns": columns}),
    };
    StoreAlgorithm {
        id: 1,
        name: "Average".to_owned(),
        description: Some("The average of a column. Organizations share their sum and count, nothing else.".to_owned()),
        image: AVERAGE_IMAGE.to_owned(),
        digest: None,
        status: Some("approved".to_owned()),
        code_url: None,
        documentation_url: None,
        partitioning: Some("horizontal".to_owned()),
        vantage6_version: Some("4".to_owned()),
        submitted_at: None,
        approved_at: None,
        invalidated_at: None,
        submission_comments: None,
        developer_id: None,
        reviews: None,
        functions: vec![
            Function {
                id: 1,
                name: "central_average".to_owned(),
                display_name: Some("Average".to_owned()),
                description: Some(
                    "The average of a column over several organizations. One of them adds up the sums and counts \
                     of all."
                        .to_owned(),
                ),
                kind: "central".to_owned(),
                standalone: Some(true),
                databases: vec![database(1)],
                arguments: vec![column(1), organizations],
                ui_visualizations: vec![table(1, &["average"])],
            },
            Function {
                id: 2,
                name: "partial_average".to_owned(),
                display_name: Some("Sum and count".to_owned()),
                description: Some("The sum and the count of a column at each organization by itself.".to_owned()),
                kind: "federated".to_owned(),
                standalone: Some(true),
                databases: vec![database(2)],
                arguments: vec![column(3)],
                ui_visualizations: vec![table(2, &["sum", "count"])],
            },
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::find;

    #[test]
    fn every_function_described_exists_under_its_image() {
        for algorithm in describe_all() {
            for function in algorithm.functions {
                assert!(find(&algorithm.image, &function.name).is_ok(), "{}", function.name);
            }
        }
    }
}
