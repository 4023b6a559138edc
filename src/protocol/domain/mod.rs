//! What the rest of the program works with: the protocol's things without its wire forms. Conversions from the
//! wire stand beside each type, so that another version of the protocol adds conversions and nothing else.

mod account;
mod collaboration;
mod function;
mod missing_value;
mod node;
mod organization;
mod run;
mod task;
mod user;

pub use account::{Account, Role, RuleItem};
pub use collaboration::{Collaboration, Study};
pub use function::{Algorithm, Argument, ArgumentType, Condition, Function, FunctionDatabase, Partitioning};
pub use missing_value::MissingValue;
pub use node::{Node, NodeDatabase};
pub use organization::Organization;
pub use run::{ANSWERED_AT, FunctionCall, Run, RunNode, RunResult};
pub use task::{Task, TaskSpec};
pub use user::{Operation, Rule, Scope, User};

use crate::protocol::wire::v4::Link;

fn id_of(link: Option<Link>) -> Option<i64> {
    link.map(|link| link.id)
}

fn text_of(text: Option<String>) -> String {
    text.unwrap_or_default()
}
