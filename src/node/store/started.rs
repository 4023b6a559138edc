use std::collections::HashSet;

use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::{NodeStore, StoreError, decision::use_approval, review::details};
use crate::{
    algorithms,
    audit::{self, Entry},
    protocol::{
        review::{Asked, ReviewRequest},
        timestamp,
    },
};

/// A run that is about to start.
pub struct Start<'a> {
    pub run_id: i64,
    pub request: &'a ReviewRequest,
    pub hash: &'a str,
    /// What tells which data there are.
    pub data: Option<&'a str>,
    /// The most runs of a user on one day.
    pub per_day: Option<u32>,
    /// The review by whose approval it starts; `None` if it needs none.
    pub approval: Option<i64>,
}

/// What became of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    Yes,
    /// The user has started as many runs today as the policies allow.
    TooMany,
    /// The approval does not hold any more.
    NoApproval,
}

/// How what became of a run is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptOutcome {
    /// Nobody had to look at it when it was computed.
    Unseen,
    /// Somebody has let it leave.
    Released,
}

fn labels(asked: &Asked) -> String {
    let labels: Vec<&str> = asked.databases.iter().map(|database| database.label.as_str()).collect();
    serde_json::json!(labels).to_string()
}

fn columns(asked: &Asked) -> String {
    serde_json::json!(asked.columns).to_string()
}

impl NodeStore {
    /// Whether this run was started before with the same hash and has not ended: then it goes on after a restart.
    pub async fn has_started(&self, run_id: i64, hash: &str) -> Result<bool, StoreError> {
        has_started(&mut *self.pool.acquire().await?, run_id, hash).await
    }

    /// The data with which this run was started, where its approval holds for no others.
    pub async fn started_with(&self, run_id: i64, hash: &str) -> Result<Option<String>, StoreError> {
        let query = "SELECT data FROM started_run WHERE run_id = ? AND hash = ? AND ended_at IS NULL";
        let data: Option<Option<String>> =
            sqlx::query_scalar(query).bind(run_id).bind(hash).fetch_optional(&self.pool).await?;
        Ok(data.flatten())
    }

    /// Notes that a run was not computed though it was started: it needs another approval.
    pub async fn undo_start(&self, run_id: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE started_run SET ended_at = ? WHERE run_id = ?")
            .bind(timestamp::now())
            .bind(run_id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Notes that the server knows how a run has ended. A run that it calls open again begins anew, with a review.
    pub async fn end_run(&self, run_id: i64) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("UPDATE started_run SET ended_at = ? WHERE run_id = ?")
            .bind(timestamp::now())
            .bind(run_id)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM outcome WHERE run_id = ?").bind(run_id).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Keeps what became of a run until the server has it. A server that names the run again gets the same, and not what
    /// data that have changed would give.
    pub async fn keep_outcome(&self, run_id: i64, hash: &str, outcome: &str) -> Result<(), StoreError> {
        sqlx::query("INSERT OR REPLACE INTO outcome (run_id, hash, outcome) VALUES (?, ?, ?)")
            .bind(run_id)
            .bind(hash)
            .bind(outcome)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The same of a held result that may leave.
    pub async fn keep_released(&self, run_id: i64, hash: &str, review_id: i64) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT OR REPLACE INTO outcome (run_id, hash, outcome, is_released)
             SELECT ?, ?, result, 1 FROM review WHERE id = ? AND result IS NOT NULL",
        )
        .bind(run_id)
        .bind(hash)
        .bind(review_id)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Whether it is known what became of a run, and the server may not know it yet.
    pub async fn kept_outcome(&self, run_id: i64, hash: &str) -> Result<Option<KeptOutcome>, StoreError> {
        let query = sqlx::query_scalar("SELECT is_released FROM outcome WHERE run_id = ? AND hash = ?");
        let is_released: Option<bool> = query.bind(run_id).bind(hash).fetch_optional(&self.pool).await?;
        Ok(is_released.map(|is_released| if is_released { KeptOutcome::Released } else { KeptOutcome::Unseen }))
    }

    /// How many bytes what became of a run has.
    pub async fn outcome_bytes(&self, run_id: i64) -> Result<usize, StoreError> {
        let query = sqlx::query_scalar("SELECT octet_length(outcome) FROM outcome WHERE run_id = ?");
        let bytes: Option<i64> = query.bind(run_id).fetch_optional(&self.pool).await?;
        Ok(bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default())
    }

    /// What became of a run, until the server has it.
    pub async fn outcome(&self, run_id: i64) -> Result<Option<String>, StoreError> {
        let query = sqlx::query_scalar("SELECT outcome FROM outcome WHERE run_id = ?");
        Ok(query.bind(run_id).fetch_optional(&self.pool).await?)
    }

    /// Whether this run was started here and has ended.
    pub async fn has_ended(&self, run_id: i64) -> Result<bool, StoreError> {
        let query = "SELECT COUNT(*) FROM started_run WHERE run_id = ? AND ended_at IS NOT NULL";
        let found: i64 = sqlx::query_scalar(query).bind(run_id).fetch_one(&self.pool).await?;
        Ok(found > 0)
    }

    /// Runs that were started and have not ended, as far as this node knows.
    pub async fn open_runs(&self) -> Result<Vec<i64>, StoreError> {
        Ok(sqlx::query_scalar("SELECT run_id FROM started_run WHERE ended_at IS NULL").fetch_all(&self.pool).await?)
    }

    /// Whether the user has started, or waits to start, as many runs today (UTC) as the policies allow.
    pub async fn has_too_many(
        &self,
        run_id: i64,
        request: &ReviewRequest,
        per_day: Option<u32>,
    ) -> Result<bool, StoreError> {
        let Some(limit) = per_day else { return Ok(false) };
        let mut connection = self.pool.acquire().await?;
        let mut questions = started_today(&mut connection, request.asked.user_id).await?;
        let waiting: Vec<(i64, String)> = sqlx::query_as(
            "SELECT run_id, request FROM review WHERE state = 'waiting' AND subject = 'run'
             AND json_extract(request, '$.asked.user_id') IS ?",
        )
        .bind(request.asked.user_id)
        .fetch_all(&mut *connection)
        .await?;
        for (run_id, request) in waiting {
            let request = serde_json::from_str(&request).map_err(|error| StoreError::Unreadable(error.to_string()))?;
            questions.insert(question_of(run_id, &request));
        }
        Ok(is_over(questions, &question_of(run_id, request), limit))
    }

    /// Notes that a run starts, if it may: by an approval that still holds, where one is needed, and unless its user has
    /// started too many today. A run that goes on after a restart counts once.
    pub async fn start_run(&self, start: &Start<'_>) -> Result<Started, StoreError> {
        let (run_id, asked) = (start.run_id, &start.request.asked);
        let question = question_of(run_id, start.request);
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        if has_started(&mut transaction, run_id, start.hash).await? {
            return Ok(Started::Yes);
        }
        if let Some(limit) = start.per_day
            && is_over(started_today(&mut transaction, asked.user_id).await?, &question, limit)
        {
            return Ok(Started::TooMany);
        }
        let (mut approved, mut data) = (String::new(), None);
        if let Some(approval) = start.approval {
            match use_approval(&mut transaction, approval, run_id, start.hash, start.data).await? {
                Some(used) => {
                    approved = used.words;
                    data = start.data.filter(|_| !used.any_data);
                }
                None => return Ok(Started::NoApproval),
            }
        }
        sqlx::query(
            "INSERT OR REPLACE INTO started_run (run_id, hash, user_id, day, image, function, databases, columns, data,
                 approval)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(run_id)
        .bind(start.hash)
        .bind(asked.user_id)
        .bind(today())
        .bind(&asked.image)
        .bind(&asked.function)
        .bind(labels(asked))
        .bind(columns(asked))
        .bind(data)
        .bind(start.approval)
        .execute(&mut *transaction)
        .await?;
        sqlx::query("INSERT INTO asked (user_id, day, question) VALUES (?, ?, ?)")
            .bind(asked.user_id)
            .bind(today())
            .bind(question)
            .execute(&mut *transaction)
            .await?;
        let entry = Entry::done(actor(asked), "run.start", format!("run {run_id}"));
        let what = format!("{} of {}", asked.function, asked.image);
        let entry = entry.details(details(&[&what, &approved, &format!("hash {}", start.hash)]));
        audit::append(&mut transaction, &entry).await?;
        transaction.commit().await?;
        self.tell();
        Ok(Started::Yes)
    }

    /// What a reviewer should know about a request, from what this node has seen before.
    pub async fn unusual(&self, request: &ReviewRequest) -> Result<Vec<String>, StoreError> {
        let asked = &request.asked;
        let mut connection = self.pool.acquire().await?;
        let mut unusual = Vec::new();
        let of_user = count(&mut connection, asked, "user_id IS ?1").await?;
        if of_user == 0 {
            unusual.push("No run of this user has started here before.".to_owned());
        }
        if count(&mut connection, asked, "?1 IS ?1 AND image = ?2 AND function = ?3").await? == 0 {
            unusual.push("This function has not run here before.".to_owned());
        } else if of_user > 0
            && count(&mut connection, asked, "user_id IS ?1 AND image = ?2 AND function = ?3").await? == 0
        {
            unusual.push("This user has not run this function here before.".to_owned());
        }
        if of_user > 0 && count(&mut connection, asked, "user_id IS ?1 AND databases = ?4").await? == 0 {
            unusual.push("This user has not used this database here before.".to_owned());
        } else if of_user > 0
            && count(&mut connection, asked, "user_id IS ?1 AND databases = ?4 AND columns = ?5").await? == 0
        {
            unusual.push("This user has not used these columns here before.".to_owned());
        }
        let rejected: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM review WHERE hash = ? AND state = 'rejected'")
            .bind(asked.hash())
            .fetch_one(&mut *connection)
            .await?;
        if rejected > 0 {
            unusual.push("Exactly this was rejected before.".to_owned());
        }
        Ok(unusual)
    }
}

fn today() -> String {
    Timestamp::now().strftime("%Y-%m-%d").to_string()
}

async fn has_started(connection: &mut SqliteConnection, run_id: i64, hash: &str) -> Result<bool, StoreError> {
    // One whose approval was withdrawn since is not computed any more.
    let query = "SELECT COUNT(*) FROM started_run WHERE run_id = ? AND hash = ? AND ended_at IS NULL
        AND (approval IS NULL OR EXISTS (SELECT 1 FROM review WHERE id = approval AND state = 'approved'))";
    let found: i64 = sqlx::query_scalar(query).bind(run_id).bind(hash).fetch_one(connection).await?;
    Ok(found > 0)
}

/// What counts once toward a day's limit. All subtasks of one built-in central function that ask the same count as one:
/// their answer is the same, and an aggregator must not use up what a user may ask. Of other algorithms every run counts,
/// since each can tell something new. Numbers of runs and tasks are the server's word, so what is asked counts, too.
fn question_of(run_id: i64, request: &ReviewRequest) -> String {
    let asked = Asked { image: algorithms::without_digest(&request.asked.image).to_owned(), ..request.asked.clone() };
    let hash = asked.hash();
    match request.parent_id {
        Some(parent) if algorithms::is_built_in(&asked.image) => format!("task {parent} {hash}"),
        _ => format!("run {run_id} {hash}"),
    }
}

/// Whether one more is too many.
fn is_over(mut questions: HashSet<String>, next: &str, limit: u32) -> bool {
    questions.remove(next);
    questions.len() >= limit as usize
}

/// What the user has asked today.
async fn started_today(connection: &mut SqliteConnection, user_id: Option<i64>) -> Result<HashSet<String>, StoreError> {
    let query = sqlx::query_scalar("SELECT DISTINCT question FROM asked WHERE user_id IS ? AND day = ?");
    let asked: Vec<String> = query.bind(user_id).bind(today()).fetch_all(connection).await?;
    Ok(asked.into_iter().collect())
}

async fn count(connection: &mut SqliteConnection, asked: &Asked, condition: &str) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(&format!(
        "SELECT COUNT(*) FROM started_run WHERE {condition} AND ?2 = ?2 AND ?3 = ?3 AND ?4 = ?4 AND ?5 = ?5"
    ))
    .bind(asked.user_id)
    .bind(&asked.image)
    .bind(&asked.function)
    .bind(labels(asked))
    .bind(columns(asked))
    .fetch_one(connection)
    .await?)
}

/// The requester as the audit log names it.
pub(super) fn actor(asked: &Asked) -> String {
    asked.user_id.map_or_else(|| "a deleted user".to_owned(), |id| format!("user {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::store::decision::tests::{request, store};

    #[tokio::test]
    async fn whoever_aggregates_does_not_use_up_what_a_user_may_ask() {
        let (store, _folder) = store().await;
        let start = async |run_id: i64, request: &ReviewRequest| {
            let hash = request.asked.hash();
            if store.has_too_many(run_id, request, Some(2)).await.unwrap() {
                return Started::TooMany;
            }
            let start = Start { run_id, request, hash: &hash, data: None, per_day: Some(2), approval: None };
            store.start_run(&start).await.unwrap()
        };
        let request = || {
            let request = request();
            let asked = Asked { image: algorithms::AVERAGE_IMAGE.into(), ..request.asked };
            ReviewRequest { asked, ..request }
        };
        let subtask = ReviewRequest { parent_id: Some(1), ..request() };
        for run_id in 1..=5 {
            assert_eq!(start(run_id, &subtask).await, Started::Yes, "{run_id}");
        }
        // The user's own, or of another task, or of an algorithm whose answers differ: each counts.
        assert_eq!(start(6, &request()).await, Started::Yes);
        assert_eq!(start(7, &request()).await, Started::TooMany);
        assert_eq!(start(8, &ReviewRequest { parent_id: Some(2), ..request() }).await, Started::TooMany);
        // A digest behind the name makes no other question of it.
        let image = format!("{}@sha256:{}", algorithms::AVERAGE_IMAGE, "0".repeat(64));
        let named = ReviewRequest { asked: Asked { image, ..subtask.asked.clone() }, ..subtask.clone() };
        assert_eq!((start(9, &subtask).await, start(13, &named).await), (Started::Yes, Started::Yes));
        let other = |user_id: i64| {
            let request = request();
            let asked = Asked { image: "other/image".into(), user_id: Some(user_id), ..request.asked };
            ReviewRequest { asked, parent_id: Some(1), ..request }
        };
        for (run_id, expected) in [(10, Started::Yes), (11, Started::Yes), (12, Started::TooMany)] {
            assert_eq!(start(run_id, &other(6)).await, expected, "{run_id}");
        }
    }

    #[tokio::test]
    async fn a_server_that_gives_a_number_again_asks_no_more_for_it() {
        let (store, _folder) = store().await;
        let start = async |request: &ReviewRequest| {
            let hash = request.asked.hash();
            let started = Start { run_id: 7, request, hash: &hash, data: None, per_day: Some(1), approval: None };
            let outcome = store.start_run(&started).await.unwrap();
            store.end_run(7).await.unwrap();
            outcome
        };
        for parent_id in [None, Some(3)] {
            let of = |user_id: i64, function: &str| {
                let request = request();
                let function = function.to_owned();
                let image = algorithms::AVERAGE_IMAGE.to_owned();
                ReviewRequest {
                    asked: Asked { image, function, user_id: Some(user_id), ..request.asked },
                    parent_id,
                    ..request
                }
            };
            let user = 20 + parent_id.unwrap_or_default();
            assert_eq!(start(&of(user, "partial_average")).await, Started::Yes);
            assert_eq!(start(&of(user, "partial_average")).await, Started::Yes, "the same again is no other question");
            assert_eq!(start(&of(user, "another")).await, Started::TooMany);
        }
    }
}
