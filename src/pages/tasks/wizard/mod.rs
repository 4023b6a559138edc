//! The wizard that creates a task: one server-side form a step, at `/tasks/new`. What was typed is kept in a draft
//! beside the sessions; each answer narrows the next.

mod arguments;
mod data;
mod form;
mod handlers;
mod preflight;
mod python;
mod repeat;
mod spec;
mod step;
mod view;

pub use handlers::{save, show, submit};
pub use repeat::draft_of;
pub use step::{Step, address};
