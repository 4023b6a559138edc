//! Notices: that a review waits, that a task has ended. By mail to those whom it concerns, or to a webhook; off unless
//! they are asked for. They name what it is about and hold nothing of it.

use std::{sync::Weak, time::Duration};

use serde::Serialize;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::sleep,
};
use url::Url;

use super::{HubError, resource::DECIDERS, server::HubState};

/// Pauses between attempts to reach a webhook.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)];

/// Who is told.
#[derive(Debug, Clone, Default)]
pub struct NoticeOptions {
    /// Whether mails are sent; needs a mail server.
    pub by_mail: bool,
    /// Where each notice is posted as JSON.
    pub webhook: Option<Url>,
}

/// What somebody should know. Its JSON is what a webhook gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Notice {
    /// The first one that waits at an organization where nothing waited.
    ReviewWaits { review_id: i64, run_id: i64, organization_id: i64 },
    /// All runs of a task that a user created have ended.
    TaskEnded { task_id: i64, status: String },
}

/// The way to whoever sends them.
pub struct Notices {
    sender: Option<UnboundedSender<Notice>>,
    by_mail: bool,
}

impl Notices {
    /// With the end from which [`send_all`] takes them; without anybody to be told, nothing is kept.
    pub fn new(options: &NoticeOptions) -> (Notices, UnboundedReceiver<Notice>) {
        let (sender, receiver) = unbounded_channel();
        let wanted = options.by_mail || options.webhook.is_some();
        (Notices { sender: wanted.then_some(sender), by_mail: options.by_mail }, receiver)
    }

    /// Whether they come by mail, so that it makes sense to say which are wanted.
    pub fn are_mailed(&self) -> bool {
        self.by_mail
    }

    /// Tells, some time soon.
    pub fn tell(&self, notice: Notice) {
        if let Some(sender) = &self.sender {
            // Without a receiver the hub is ending.
            let _ = sender.send(notice);
        }
    }
}

/// Sends notices as long as the hub is there. What cannot be sent is logged and left.
pub async fn send_all(hub: Weak<HubState>, options: NoticeOptions, mut notices: UnboundedReceiver<Notice>) {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).redirect(reqwest::redirect::Policy::none());
    let Ok(http) = http.build() else { return };
    while let Some(notice) = notices.recv().await {
        let Some(hub) = hub.upgrade() else { return };
        if options.by_mail
            && let Err(error) = mail(&hub, &notice).await
        {
            tracing::error!(%error, "a notice was not mailed");
        }
        if let Some(url) = options.webhook.clone() {
            // One that hangs does not hold up the others.
            tokio::spawn(post(http.clone(), url, notice));
        }
    }
}

async fn post(http: reqwest::Client, url: Url, notice: Notice) {
    for pause in PAUSES.iter().map(Some).chain([None]) {
        match http.post(url.clone()).json(&notice).send().await {
            Ok(answer) if answer.status().is_success() => return,
            Ok(answer) => tracing::warn!(status = answer.status().as_u16(), "the webhook does not take a notice"),
            Err(error) => tracing::warn!(error = %error.without_url(), "the webhook cannot be reached"),
        }
        match pause {
            Some(pause) => sleep(*pause).await,
            None => tracing::error!("a notice did not reach the webhook"),
        }
    }
}

async fn mail(hub: &HubState, notice: &Notice) -> Result<(), HubError> {
    let Some(mailer) = &hub.mailer else { return Ok(()) };
    let (recipients, subject, text) = match notice {
        Notice::ReviewWaits { review_id, organization_id, .. } => {
            let recipients: Vec<String> = sqlx::query_scalar(&format!(
                "SELECT email FROM user WHERE organization_id = ? AND disabled = 0 AND notice_of_reviews = 1
                 AND id IN ({DECIDERS})"
            ))
            .bind(organization_id)
            .fetch_all(hub.store.reader())
            .await?;
            let text = format!(
                "Somebody asks to use the data of your organization, and waits for a decision of yours or of another \
                 admin:\n\n{}/reviews/{review_id}\n\nNo further mail comes as long as something waits.\n",
                hub.public_url
            );
            (recipients, "Atoll: a review waits".to_owned(), text)
        }
        Notice::TaskEnded { task_id, status } => {
            let recipients: Vec<String> = sqlx::query_scalar(
                "SELECT email FROM user JOIN task ON init_user_id = user.id
                 WHERE task.id = ? AND disabled = 0 AND notice_of_tasks = 1",
            )
            .bind(task_id)
            .fetch_all(hub.store.reader())
            .await?;
            let text = format!("Your task {task_id} has ended: {status}.\n\n{}/tasks/{task_id}\n", hub.public_url);
            (recipients, format!("Atoll: your task {task_id} has ended"), text)
        }
    };
    for recipient in recipients {
        // One whose address is wrong does not keep it from the others.
        if let Err(error) = mailer.send(&recipient, &subject, text.clone()).await {
            tracing::error!(%error, "a notice was not mailed");
        }
    }
    Ok(())
}
