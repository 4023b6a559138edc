//! What is wrong with a hub of ours; servers of vantage6 do not say.

use serde::{Deserialize, Serialize};

/// Something that Root should know of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What is wrong, in a sentence or two.
    pub text: String,
    /// Since when, or when it was noted last (UTC).
    pub since: String,
}
