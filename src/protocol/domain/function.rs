use serde_json::Value;

use super::text_of;
use crate::protocol::wire::v4;

/// An algorithm of a store: an image with functions.
#[derive(Debug, Clone, PartialEq)]
pub struct Algorithm {
    /// The store's id of it.
    pub id: i64,
    pub name: String,
    pub description: String,
    /// With its digest, if the store knows one.
    pub image: String,
    pub functions: Vec<Function>,
}

/// Where a function runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitioning {
    /// At one organization; it creates subtasks and aggregates their results (3.x: master).
    Central,
    /// At every chosen organization beside the data (3.x: RPC method; in stores: federated).
    Partial,
}

/// A function of an algorithm.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    pub name: String,
    pub display_name: String,
    pub description: String,
    pub partitioning: Partitioning,
    /// Whether it makes sense to call it by itself.
    pub standalone: bool,
    pub databases: Vec<FunctionDatabase>,
    pub arguments: Vec<Argument>,
}

/// A database that a function works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionDatabase {
    pub name: String,
    pub description: String,
}

/// The type of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentType {
    String,
    Integer,
    Float,
    Boolean,
    Json,
    Column,
    Organization,
    StringList,
    IntegerList,
    FloatList,
    ColumnList,
    OrganizationList,
}

/// An argument of a function.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    pub id: i64,
    pub name: String,
    pub display_name: String,
    pub description: String,
    pub kind: ArgumentType,
    /// `None`: it has to be given. `Some(None)`: null is its default.
    pub default: Option<Option<String>>,
    pub allowed_values: Vec<String>,
    pub condition: Option<Condition>,
    /// Only steers the form; it is not sent.
    pub frontend_only: bool,
}

/// An argument applies only if another has a certain value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub argument_id: i64,
    /// `==`, `!=`, `>`, `<`, `>=`, `<=`.
    pub operator: String,
    /// Empty: nothing is given.
    pub value: String,
}

impl ArgumentType {
    /// By the name in a store; a name that this version does not know is asked for as JSON.
    pub fn from_wire(name: &str) -> Self {
        match name {
            "string" => ArgumentType::String,
            "integer" => ArgumentType::Integer,
            "float" => ArgumentType::Float,
            "boolean" => ArgumentType::Boolean,
            "column" => ArgumentType::Column,
            "organization" => ArgumentType::Organization,
            "string_list" => ArgumentType::StringList,
            "integer_list" => ArgumentType::IntegerList,
            "float_list" => ArgumentType::FloatList,
            "column_list" => ArgumentType::ColumnList,
            "organization_list" => ArgumentType::OrganizationList,
            _ => ArgumentType::Json,
        }
    }
}

impl From<v4::StoreAlgorithm> for Algorithm {
    fn from(wire: v4::StoreAlgorithm) -> Self {
        let image = match wire.digest {
            Some(digest) if !digest.is_empty() && !wire.image.contains('@') => format!("{}@{digest}", wire.image),
            _ => wire.image,
        };
        Algorithm {
            id: wire.id,
            name: wire.name,
            description: text_of(wire.description),
            image,
            functions: wire.functions.into_iter().map(Function::from).collect(),
        }
    }
}

impl From<v4::Function> for Function {
    fn from(wire: v4::Function) -> Self {
        Function {
            display_name: wire.display_name.filter(|name| !name.is_empty()).unwrap_or_else(|| wire.name.clone()),
            name: wire.name,
            description: text_of(wire.description),
            partitioning: match wire.kind.as_str() {
                "central" => Partitioning::Central,
                _ => Partitioning::Partial,
            },
            standalone: wire.standalone.unwrap_or(true),
            databases: wire
                .databases
                .into_iter()
                .map(|database| FunctionDatabase { name: database.name, description: text_of(database.description) })
                .collect(),
            arguments: wire.arguments.into_iter().map(Argument::from).collect(),
        }
    }
}

impl From<v4::Argument> for Argument {
    fn from(wire: v4::Argument) -> Self {
        let condition = match (wire.conditional_on_id, wire.conditional_operator) {
            (Some(argument_id), Some(operator)) => {
                Some(Condition { argument_id, operator, value: wire.conditional_value.unwrap_or_default() })
            }
            _ => None,
        };
        Argument {
            id: wire.id,
            display_name: wire.display_name.filter(|name| !name.is_empty()).unwrap_or_else(|| wire.name.clone()),
            name: wire.name,
            description: text_of(wire.description),
            kind: ArgumentType::from_wire(&wire.kind),
            default: wire.has_default_value.then_some(wire.default_value),
            allowed_values: wire
                .allowed_values
                .into_iter()
                .map(|allowed| match allowed.value {
                    Value::String(text) => text,
                    value => value.to_string(),
                })
                .collect(),
            condition,
            frontend_only: wire.is_frontend_only,
        }
    }
}
