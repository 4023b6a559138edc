//! Attacks on what leaves a data station, each against CSV and Parquet: docs/disclosure.md says what stops them.

#[path = "../support/mod.rs"]
mod support;

mod person;
mod subtask;
mod table;

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use atoll::protocol::{client::HubClient, status::Status};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use support::{RunningNode, World, average, outcome};

/// The forms in which a station holds its data.
const FORMATS: [&str; 2] = ["csv", "parquet"];

/// Columns of numbers, and who the rows are about.
#[derive(Clone)]
struct Table {
    patients: Vec<String>,
    columns: Vec<(&'static str, Vec<f64>)>,
}

impl Table {
    /// Patients by number, with one column.
    fn of(column: &'static str, values: &[f64]) -> Table {
        let patients = (0..values.len()).map(|number| format!("P{number}")).collect();
        Table { patients, columns: vec![(column, values.to_vec())] }
    }

    fn push(&mut self, patient: &str, values: &[f64]) {
        self.patients.push(patient.to_owned());
        for ((_, column), value) in self.columns.iter_mut().zip(values) {
            column.push(*value);
        }
    }

    fn remove(&mut self, row: usize) {
        self.patients.remove(row);
        for (_, column) in &mut self.columns {
            column.remove(row);
        }
    }

    fn write(&self, path: &std::path::Path) {
        let mut columns: Vec<(&str, ArrayRef)> =
            vec![("patient", Arc::new(StringArray::from(self.patients.clone())) as ArrayRef)];
        for (name, values) in &self.columns {
            columns.push((name, Arc::new(Float64Array::from(values.clone()))));
        }
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        if path.extension().is_some_and(|end| end == "parquet") {
            let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
            return;
        }
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        let mut text = format!("patient,{}\n", names.join(","));
        for (row, patient) in self.patients.iter().enumerate() {
            let values: Vec<String> = self.columns.iter().map(|(_, values)| values[row].to_string()).collect();
            text.push_str(&format!("{patient},{}\n", values.join(",")));
        }
        std::fs::write(path, text).unwrap();
    }
}

/// A station with its data, and the researcher who attacks it.
struct Target {
    world: World,
    node: Option<RunningNode>,
    researcher: HubClient,
    format: &'static str,
}

impl Target {
    /// A station that holds these tables by their labels, with these lines for each database and at the end of its
    /// configuration; nothing else is said.
    async fn new(format: &'static str, tables: &[(&str, &Table)], database: &str, more: &str) -> Target {
        let world = World::new().await;
        let folder = world.node_folder("example_org1");
        for (label, table) in tables {
            table.write(&folder.join(format!("{label}.{format}")));
        }
        let node = world
            .start_node_as_written("example_org1", |text| {
                let begin = text.find("databases:").unwrap();
                text.truncate(begin);
                text.push_str("databases:\n");
                for (label, _) in tables {
                    text.push_str(&format!(
                        "  - {{label: {label}, type: {format}, uri: {label}.{format}{database}}}\n"
                    ));
                }
                text.push_str(more);
            })
            .await;
        world.wait_for(2, true).await;
        let researcher = world.client("researcher").await;
        Target { world, node: Some(node), researcher, format }
    }

    /// The node ends and starts with another configuration.
    async fn start_anew(&mut self, change: impl FnOnce(&mut String)) {
        if let Some(node) = self.node.take() {
            node.stop().await;
        }
        self.world.wait_for(2, false).await;
        self.node = Some(self.world.start_node_as_written("example_org1", change).await);
        self.world.wait_for(2, true).await;
    }

    /// The data change.
    fn write(&self, label: &str, table: &Table) {
        table.write(&self.world.node_folder("example_org1").join(format!("{label}.{}", self.format)));
    }

    /// Sum and count of a column, with the status and the log of the run.
    async fn ask_with(&self, label: &str, arguments: Value) -> (Status, String, Value) {
        let mut spec = average("partial_average", &[2], arguments);
        spec.databases = vec![label.to_owned()];
        let task = self.researcher.create_task(&spec).await.unwrap();
        let (status, logs, results) = outcome(&self.researcher, task.id).await;
        (status, logs.concat(), results.into_iter().next().unwrap_or_default())
    }

    async fn ask(&self, label: &str, column: &str) -> Value {
        let (status, log, result) = self.ask_with(label, json!({"column_name": column})).await;
        assert_eq!(status, Status::Completed, "{log}");
        result
    }
}

/// Why a result is suppressed; it fails if it is not.
fn suppressed(result: &Value) -> &str {
    let reason = result["sum"]["suppressed"].as_str();
    reason.unwrap_or_else(|| panic!("it is not suppressed: {result}"))
}

/// Twelve values of which some are alike.
const AGES: [f64; 12] = [61.0, 62.0, 63.0, 64.0, 65.0, 66.0, 61.0, 62.0, 63.0, 64.0, 65.0, 66.0];
