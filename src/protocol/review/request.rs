use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::digest::sha256;
use crate::protocol::{bounded::values_of, domain::FunctionCall, payload::CALL_VALUES};

/// What somebody asks a node to do, as the node understood it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviewRequest {
    /// What a decision is bound to.
    pub asked: Asked,
    /// What the function does, in the words of whoever wrote it; empty if the node does not know.
    pub does: String,
    /// What leaves the organization; empty if the node does not know.
    pub discloses: String,
    pub task_id: i64,
    pub task_name: String,
    /// The description of the task.
    pub purpose: String,
    /// The task whose central function asks; `None`: a user does.
    pub parent_id: Option<i64>,
    /// What that task asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentTask>,
    /// What tells whether the databases are still the same; `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The requester's names, where the server tells them.
    pub username: Option<String>,
    pub requester_organization: Option<String>,
    /// The name of the organization that began the task whose central function asks.
    #[serde(default)]
    pub beginner_organization: Option<String>,
    /// What a reviewer should know: that somebody asks for the first time, for a database not asked for before, …
    pub unusual: Vec<String>,
}

/// The task whose central function asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParentTask {
    pub id: i64,
    pub name: String,
    pub function: String,
    pub args: Vec<Value>,
    pub kwargs: Map<String, Value>,
    /// The arguments are too long to be given beside those of the task.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_too_long: bool,
}

/// The most of a parent's arguments that is given, in bytes of JSON; …
const PARENT_BYTES: usize = 4 * 1024;
/// … and in values: what waits for a review is in memory, with that of its parent.
const PARENT_VALUES: usize = 100;

impl ParentTask {
    /// A task with its function; its arguments as far as they are short.
    pub fn new(id: i64, name: String, call: FunctionCall) -> ParentTask {
        let FunctionCall { function, args, kwargs, .. } = call;
        let length = json!([args, kwargs]).to_string().len();
        let values: usize = args.iter().chain(kwargs.values()).map(values_of).sum();
        match length > PARENT_BYTES || values > PARENT_VALUES {
            true => ParentTask { id, name, function, args: Vec::new(), kwargs: Map::new(), is_too_long: true },
            false => ParentTask { id, name, function, args, kwargs, is_too_long: false },
        }
    }
}

/// What a decision is bound to: change any of it, and it is another request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    pub image: String,
    /// Which code the image stands for: its digest, or the version of a function that is built in.
    pub digest: String,
    pub function: String,
    pub args: Vec<Value>,
    pub kwargs: Map<String, Value>,
    /// The whole call as it was written, where that is JSON of Python only, as with `NaN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
    pub databases: Vec<ReviewedDatabase>,
    /// The columns that it reads; `None`: not known.
    pub columns: Option<Vec<String>>,
    /// The organization whose data are used.
    pub organization_id: i64,
    pub collaboration_id: i64,
    /// Who asks, and for which organization. For a subtask that is the organization that aggregates.
    pub user_id: Option<i64>,
    pub requester_organization_id: Option<i64>,
    /// Who began the task whose central function asks; `None` if a user asks.
    #[serde(default)]
    pub beginner_user_id: Option<i64>,
    #[serde(default)]
    pub beginner_organization_id: Option<i64>,
    /// The organizations that asked on the way from the first task to the one that asks, if there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub between_organization_ids: Vec<i64>,
}

/// A database by its label, with query, sheet and preprocessing if there are any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviewedDatabase {
    pub label: String,
    pub parameters: Value,
}

/// The longest request as JSON, in bytes.
const SIZE_LIMIT: usize = 200 * 1024;
/// How deep arguments may be nested: a request is put into other JSON, which readers take to a depth of 128.
const DEPTH_LIMIT: usize = 32;
impl ReviewRequest {
    /// Who asks, in words: this user, of which organization, and through which other one if a central function asks.
    pub fn asked_by(&self, user: &str) -> String {
        let named =
            |name: &Option<String>, id: Option<i64>| name.clone().or_else(|| id.map(|id| format!("organization {id}")));
        let beginner = named(&self.beginner_organization, self.asked.beginner_organization_id);
        let beginner = beginner.map(|name| format!(" of {name}")).unwrap_or_default();
        match (named(&self.requester_organization, self.asked.requester_organization_id), self.parent_id) {
            (None, _) => user.to_owned(),
            (Some(organization), Some(_)) => format!("{user}{beginner}, through {organization}"),
            (Some(organization), None) => format!("{user} of {organization}"),
        }
    }

    /// Why nobody can review it: it is too long or too deep.
    pub fn check(&self) -> Result<(), &'static str> {
        let asked = &self.asked;
        let parameters = asked.databases.iter().map(|database| &database.parameters);
        let of_parent = self.parent.iter().flat_map(|parent| parent.args.iter().chain(parent.kwargs.values()));
        let values = asked.args.iter().chain(asked.kwargs.values()).chain(parameters).chain(of_parent);
        let mut number = 0;
        for value in values {
            if is_deeper(value, DEPTH_LIMIT) {
                return Err("the arguments are nested too deeply");
            }
            number += values_of(value);
        }
        if number > CALL_VALUES {
            return Err("the arguments have more than 10,000 values");
        }
        match serde_json::to_vec(self) {
            Ok(json) if json.len() <= SIZE_LIMIT => Ok(()),
            _ => Err("the arguments are longer than 200 kB"),
        }
    }
}

fn is_deeper(value: &Value, limit: usize) -> bool {
    match value {
        Value::Array(items) => limit == 0 || items.iter().any(|item| is_deeper(item, limit - 1)),
        Value::Object(object) => limit == 0 || object.values().any(|item| is_deeper(item, limit - 1)),
        _ => false,
    }
}

impl Asked {
    /// The function with its arguments.
    pub fn call(&self) -> FunctionCall {
        FunctionCall {
            function: self.function.clone(),
            args: self.args.clone(),
            kwargs: self.kwargs.clone(),
            written: self.written.clone(),
        }
    }

    /// The hash to which decisions are bound: SHA-256 in hexadecimal over every field.
    pub fn hash(&self) -> String {
        // A version of its own, so that a later set of fields can never have the hash of an earlier one.
        sha256(&json!({"atoll_review": 2, "asked": self}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_change_makes_another_hash() {
        let asked = Asked {
            image: "demo/average@sha256:0123".into(),
            digest: "sha256:0123".into(),
            function: "partial_average".into(),
            args: Vec::new(),
            kwargs: Map::from_iter([("column_name".to_owned(), json!("age"))]),
            written: None,
            databases: vec![ReviewedDatabase { label: "default".into(), parameters: json!({}) }],
            columns: Some(vec!["age".into()]),
            organization_id: 2,
            collaboration_id: 1,
            user_id: Some(5),
            requester_organization_id: Some(3),
            beginner_user_id: None,
            beginner_organization_id: None,
            between_organization_ids: Vec::new(),
        };
        let changes: [fn(&mut Asked); 14] = [
            |asked| asked.image.push('4'),
            |asked| asked.digest.push('4'),
            |asked| asked.function = "central_average".into(),
            |asked| asked.args.push(json!(1)),
            |asked| asked.kwargs["column_name"] = json!("height"),
            |asked| asked.written = Some("{}".into()),
            |asked| asked.databases[0].label = "other".into(),
            |asked| asked.databases[0].parameters = json!({"query": "SELECT 1"}),
            |asked| asked.organization_id = 3,
            |asked| asked.collaboration_id = 2,
            |asked| asked.user_id = None,
            |asked| asked.requester_organization_id = Some(4),
            |asked| asked.beginner_user_id = Some(6),
            |asked| asked.beginner_organization_id = Some(4),
        ];
        let mut hashes = vec![asked.hash()];
        for change in changes {
            let mut other = asked.clone();
            change(&mut other);
            hashes.push(other.hash());
        }
        let different: std::collections::HashSet<&String> = hashes.iter().collect();
        assert_eq!(different.len(), hashes.len());
        let read_back: Asked = serde_json::from_str(&serde_json::to_string(&asked).unwrap()).unwrap();
        assert_eq!(read_back.hash(), asked.hash());
    }
}
