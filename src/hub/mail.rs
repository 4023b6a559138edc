//! Mail over SMTP: off unless a server is named.

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};
use secrecy::{ExposeSecret, SecretString};

use super::HubError;

/// Where mail goes out.
pub struct MailOptions {
    /// `smtp://user:password@host:port` or `smtps://…`; `?tls=required` demands encryption.
    pub server: SecretString,
    /// The sender, such as `Atoll <atoll@example.org>`.
    pub from: String,
}

/// Sends mail.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// Prepares sending; connects with the first mail only.
    pub fn new(options: &MailOptions) -> Result<Self, HubError> {
        let invalid = |what: &str, error: &dyn std::fmt::Display| HubError::Options(format!("{what}: {error}"));
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(options.server.expose_secret())
            .map_err(|error| invalid("the address of the mail server", &error))?
            .timeout(Some(std::time::Duration::from_secs(20)))
            .build();
        let from = options.from.parse().map_err(|error| invalid("the sender of mail", &error))?;
        Ok(Mailer { transport, from })
    }

    /// Sends a text.
    pub async fn send(&self, to: &str, subject: &str, text: String) -> Result<(), HubError> {
        let internal = |error: &dyn std::fmt::Display| HubError::Internal(format!("mail: {error}"));
        let message = Message::builder()
            .from(self.from.clone())
            .to(to.parse().map_err(|error| internal(&error))?)
            .subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .map_err(|error| internal(&error))?;
        self.transport.send(message).await.map_err(|error| internal(&error))?;
        Ok(())
    }
}
