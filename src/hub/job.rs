//! What is to be told to somebody outside: mails and posts to the webhook. A job is written in the transaction of what
//! it tells, so that neither is there without the other, and tried again until it is done. One that fails for good stands
//! in the audit log.

use std::{sync::Weak, time::Duration};

use jiff::Timestamp;
use sqlx::{FromRow, SqliteConnection};
use tokio::{sync::Notify, time::timeout};
use url::Url;

use super::{HubError, secret::SecretKey, server::HubState};
use crate::audit::{self, Entry};

/// Pauses between attempts, in seconds: a mail server may be away for a day.
const PAUSES: [i64; 9] = [1, 5, 30, 120, 600, 3_600, 6 * 3_600, 12 * 3_600, 24 * 3_600];
/// How often it is looked without being told of a job.
const LOOK: Duration = Duration::from_secs(15);
/// Jobs that are tried in one round.
const ROUND: i64 = 20;

/// Wakes who sends, after a transaction with jobs.
#[derive(Default)]
pub struct Jobs {
    wake: Notify,
}

impl Jobs {
    /// To be called after the transaction.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}

#[derive(FromRow)]
struct Row {
    id: i64,
    kind: String,
    recipient: String,
    subject: String,
    body: String,
    attempts: i64,
    until: Option<i64>,
}

/// For what bodies with codes are encrypted.
const CODE: &str = "mail";

/// Has a mail sent.
pub async fn mail(
    connection: &mut SqliteConnection,
    recipient: &str,
    subject: &str,
    text: &str,
) -> Result<(), HubError> {
    sqlx::query("INSERT INTO job (kind, recipient, subject, body, next_at) VALUES ('mail', ?, ?, ?, unixepoch())")
        .bind(recipient)
        .bind(subject)
        .bind(text)
        .execute(connection)
        .await?;
    Ok(())
}

/// Has a mail sent with a code in it, which ends after so many seconds: it is stored encrypted, and not sent any more then.
pub async fn mail_code(
    connection: &mut SqliteConnection,
    key: &SecretKey,
    recipient: &str,
    subject: &str,
    text: &str,
    seconds: i64,
) -> Result<(), HubError> {
    sqlx::query(
        "INSERT INTO job (kind, recipient, subject, body, next_at, until)
         VALUES ('mail', ?, ?, ?, unixepoch(), unixepoch() + ?)",
    )
    .bind(recipient)
    .bind(subject)
    .bind(key.seal(CODE, text.as_bytes())?)
    .bind(seconds)
    .execute(connection)
    .await?;
    Ok(())
}

/// Has JSON posted to the webhook.
pub async fn post(connection: &mut SqliteConnection, body: &str) -> Result<(), HubError> {
    sqlx::query("INSERT INTO job (kind, body, next_at) VALUES ('webhook', ?, unixepoch())")
        .bind(body)
        .execute(connection)
        .await?;
    Ok(())
}

/// Does jobs for as long as the hub is there.
pub async fn do_all(hub: Weak<HubState>, webhook: Option<Url>) {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).redirect(reqwest::redirect::Policy::none());
    let Ok(http) = http.build() else { return };
    loop {
        let Some(strong) = hub.upgrade() else { return };
        let did = match round(&strong, &http, webhook.as_ref()).await {
            Ok(did) => did,
            Err(error) => {
                tracing::error!(%error, "notices cannot be sent");
                0
            }
        };
        if did < ROUND as usize {
            // Not held while it waits, or the hub would never end; a job is noticed at the next look at the latest.
            let wake = timeout(LOOK, strong.jobs.wake.notified());
            let soon = timeout(Duration::from_secs(1), std::future::pending::<()>());
            tokio::select! { _ = wake => {}, _ = soon => {} }
        }
        drop(strong);
    }
}

async fn round(hub: &HubState, http: &reqwest::Client, webhook: Option<&Url>) -> Result<usize, HubError> {
    let jobs: Vec<Row> = sqlx::query_as(
        "SELECT id, kind, recipient, subject, body, attempts, until FROM job WHERE next_at <= unixepoch() ORDER BY next_at, id
         LIMIT ?",
    )
    .bind(ROUND)
    .fetch_all(hub.store.reader())
    .await?;
    // Before anything is sent: what cannot be noted must not be sent again and again.
    for job in &jobs {
        sqlx::query("UPDATE job SET next_at = unixepoch() + 60 WHERE id = ?")
            .bind(job.id)
            .execute(hub.store.bookkeeping())
            .await?;
    }
    let tried = futures::future::join_all(jobs.iter().map(|job| attempt(hub, http, webhook, job))).await;
    for (job, outcome) in jobs.iter().zip(tried) {
        match outcome {
            Ok(()) => {
                sqlx::query("DELETE FROM job WHERE id = ?").bind(job.id).execute(hub.store.bookkeeping()).await?;
            }
            Err(reason) => put_off(hub, job, &reason).await?,
        }
    }
    Ok(jobs.len())
}

async fn attempt(hub: &HubState, http: &reqwest::Client, webhook: Option<&Url>, job: &Row) -> Result<(), String> {
    match (job.kind.as_str(), &hub.mailer, webhook) {
        ("mail", Some(mailer), _) => {
            // What is not encrypted is taken as it is.
            let text = hub.secret_key.open_text(CODE, &job.body).map_err(|error| error.to_string())?;
            mailer.send(&job.recipient, &job.subject, text).await.map_err(|error| error.to_string())
        }
        ("webhook", _, Some(url)) => {
            let request = http.post(url.clone()).header("content-type", "application/json").body(job.body.clone());
            match request.send().await {
                Ok(answer) if answer.status().is_success() => Ok(()),
                Ok(answer) => Err(format!("the webhook answers {}", answer.status().as_u16())),
                // The address can hold a secret.
                Err(error) => Err(error.without_url().to_string()),
            }
        }
        // Neither is configured any more.
        _ => Ok(()),
    }
}

async fn put_off(hub: &HubState, job: &Row, reason: &str) -> Result<(), HubError> {
    let pause = usize::try_from(job.attempts).ok().and_then(|attempts| PAUSES.get(attempts));
    let pause = pause.filter(|pause| job.until.is_none_or(|until| Timestamp::now().as_second() + **pause < until));
    let mut transaction = hub.store.bookkeeping().begin().await?;
    match pause {
        Some(seconds) => {
            tracing::warn!(job = job.id, kind = job.kind, reason, seconds, "a notice is tried again later");
            sqlx::query("UPDATE job SET attempts = attempts + 1, next_at = unixepoch() + ? WHERE id = ?")
                .bind(seconds)
                .bind(job.id)
                .execute(&mut *transaction)
                .await?;
        }
        None => {
            tracing::error!(job = job.id, kind = job.kind, reason, "a notice is given up");
            let what = if job.subject.is_empty() { &job.kind } else { &job.subject };
            let entry = Entry::done("system", "notice.fail", what.clone()).outcome("failed").details(reason);
            audit::append(&mut transaction, &entry).await?;
            sqlx::query("DELETE FROM job WHERE id = ?").bind(job.id).execute(&mut *transaction).await?;
        }
    }
    Ok(transaction.commit().await?)
}
