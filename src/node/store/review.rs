use jiff::{SignedDuration, Timestamp};
use sqlx::{FromRow, SqliteConnection};

use super::{NodeStore, StoreError, started::actor};
use crate::{
    audit::{self, Entry},
    protocol::{
        policy::ReviewMode,
        review::{Approval, Decision, Report, ReviewRequest, ReviewState, Subject},
        timestamp,
    },
};

/// A review as it is stored here.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredReview {
    pub id: i64,
    pub run_id: i64,
    pub subject: Subject,
    pub hash: String,
    pub mode: ReviewMode,
    pub request: ReviewRequest,
    pub state: ReviewState,
    pub since: String,
    pub expires_at: String,
    pub report: Option<Report>,
    /// A held result, in the form in which it would be sent.
    pub result: Option<String>,
    pub hub_id: Option<i64>,
    /// Whether the hub knows the present state.
    pub told: bool,
    pub decision: Option<Decision>,
    /// Why it ended without a decision, or in spite of one; empty if it did not.
    pub ended_because: String,
    pub approval: Approval,
    /// How many runs have started by it.
    pub used: u32,
}

/// The columns of a review but for a held result.
const WITHOUT_RESULT: &str =
    "id, run_id, subject, hash, mode, request, state, since, expires_at, report, NULL AS result,
    hub_id, told, decided_by, decided_at, at_node, reason, ended_because, this_run_only, until, runs, any_data, used";

/// A review that waits, without what is asked.
pub struct Waiting {
    pub id: i64,
    pub run_id: i64,
    pub subject: Subject,
}

#[derive(FromRow)]
pub(super) struct Row {
    id: i64,
    run_id: i64,
    subject: String,
    hash: String,
    mode: String,
    request: String,
    state: String,
    since: String,
    expires_at: String,
    report: Option<String>,
    result: Option<String>,
    hub_id: Option<i64>,
    told: bool,
    decided_by: Option<String>,
    decided_at: Option<String>,
    at_node: bool,
    reason: String,
    ended_because: String,
    this_run_only: bool,
    until: Option<String>,
    runs: Option<u32>,
    any_data: bool,
    used: u32,
}

impl TryFrom<Row> for StoredReview {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let unreadable = |what: &str| StoreError::Unreadable(format!("{what} of review {}", row.id));
        let json = |_| unreadable("the content");
        Ok(StoredReview {
            subject: Subject::from_name(&row.subject).ok_or_else(|| unreadable("the subject"))?,
            state: ReviewState::from_name(&row.state).ok_or_else(|| unreadable("the state"))?,
            mode: serde_json::from_str(&row.mode).map_err(json)?,
            request: serde_json::from_str(&row.request).map_err(json)?,
            report: row.report.as_deref().map(serde_json::from_str).transpose().map_err(json)?,
            ended_because: row.ended_because,
            decision: match (row.decided_by, row.decided_at) {
                (Some(by), Some(at)) => Some(Decision { by, at, at_node: row.at_node, reason: row.reason }),
                _ => None,
            },
            approval: Approval {
                this_run_only: row.this_run_only,
                until: row.until,
                runs: row.runs,
                any_data: row.any_data,
            },
            id: row.id,
            run_id: row.run_id,
            hash: row.hash,
            since: row.since,
            expires_at: row.expires_at,
            result: row.result,
            hub_id: row.hub_id,
            told: row.told,
            used: row.used,
        })
    }
}

pub(super) async fn load(connection: &mut SqliteConnection, id: i64) -> Result<StoredReview, StoreError> {
    let row: Row = sqlx::query_as("SELECT * FROM review WHERE id = ?").bind(id).fetch_one(connection).await?;
    row.try_into()
}

/// The review of a run that counts: the newest.
pub(super) async fn newest(
    connection: &mut SqliteConnection,
    run_id: i64,
    subject: Subject,
) -> Result<Option<StoredReview>, StoreError> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM review WHERE run_id = ? AND subject = ? ORDER BY id DESC LIMIT 1")
            .bind(run_id)
            .bind(subject.as_str())
            .fetch_optional(connection)
            .await?;
    row.map(StoredReview::try_from).transpose()
}

/// Why a review is over that nobody decided about.
pub const NOBODY_DECIDED: &str = "nobody decided in time";

/// What a review is about.
pub struct About<'a> {
    pub run_id: i64,
    pub subject: Subject,
    pub hash: &'a str,
    pub mode: ReviewMode,
    pub request: &'a ReviewRequest,
    /// A held result with what to look at.
    pub held: Option<(&'a Report, &'a str)>,
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Unreadable(error.to_string()))
}

/// The action of the audit log for something that happens to a review.
pub(super) fn action(subject: Subject, run: &'static str, result: &'static str) -> &'static str {
    match subject {
        Subject::Run => run,
        Subject::Result => result,
    }
}

impl NodeStore {
    /// The review of a run for exactly this hash, begun if there is none; it ends after this many days. One for another
    /// hash is void from now on: what the run asks for has changed.
    pub async fn review_for(&self, about: &About<'_>, days: u32) -> Result<StoredReview, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        if let Some(earlier) = newest(&mut transaction, about.run_id, about.subject).await? {
            // An approval that could be used would have been.
            let counts = match (earlier.subject, earlier.state) {
                (_, ReviewState::Void | ReviewState::Withdrawn) | (Subject::Run, ReviewState::Approved) => false,
                // What was released is gone: whether this is the same result is told to nobody.
                (Subject::Result, ReviewState::Approved) if earlier.result.is_none() => false,
                _ => earlier.hash == about.hash,
            };
            if counts {
                return Ok(earlier);
            }
            if earlier.hash != about.hash && earlier.state != ReviewState::Void {
                end(&mut transaction, &earlier, ReviewState::Void, "what the run asks for has changed").await?;
            }
        }
        let now = Timestamp::now();
        let expires_at = now + SignedDuration::from_hours(24 * i64::from(days));
        let id = sqlx::query(
            "INSERT INTO review (run_id, subject, hash, mode, request, state, since, expires_at, report, result, data)
             VALUES (?, ?, ?, ?, ?, 'waiting', ?, ?, ?, ?, ?)",
        )
        .bind(about.run_id)
        .bind(about.subject.as_str())
        .bind(about.hash)
        .bind(json(&about.mode)?)
        .bind(json(about.request)?)
        .bind(timestamp::format(now))
        .bind(timestamp::format(expires_at))
        .bind(about.held.map(|(report, _)| json(report)).transpose()?)
        .bind(about.held.map(|(_, result)| result))
        .bind(&about.request.data)
        .execute(&mut *transaction)
        .await?
        .last_insert_rowid();
        let begun = action(about.subject, "review.wait", "release.wait");
        let entry = Entry::done(actor(&about.request.asked), begun, format!("run {}", about.run_id));
        audit::append(&mut transaction, &entry.details(format!("hash {}", about.hash))).await?;
        let review = load(&mut transaction, id).await?;
        transaction.commit().await?;
        self.tell();
        Ok(review)
    }

    /// Notes which data there are while a review waits.
    pub async fn note_data(&self, id: i64, data: Option<&str>) -> Result<(), StoreError> {
        sqlx::query("UPDATE review SET data = ?1 WHERE id = ?2 AND state = 'waiting' AND data IS NOT ?1")
            .bind(data)
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Whether a decision of the hub was taken over by another review than this one.
    pub async fn is_taken_over(&self, hub_id: i64, id: i64) -> Result<bool, StoreError> {
        let query = "SELECT EXISTS (SELECT 1 FROM review WHERE hub_id = ? AND id <> ? AND decided_at IS NOT NULL)";
        Ok(sqlx::query_scalar(query).bind(hub_id).bind(id).fetch_one(&self.pool).await?)
    }

    /// Which data there were when a review waited, as far as was noted; of a decided one those that it is bound to.
    pub async fn data_of_review(&self, id: i64) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT data FROM review WHERE id = ?").bind(id).fetch_one(&self.pool).await?)
    }

    /// One review, without a held result, which may be large.
    pub async fn review(&self, id: i64) -> Result<StoredReview, StoreError> {
        let query = format!("SELECT {WITHOUT_RESULT} FROM review WHERE id = ?");
        let row: Row = sqlx::query_as(&query).bind(id).fetch_one(&self.pool).await?;
        row.try_into()
    }

    /// How many bytes the held result of a run has; 0 if there is none.
    pub async fn held_bytes(&self, run_id: i64) -> Result<usize, StoreError> {
        let query =
            "SELECT octet_length(result) FROM review WHERE run_id = ? AND subject = 'result' ORDER BY id DESC LIMIT 1";
        let bytes: Option<Option<i64>> = sqlx::query_scalar(query).bind(run_id).fetch_optional(&self.pool).await?;
        Ok(bytes.flatten().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default())
    }

    /// One review, if there is one.
    pub async fn find_review(&self, id: i64) -> Result<Option<StoredReview>, StoreError> {
        let row: Option<Row> =
            sqlx::query_as("SELECT * FROM review WHERE id = ?").bind(id).fetch_optional(&self.pool).await?;
        row.map(StoredReview::try_from).transpose()
    }

    /// The newest review of a run that waits, else its newest one.
    pub async fn review_of_run(&self, run_id: i64) -> Result<Option<StoredReview>, StoreError> {
        let row: Option<Row> =
            sqlx::query_as("SELECT * FROM review WHERE run_id = ? ORDER BY state = 'waiting' DESC, id DESC LIMIT 1")
                .bind(run_id)
                .fetch_optional(&self.pool)
                .await?;
        row.map(StoredReview::try_from).transpose()
    }

    /// The newest review of a run's start.
    pub async fn run_review(&self, run_id: i64) -> Result<Option<StoredReview>, StoreError> {
        newest(&mut *self.pool.acquire().await?, run_id, Subject::Run).await
    }

    /// The held result of a run, or what became of it.
    pub async fn held_result(&self, run_id: i64) -> Result<Option<StoredReview>, StoreError> {
        newest(&mut *self.pool.acquire().await?, run_id, Subject::Result).await
    }

    /// Reviews without held results, which may be large: those that wait first, the oldest of them on top; then the
    /// others, the newest on top.
    pub async fn reviews(&self, limit: u32) -> Result<Vec<StoredReview>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(&format!(
            "SELECT {WITHOUT_RESULT} FROM review ORDER BY state = 'waiting' DESC, CASE WHEN state = 'waiting' THEN id ELSE -id END
             LIMIT ?",
        ))
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(StoredReview::try_from).collect()
    }

    /// Whether a run was reviewed before when it asked for something else: who has looked at it may have seen that.
    pub async fn has_changed(&self, run_id: i64, subject: Subject, hash: &str) -> Result<bool, StoreError> {
        let others: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM review WHERE run_id = ? AND subject = ? AND hash <> ?")
                .bind(run_id)
                .bind(subject.as_str())
                .bind(hash)
                .fetch_one(&self.pool)
                .await?;
        Ok(others > 0)
    }

    /// Ends whatever of a run still waits, since the run itself has ended.
    pub async fn end_reviews_of(&self, run_id: i64) -> Result<(), StoreError> {
        let waiting: Vec<i64> = sqlx::query_scalar("SELECT id FROM review WHERE run_id = ? AND state = 'waiting'")
            .bind(run_id)
            .fetch_all(&self.pool)
            .await?;
        for id in waiting {
            self.end_review(id, ReviewState::Void, "the run has ended otherwise").await?;
        }
        Ok(())
    }

    /// What was decided about exactly the same before, the newest first.
    pub async fn earlier_decisions(&self, review: &StoredReview) -> Result<Vec<StoredReview>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT * FROM review WHERE hash = ? AND id <> ? AND decided_at IS NOT NULL ORDER BY id DESC LIMIT 20",
        )
        .bind(&review.hash)
        .bind(review.id)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(StoredReview::try_from).collect()
    }

    /// Ends a review that still waits: nobody decided in time, or there is nothing to decide any more. Also an approval
    /// of a run that is gone, by which nothing has started.
    pub async fn end_review(&self, id: i64, state: ReviewState, reason: &str) -> Result<StoredReview, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let review = load(&mut transaction, id).await?;
        let is_unused = (review.subject, review.state, review.used) == (Subject::Run, ReviewState::Approved, 0)
            && review.approval.this_run_only;
        if review.state == ReviewState::Waiting || (state == ReviewState::Void && is_unused) {
            end(&mut transaction, &review, state, reason).await?;
        }
        let review = load(&mut transaction, id).await?;
        transaction.commit().await?;
        self.tell();
        Ok(review)
    }

    /// Forgets the held result of a run that has ended at the server.
    pub async fn forget_result(&self, run_id: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE review SET result = NULL WHERE run_id = ? AND result IS NOT NULL")
            .bind(run_id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Approvals of single runs by which nothing has started, with their runs.
    pub async fn unused_approvals(&self) -> Result<Vec<(i64, i64)>, StoreError> {
        let query = "SELECT id, run_id FROM review WHERE state = 'approved' AND subject = 'run' AND this_run_only = 1
            AND used = 0";
        Ok(sqlx::query_as(query).fetch_all(&self.pool).await?)
    }

    /// Runs whose results were released and are still here: the server was away, or the run has ended otherwise.
    pub async fn runs_with_released_results(&self) -> Result<Vec<i64>, StoreError> {
        let query = "SELECT run_id FROM review WHERE state = 'approved' AND result IS NOT NULL";
        Ok(sqlx::query_scalar(query).fetch_all(&self.pool).await?)
    }

    /// The state of a review, without the rest of it.
    pub async fn review_state(&self, id: i64) -> Result<ReviewState, StoreError> {
        let state: String =
            sqlx::query_scalar("SELECT state FROM review WHERE id = ?").bind(id).fetch_one(&self.pool).await?;
        ReviewState::from_name(&state).ok_or_else(|| StoreError::Unreadable(format!("the state of review {id}")))
    }

    /// Notes under which id the hub knows a review.
    pub async fn set_hub_id(&self, id: i64, hub_id: i64) -> Result<(), StoreError> {
        // It was told that the review waits; what was decided here meanwhile is still to be told.
        sqlx::query("UPDATE review SET hub_id = ?, told = (state = 'waiting') WHERE id = ?")
            .bind(hub_id)
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Notes that the hub knows this state of a review.
    pub async fn set_told(&self, id: i64, state: ReviewState) -> Result<(), StoreError> {
        sqlx::query("UPDATE review SET told = 1 WHERE id = ? AND state = ?")
            .bind(id)
            .bind(state.as_str())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Reviews that wait.
    pub async fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        let query = "SELECT id, run_id, subject FROM review WHERE state = 'waiting' ORDER BY id";
        let rows: Vec<(i64, i64, String)> = sqlx::query_as(query).fetch_all(&self.pool).await?;
        let read = |(id, run_id, subject): (i64, i64, String)| {
            let unreadable = || StoreError::Unreadable(format!("the subject of review {id}"));
            Ok(Waiting { id, run_id, subject: Subject::from_name(&subject).ok_or_else(unreadable)? })
        };
        rows.into_iter().map(read).collect()
    }

    /// Reviews that the hub knows, but not in their present state.
    pub async fn untold(&self) -> Result<Vec<StoredReview>, StoreError> {
        let rows: Vec<Row> =
            sqlx::query_as("SELECT * FROM review WHERE hub_id IS NOT NULL AND told = 0 ORDER BY id LIMIT 100")
                .fetch_all(&self.pool)
                .await?;
        rows.into_iter().map(StoredReview::try_from).collect()
    }
}

/// Parts of an entry's details, without those that are empty.
pub(super) fn details(parts: &[&str]) -> String {
    parts.iter().filter(|part| !part.trim().is_empty()).copied().collect::<Vec<_>>().join("; ")
}

pub(super) async fn end(
    connection: &mut SqliteConnection,
    review: &StoredReview,
    state: ReviewState,
    reason: &str,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE review SET state = ?, ended_because = ?, told = 0, result = NULL WHERE id = ?")
        .bind(state.as_str())
        .bind(reason)
        .bind(review.id)
        .execute(&mut *connection)
        .await?;
    let ended = match state {
        ReviewState::Expired => action(review.subject, "review.expire", "release.expire"),
        _ => action(review.subject, "review.void", "release.void"),
    };
    let entry = Entry::done("system", ended, format!("run {}", review.run_id)).details(reason);
    Ok(audit::append(connection, &entry).await?)
}
