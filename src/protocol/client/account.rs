//! One's own account, and what can be done about it without being signed in: recovery of password and second factor.

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    ClientError, HubClient, SignIn, Transport,
    transport::{Answer, parse},
};
use crate::protocol::{
    account::{OwnAccount, RecoveryCodes},
    wire::v4,
};

async fn post(
    transport: &Transport,
    path: &str,
    body: &impl Serialize,
    headers: &[(&'static str, String)],
) -> Result<Answer, ClientError> {
    transport.send(Method::POST, path, &[], Some(body), None, headers).await
}

/// Asks for a mail with a code that replaces the password. The server does not tell whether there is such a user.
pub async fn lost_password(
    transport: &Transport,
    name_or_email: &str,
    headers: &[(&'static str, String)],
) -> Result<(), ClientError> {
    let field = if name_or_email.contains('@') { "email" } else { "username" };
    post(transport, "recover/lost", &json!({field: name_or_email}), headers).await.map(drop)
}

/// Replaces the password with the code of the mail.
pub async fn reset_password(
    transport: &Transport,
    code: &SecretString,
    password: &SecretString,
    headers: &[(&'static str, String)],
) -> Result<(), ClientError> {
    let body = json!({"reset_token": code.expose_secret(), "password": password.expose_secret()});
    post(transport, "recover/reset", &body, headers).await.map(drop)
}

/// Asks for a mail with a code that replaces the second factor; the server's message.
pub async fn lost_second_factor(
    transport: &Transport,
    username: &str,
    password: &SecretString,
    headers: &[(&'static str, String)],
) -> Result<(), ClientError> {
    let body = json!({"username": username, "password": password.expose_secret()});
    post(transport, "recover/2fa/lost", &body, headers).await.map(drop)
}

/// Replaces the second factor with the code of the mail; how the new one is set up.
pub async fn reset_second_factor(
    transport: &Transport,
    code: &SecretString,
    headers: &[(&'static str, String)],
) -> Result<SignIn, ClientError> {
    let answer = post(transport, "recover/2fa/reset", &json!({"reset_token": code.expose_secret()}), headers).await?;
    Ok(parse::<v4::SignInReply>(answer).await?.into())
}

/// What shows that it is really the user: their password and, if they have a second factor, a code.
pub struct Proof {
    pub password: SecretString,
    pub code: String,
}

impl Proof {
    fn body(&self) -> Value {
        json!({"password": self.password.expose_secret(), "mfa_code": self.code})
    }
}

/// An answer that may bring new tokens: that of a vantage6 server does not.
#[derive(Deserialize)]
struct Renewed {
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    refresh_token: String,
}

impl Renewed {
    fn tokens(self) -> Option<v4::Tokens> {
        let Renewed { access_token, refresh_token } = self;
        (!access_token.is_empty()).then(|| v4::Tokens { access_token, refresh_token, ..Default::default() })
    }
}

/// One's own account; besides the password our hub only.
impl HubClient {
    /// How the own account is set up.
    pub async fn own_account(&self) -> Result<OwnAccount, ClientError> {
        self.get("account", &[]).await
    }

    /// Says which notices are wanted by mail.
    pub async fn want_notices(&self, of_reviews: bool, of_tasks: bool) -> Result<(), ClientError> {
        self.patch("account", &json!({"notice_of_reviews": of_reviews, "notice_of_tasks": of_tasks})).await
    }

    /// Says that the messages of the own account were seen, up to this one.
    pub async fn saw_messages(&self, until: i64) -> Result<(), ClientError> {
        self.patch("account", &json!({"seen_until": until})).await
    }

    /// Ends all tokens of who is signed in, these too.
    pub async fn end_own_sessions(&self) -> Result<(), ClientError> {
        self.post::<Value>("account/end-sessions", &json!({})).await.map(drop)
    }

    /// Begins a new second factor, which holds after its first code.
    pub async fn begin_second_factor(&self, proof: &Proof) -> Result<SignIn, ClientError> {
        Ok(self.post::<v4::SignInReply>("account/second-factor", &proof.body()).await?.into())
    }

    /// Gives the first code of the second factor that was begun; the recovery codes.
    pub async fn confirm_second_factor(&self, code: &str) -> Result<Vec<String>, ClientError> {
        let body = json!({"mfa_code": code});
        let answer: RecoveryCodes = self.post("account/second-factor/confirm", &body).await?;
        self.go_on_with(answer.tokens);
        Ok(answer.recovery_codes)
    }

    pub async fn remove_second_factor(&self, proof: &Proof) -> Result<(), ClientError> {
        let answer: Renewed = self.post("account/second-factor/remove", &proof.body()).await?;
        self.go_on_with(answer.tokens());
        Ok(())
    }

    /// New recovery codes; those of before are gone.
    pub async fn new_recovery_codes(&self, proof: &Proof) -> Result<Vec<String>, ClientError> {
        Ok(self.post::<RecoveryCodes>("account/recovery-codes", &proof.body()).await?.recovery_codes)
    }

    /// Changes the password of who is signed in.
    pub async fn change_password(&self, current: &SecretString, new: &SecretString) -> Result<(), ClientError> {
        let body = json!({"current_password": current.expose_secret(), "new_password": new.expose_secret()});
        let answer: Renewed = self.patch_for("password/change", &body).await?;
        self.go_on_with(answer.tokens());
        Ok(())
    }

    /// Changes the own e-mail address, which needs what signing in needs; our hub only.
    pub async fn change_email(&self, email: &str, proof: &Proof) -> Result<(), ClientError> {
        let mut body = proof.body();
        body["email"] = json!(email);
        let answer: Renewed = self.post("account/email", &body).await?;
        self.go_on_with(answer.tokens());
        Ok(())
    }

    /// After a change that ended all tokens, with those that the answer brought.
    fn go_on_with(&self, tokens: Option<v4::Tokens>) {
        if let Some(tokens) = tokens {
            self.set_tokens(tokens.into());
        }
    }
}

/// The message of a refusal that is fit to be shown at a field: that of the first field, else the general one.
pub fn refusal(error: &ClientError) -> Option<String> {
    match error {
        ClientError::Rejected { message, errors, .. } => {
            Some(errors.values().flatten().next().cloned().unwrap_or_else(|| message.clone()))
        }
        ClientError::NotAllowed(message) => Some(message.clone()),
        _ => None,
    }
}
