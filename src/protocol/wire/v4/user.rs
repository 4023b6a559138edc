use serde::{Deserialize, Serialize};

use super::{Included, Link};

/// A user. The official 4.x server adds `otp_secret` to it; this struct does not have the field, so that it is
/// dropped where it comes in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub id: i64,
    #[serde(rename = "type", default = "user_type")]
    pub kind: String,
    pub username: String,
    #[serde(default)]
    pub firstname: Option<String>,
    #[serde(default)]
    pub lastname: Option<String>,
    #[serde(default)]
    pub email: Option<String>,
    #[serde(default)]
    pub ip: Option<String>,
    #[serde(default)]
    pub last_seen: Option<String>,
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub last_email_failed_login_sent: Option<String>,
    #[serde(default)]
    pub last_email_recover_password_sent: Option<String>,
    #[serde(default)]
    pub roles: Included<Role>,
    #[serde(default)]
    pub rules: Included<Rule>,
    pub organization: Option<Link>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
    /// Whether they may not sign in any more. Of our hub only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
}

fn user_type() -> String {
    "user".to_owned()
}

/// What `include_permissions=1` adds to a user: ids of roles, of all rules, and of the organizations that share
/// a collaboration with the user's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    pub roles: Vec<i64>,
    pub rules: Vec<i64>,
    pub orgs_in_collabs: Vec<i64>,
}

/// A named set of rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Role {
    pub id: i64,
    pub name: String,
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    pub is_default_role: bool,
    #[serde(default)]
    pub rules: Included<Rule>,
    #[serde(default)]
    pub users: Included<User>,
    #[serde(default)]
    pub organization: Option<Link>,
}

/// The permission for one operation on one kind of resource (`name`) within a scope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    pub id: i64,
    pub name: String,
    #[serde(default)]
    pub description: Option<String>,
    pub scope: String,
    pub operation: String,
    #[serde(default)]
    pub users: Included<User>,
}
