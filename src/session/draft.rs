use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A task that is being put together in the wizard: what was typed, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// Random; names the draft in addresses.
    pub id: String,
    pub collaboration_id: Option<i64>,
    /// Of a task that is repeated: its study narrows the collaboration.
    #[serde(default)]
    pub study_id: Option<i64>,
    pub function: Option<FunctionChoice>,
    /// Typed for another image, kept also while a function of a store is chosen.
    pub other: OtherImage,
    /// Where a partial function runs.
    pub organizations: Vec<i64>,
    /// Where a central function runs.
    pub aggregate_at: Option<i64>,
    /// Whose data a central function uses.
    pub include: Vec<i64>,
    /// Database labels, one for each database of the function.
    pub databases: Vec<String>,
    /// Argument names with what was typed; lists have several entries.
    pub arguments: BTreeMap<String, Vec<String>>,
    pub name: String,
    pub description: String,
    /// What was sent while the hub was away; it is taken over as soon as the hub is back.
    #[serde(default)]
    pub unsent: Option<Unsent>,
    /// The task that was created of it: pressing twice finds it here.
    pub task_id: Option<i64>,
}

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FunctionChoice {
    /// A function that an algorithm store describes.
    OfStore { store_id: i64, algorithm_id: i64, function: String },
    /// Any image, method and JSON arguments.
    Other,
}

/// The fields of a step's form, as they were sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Unsent {
    pub step: String,
    pub fields: Vec<(String, String)>,
}

/// Image, method and arguments as they were typed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OtherImage {
    pub image: String,
    pub method: String,
    /// JSON text of an object.
    pub kwargs: String,
    /// Positional arguments of a task that is repeated; the wizard does not ask for them.
    #[serde(default)]
    pub args: Vec<Value>,
    pub central: bool,
}

impl Draft {
    /// An empty draft with a random id.
    pub fn new() -> Self {
        Draft { id: uuid::Uuid::new_v4().simple().to_string(), ..Default::default() }
    }
}
