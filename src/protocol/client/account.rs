//! What can be done about an account without being signed in: recovery of password and second factor.

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::json;

use super::{
    ClientError, HubClient, SignIn, Transport,
    transport::{Answer, parse},
};
use crate::protocol::wire::v4;

async fn post(transport: &Transport, path: &str, body: &impl Serialize) -> Result<Answer, ClientError> {
    transport.send(Method::POST, path, &[], Some(body), None, &[]).await
}

/// Asks for a mail with a code that replaces the password. The server does not tell whether there is such a user.
pub async fn lost_password(transport: &Transport, name_or_email: &str) -> Result<(), ClientError> {
    let field = if name_or_email.contains('@') { "email" } else { "username" };
    post(transport, "recover/lost", &json!({field: name_or_email})).await.map(drop)
}

/// Replaces the password with the code of the mail.
pub async fn reset_password(
    transport: &Transport,
    code: &SecretString,
    password: &SecretString,
) -> Result<(), ClientError> {
    let body = json!({"reset_token": code.expose_secret(), "password": password.expose_secret()});
    post(transport, "recover/reset", &body).await.map(drop)
}

/// Asks for a mail with a code that replaces the second factor; the server's message.
pub async fn lost_second_factor(
    transport: &Transport,
    username: &str,
    password: &SecretString,
) -> Result<(), ClientError> {
    let body = json!({"username": username, "password": password.expose_secret()});
    post(transport, "recover/2fa/lost", &body).await.map(drop)
}

/// Replaces the second factor with the code of the mail; how the new one is set up.
pub async fn reset_second_factor(transport: &Transport, code: &SecretString) -> Result<SignIn, ClientError> {
    let answer = post(transport, "recover/2fa/reset", &json!({"reset_token": code.expose_secret()})).await?;
    Ok(parse::<v4::SignInReply>(&answer)?.into())
}

impl HubClient {
    /// Changes the password of who is signed in.
    pub async fn change_password(&self, current: &SecretString, new: &SecretString) -> Result<(), ClientError> {
        let body = json!({"current_password": current.expose_secret(), "new_password": new.expose_secret()});
        self.patch("password/change", &body).await
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
