use serde::{Deserialize, Serialize};

/// The answer to a successful sign-in or refresh of a user (`user_url`) or a node (`node_url`).
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Tokens {
    pub access_token: String,
    pub refresh_token: String,
    #[serde(default)]
    pub refresh_url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_url: Option<String>,
    /// By which a browser is known from now on; our hub only, to pages that ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_browser: Option<String>,
}

/// The answer to `POST /token/user`: tokens, or a request for more.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SignInReply {
    Tokens(Tokens),
    /// The second factor has to be set up; the secret is already stored at the server.
    SetUpSecondFactor {
        qr_uri: String,
        otp_secret: String,
        #[serde(default)]
        msg: String,
    },
    /// A code of the second factor is needed.
    SecondFactor {
        msg: String,
    },
}

/// The answer to `POST /token/container`.
#[derive(Clone, Serialize, Deserialize)]
pub struct ContainerToken {
    pub container_token: String,
}
