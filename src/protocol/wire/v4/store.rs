use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An algorithm store that a server links to one collaboration, or to all (`collaborations` null).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoreLink {
    pub id: i64,
    pub name: String,
    pub url: String,
    #[serde(default)]
    pub collaborations: Option<String>,
}

/// An algorithm in a store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoreAlgorithm {
    pub id: i64,
    pub name: String,
    #[serde(default)]
    pub description: Option<String>,
    pub image: String,
    #[serde(default)]
    pub digest: Option<String>,
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub code_url: Option<String>,
    #[serde(default)]
    pub documentation_url: Option<String>,
    #[serde(default)]
    pub partitioning: Option<String>,
    #[serde(default)]
    pub vantage6_version: Option<String>,
    #[serde(default)]
    pub submitted_at: Option<String>,
    #[serde(default)]
    pub approved_at: Option<String>,
    #[serde(default)]
    pub invalidated_at: Option<String>,
    #[serde(default)]
    pub submission_comments: Option<String>,
    #[serde(default)]
    pub developer_id: Option<i64>,
    #[serde(default)]
    pub reviews: Option<String>,
    #[serde(default)]
    pub functions: Vec<Function>,
}

/// A function of an algorithm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Function {
    pub id: i64,
    pub name: String,
    #[serde(default)]
    pub display_name: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
    /// `central` or `federated` (partial).
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it makes sense to call it by itself; missing means yes.
    #[serde(default)]
    pub standalone: Option<bool>,
    #[serde(default)]
    pub databases: Vec<Database>,
    #[serde(default)]
    pub arguments: Vec<Argument>,
    #[serde(default)]
    pub ui_visualizations: Vec<Visualization>,
}

/// A database that a function works on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Database {
    #[serde(default)]
    pub id: i64,
    pub name: String,
    #[serde(default)]
    pub description: Option<String>,
}

/// An argument of a function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Argument {
    #[serde(default)]
    pub id: i64,
    pub name: String,
    #[serde(default)]
    pub display_name: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
    /// `string`, `integer`, `float`, `boolean`, `json`, `column`, `organization`, or one of these with `_list`.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub has_default_value: bool,
    /// The default as text; null can be the default itself.
    #[serde(default)]
    pub default_value: Option<String>,
    #[serde(default)]
    pub conditional_on_id: Option<i64>,
    #[serde(default)]
    pub conditional_operator: Option<String>,
    #[serde(default)]
    pub conditional_value: Option<String>,
    #[serde(default)]
    pub is_frontend_only: bool,
    #[serde(default)]
    pub allowed_values: Vec<AllowedValue>,
}

/// One of the values that an argument may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AllowedValue {
    /// A text; a number where the argument is one.
    pub value: Value,
}

/// How a function's result is best shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Visualization {
    #[serde(default)]
    pub id: i64,
    pub name: String,
    #[serde(default)]
    pub description: Option<String>,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub schema: Value,
}
