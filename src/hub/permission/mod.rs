//! Who may do what: the rules that exist, the roles that every hub starts with, and the check of a caller.

mod caller;
mod default_role;
mod rule;

pub use caller::{Authority, Caller, CallerKind, Reach};
pub use default_role::{DEFAULT_ROLES, rules_of_container, rules_of_node};
pub use rule::{Permission, RULES, Resource};
