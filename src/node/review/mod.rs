//! Reviews at the node: a run that needs one waits here until an admin has decided, at the hub or at the node itself.
//! Nothing that another client or the server does starts it.

mod command;
mod hub;
mod release;
mod wait;

pub use command::{CommandError, Decide, decide, end_of_day, facts_of, list, page_code, show, subject_words};
pub use hub::{end_those_that_are_gone, is_gone, keep_hub_informed};
pub use release::{Outcome, failure, held, kept_form, release, release_kept, wait_for_release};
pub use wait::obtain;
