//! How functions are run: those built in, and those of a command that the node's configuration names.

mod built_in;
mod call;
mod code;
mod environment;
mod leftover;
mod process;

pub use call::{About, Output, about, check, digest, run};
pub use code::warn_of_missing_code;
pub use environment::is_variable;
pub use leftover::{clear, folder_of_runs};
pub use process::ProcessError;
