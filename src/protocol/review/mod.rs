//! Reviews: an admin decides at a node, or at the hub for a node, whether a run may start and whether its result may
//! leave. vantage6 has nothing like it; these are the types of the hub's `/review` endpoints, of the event that tells
//! of them, and of what a node shows by itself.

mod digest;
mod report;
mod request;
mod state;

pub use report::{Finding, Report};
pub use request::{Asked, ParentTask, ReviewRequest, ReviewedDatabase};
pub use state::{
    AWAITING_RELEASE, AWAITING_REVIEW, Approval, Decision, NewReview, Review, ReviewChange, ReviewOutcome, ReviewState,
    RunReview, Subject, Verdict,
};
