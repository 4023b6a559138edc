//! The few pieces that run in the browser, one `#[island]` a file, and what they show. The only UI code that is
//! compiled to WebAssembly; the server renders the same code first.

#[cfg(feature = "hydrate")]
mod browser;
mod copy_button;
mod live_form;
mod results_table;
mod run_table;
mod status_badge;
mod task_live;
mod task_state;

pub use copy_button::CopyButton;
pub use live_form::LiveForm;
pub use results_table::ResultsView;
pub use status_badge::StatusBadge;
pub use task_live::TaskLive;
pub use task_state::{Cell, Help, ResultRow, Results, RunState, SubtaskState, TaskState};
