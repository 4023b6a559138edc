//! One's own account at Atoll's hub; vantage6 has nothing of the kind.

use serde::{Deserialize, Serialize};

use super::wire::v4::Tokens;

/// To an account one mail for recovery is sent in so many minutes.
pub const MINUTES_BETWEEN_MAILS: i64 = 15;

/// The answer to `GET /account`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnAccount {
    /// Whether signing in needs a code beside the password.
    pub second_factor: bool,
    /// Whether everybody needs one, so that it cannot be removed.
    pub second_factor_is_obligatory: bool,
    /// How many recovery codes were not used yet.
    pub recovery_codes: i64,
    /// Whether the hub sends notices by mail at all.
    pub notices_by_mail: bool,
    /// Whether this user decides reviews, and hears of those that wait.
    pub decides_reviews: bool,
    pub notice_of_reviews: bool,
    pub notice_of_tasks: bool,
    /// What others changed of how this user signs in, the newest first.
    #[serde(default)]
    pub messages: Vec<AccountMessage>,
}

/// What somebody changed of how a user signs in, or of the nodes and people of whose organization they are an admin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountMessage {
    pub id: i64,
    /// UTC.
    pub at: String,
    pub what: String,
    pub seen: bool,
}

/// New recovery codes, in the only answer that ever holds them.
#[derive(Clone, Serialize, Deserialize)]
pub struct RecoveryCodes {
    pub recovery_codes: Vec<String>,
    /// New tokens, where those that there were have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
}
