//! What a node allows: the policies of its configuration, the decision about a request, and what is shared of them.
//! The node decides; whoever shows beforehand what it will say uses the same functions.

mod decision;
mod facts;
mod limits;
mod rules;

pub use decision::{Answer, Columns, Request, Requester, Store};
pub use limits::{Limits, TakingPart};
pub use rules::{DatabaseRule, FunctionRule, Ignored, ModeRule, Modes, Policies, ReleaseMode, ReviewMode};
