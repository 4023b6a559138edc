//! Notices: that a review waits, that a task has ended. By mail to those whom it concerns, or to a webhook; off unless
//! they are asked for. They name what it is about and hold nothing of it.

use serde::Serialize;
use sqlx::SqliteConnection;
use url::Url;

use super::{HubError, job, permission::Caller, resource::DECIDERS, server::HubState};
use crate::protocol::timestamp;

/// Messages that are kept of each account when they have been seen, …
const SEEN_MESSAGES: u32 = 50;
/// … and at most.
const MESSAGES: u32 = 500;

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

/// Which notices there are to be.
pub struct Notices {
    by_mail: bool,
    by_webhook: bool,
}

impl Notices {
    pub fn new(options: &NoticeOptions) -> Notices {
        Notices { by_mail: options.by_mail, by_webhook: options.webhook.is_some() }
    }

    /// Whether they come by mail, so that it makes sense to say which are wanted.
    pub fn are_mailed(&self) -> bool {
        self.by_mail
    }
}

/// Has a notice told, as a part of the change that it tells of. Afterwards the jobs have to be woken.
pub async fn tell(connection: &mut SqliteConnection, hub: &HubState, notice: &Notice) -> Result<(), HubError> {
    if hub.notices.by_webhook {
        let body = serde_json::to_string(notice).map_err(|error| HubError::Internal(error.to_string()))?;
        job::post(connection, &body).await?;
    }
    if hub.notices.by_mail {
        mail(connection, hub, notice).await?;
    }
    Ok(())
}

async fn mail(connection: &mut SqliteConnection, hub: &HubState, notice: &Notice) -> Result<(), HubError> {
    let (recipients, subject, text) = match notice {
        Notice::ReviewWaits { review_id, organization_id, .. } => {
            let recipients: Vec<String> = sqlx::query_scalar(&format!(
                "SELECT email FROM user WHERE organization_id = ? AND disabled = 0 AND notice_of_reviews = 1
                 AND id IN ({DECIDERS})"
            ))
            .bind(organization_id)
            .fetch_all(&mut *connection)
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
            .fetch_all(&mut *connection)
            .await?;
            let text = format!("Your task {task_id} has ended: {status}.\n\n{}/tasks/{task_id}\n", hub.public_url);
            (recipients, format!("Atoll: your task {task_id} has ended"), text)
        }
    };
    for recipient in recipients {
        job::mail(connection, &recipient, &subject, &text).await?;
    }
    Ok(())
}

/// Tells the admins of an organization what a caller from elsewhere did there, as [`tell_user`]. Deactivated admins are
/// told, too: else somebody could deactivate them first and do the rest unseen. Where nobody decides everybody is told.
/// Nobody is told what their own admins do.
pub async fn tell_admins(
    connection: &mut SqliteConnection,
    hub: &HubState,
    caller: &Caller,
    organization_id: i64,
    what: &str,
) -> Result<(), HubError> {
    if !caller.is_foreign(organization_id) {
        return Ok(());
    }
    let people = sqlx::query_as("SELECT id, email FROM user WHERE organization_id = ?").bind(organization_id);
    let people: Vec<(i64, String)> = people.fetch_all(&mut *connection).await?;
    let deciders: Vec<i64> = sqlx::query_scalar(DECIDERS).fetch_all(&mut *connection).await?;
    let has_admins = people.iter().any(|(id, _)| deciders.contains(id));
    for (id, address) in people.into_iter().filter(|(id, _)| !has_admins || deciders.contains(id)) {
        tell_user(connection, hub, id, &[&address], what).await?;
    }
    Ok(())
}

/// Tells a user on the page of their account, and by mail to these addresses, that somebody touched how they sign in.
pub async fn tell_user(
    connection: &mut SqliteConnection,
    hub: &HubState,
    user_id: i64,
    addresses: &[&str],
    what: &str,
) -> Result<(), HubError> {
    // The same again and again does not push out what else was told.
    sqlx::query("DELETE FROM account_message WHERE user_id = ? AND what = ?")
        .bind(user_id)
        .bind(what)
        .execute(&mut *connection)
        .await?;
    sqlx::query("INSERT INTO account_message (user_id, at, what) VALUES (?, ?, ?)")
        .bind(user_id)
        .bind(timestamp::now())
        .bind(what)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "DELETE FROM account_message WHERE user_id = ?1
         AND (seen = 1 AND id NOT IN (SELECT id FROM account_message WHERE user_id = ?1 ORDER BY id DESC LIMIT ?2)
             OR id NOT IN (SELECT id FROM account_message WHERE user_id = ?1 ORDER BY id DESC LIMIT ?3))",
    )
    .bind(user_id)
    .bind(SEEN_MESSAGES)
    .bind(MESSAGES)
    .execute(&mut *connection)
    .await?;
    if hub.mailer.is_none() {
        return Ok(());
    }
    let text = format!(
        "{what}\n\nIf this is not as it should be, tell the administrators of your organization at once.\n\n{}\n",
        hub.public_url
    );
    for address in addresses {
        job::mail(connection, address, "Atoll: a change of your account", &text).await?;
    }
    Ok(())
}
