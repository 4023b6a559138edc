use jiff::{SignedDuration, Timestamp};
use sqlx::{FromRow, SqliteConnection};

use super::{NodeStore, StoreError, started::actor};
use crate::{
    audit::{self, Entry},
    protocol::{
        policy::ReviewMode,
        review::{Approval, Decision, Report, ReviewRequest, ReviewState, Subject, Verdict},
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
    pub approval: Approval,
    /// How many runs have started by it.
    pub used: u32,
}

/// A review that waits, without what is asked.
pub struct Waiting {
    pub id: i64,
    pub run_id: i64,
    pub subject: Subject,
}

/// Why a decision does not count.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody else was first, or there is nothing to decide any more.
    #[error("it is {} already{}", .0.state.as_str(), decided_by(.0))]
    Already(Box<StoredReview>),
    #[error("a rejection needs a reason, which the researcher reads")]
    NoReason,
    #[error("{0}")]
    Approval(&'static str),
    #[error("what was decided about is not what the run asks for now")]
    OtherHash,
}

fn decided_by(review: &StoredReview) -> String {
    review.decision.as_ref().map_or_else(String::new, |decision| format!(", by {} at {}", decision.by, decision.at))
}

impl From<sqlx::Error> for DecideError {
    fn from(error: sqlx::Error) -> Self {
        DecideError::Store(error.into())
    }
}

#[derive(FromRow)]
struct Row {
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
    this_run_only: bool,
    until: Option<String>,
    runs: Option<u32>,
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
            decision: match (row.decided_by, row.decided_at) {
                (Some(by), Some(at)) => Some(Decision { by, at, at_node: row.at_node, reason: row.reason }),
                _ => None,
            },
            approval: Approval { this_run_only: row.this_run_only, until: row.until, runs: row.runs },
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

async fn load(connection: &mut SqliteConnection, id: i64) -> Result<StoredReview, StoreError> {
    let row: Row = sqlx::query_as("SELECT * FROM review WHERE id = ?").bind(id).fetch_one(connection).await?;
    row.try_into()
}

/// The review of a run that counts: the newest.
async fn newest(
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
fn action(subject: Subject, run: &'static str, result: &'static str) -> &'static str {
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
            "INSERT INTO review (run_id, subject, hash, mode, request, state, since, expires_at, report, result)
             VALUES (?, ?, ?, ?, ?, 'waiting', ?, ?, ?, ?)",
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

    /// One review.
    pub async fn review(&self, id: i64) -> Result<StoredReview, StoreError> {
        load(&mut *self.pool.acquire().await?, id).await
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

    /// Reviews: those that wait first, the oldest of them on top; then the others, the newest on top.
    pub async fn reviews(&self, limit: u32) -> Result<Vec<StoredReview>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT * FROM review ORDER BY state = 'waiting' DESC, CASE WHEN state = 'waiting' THEN id ELSE -id END
             LIMIT ?",
        )
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(StoredReview::try_from).collect()
    }

    /// Whether a run asked for something else before: who has looked at it may have seen that.
    pub async fn has_changed(&self, review: &StoredReview) -> Result<bool, StoreError> {
        let others: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM review WHERE run_id = ? AND subject = ? AND hash <> ?")
                .bind(review.run_id)
                .bind(review.subject.as_str())
                .bind(&review.hash)
                .fetch_one(&self.pool)
                .await?;
        Ok(others > 0)
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

    /// Takes a decision, if it is still to be taken and about what the run asks for. An approval that was not used yet
    /// waits again when it is withdrawn.
    pub async fn decide(
        &self,
        id: i64,
        hash: &str,
        verdict: Verdict,
        decision: &Decision,
        approval: &Approval,
    ) -> Result<StoredReview, DecideError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let review = load(&mut transaction, id).await?;
        if review.hash != hash {
            return Err(DecideError::OtherHash);
        }
        // A decision counts by the time at which it was taken, also when it arrives later.
        let taken_at = timestamp::parse(&decision.at).unwrap_or_else(Timestamp::now);
        let is_late = timestamp::parse(&review.expires_at).is_none_or(|expires_at| expires_at < taken_at);
        if review.state == ReviewState::Waiting && is_late {
            end(&mut transaction, &review, ReviewState::Expired, NOBODY_DECIDED).await?;
            let review = load(&mut transaction, id).await?;
            transaction.commit().await?;
            self.tell();
            return Err(DecideError::Already(Box::new(review)));
        }
        let state = match (verdict, review.state) {
            (Verdict::Approve, ReviewState::Waiting) => {
                approval.check(review.subject, review.mode).map_err(DecideError::Approval)?;
                ReviewState::Approved
            }
            (Verdict::Reject, ReviewState::Waiting) if decision.reason.trim().is_empty() => {
                return Err(DecideError::NoReason);
            }
            (Verdict::Reject, ReviewState::Waiting) => ReviewState::Rejected,
            // What was released is gone.
            (Verdict::Withdraw, ReviewState::Approved) if review.subject == Subject::Run => match review.used {
                0 => ReviewState::Waiting,
                _ => ReviewState::Withdrawn,
            },
            _ => return Err(DecideError::Already(Box::new(review))),
        };
        let is_decided = state != ReviewState::Waiting;
        sqlx::query(
            "UPDATE review SET state = ?, told = ?, decided_by = ?, decided_at = ?, at_node = ?, reason = ?,
             this_run_only = ?, until = ?, runs = ?,
             result = CASE WHEN ? THEN NULL ELSE result END WHERE id = ?",
        )
        .bind(state.as_str())
        .bind(!decision.at_node)
        .bind(is_decided.then_some(&decision.by))
        .bind(is_decided.then_some(&decision.at))
        .bind(decision.at_node)
        .bind(decision.reason.trim())
        .bind(approval.this_run_only)
        .bind(&approval.until)
        .bind(approval.runs)
        .bind(state == ReviewState::Rejected)
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        let done = match verdict {
            Verdict::Approve => action(review.subject, "review.approve", "release.approve"),
            Verdict::Reject => action(review.subject, "review.reject", "release.withhold"),
            Verdict::Withdraw => "review.withdraw",
        };
        let decision_reach = match (verdict, review.subject) {
            (Verdict::Approve, Subject::Run) => approval.words(),
            _ => String::new(),
        };
        // A name that was given could be that of anybody: where it was given stands beside it.
        let place = if decision.at_node { "at the node" } else { "at the hub" };
        let entry = Entry::done(format!("{} ({place})", decision.by), done, format!("run {}", review.run_id))
            .details(details(&[&decision_reach, &format!("hash {}", review.hash), &decision.reason]));
        audit::append(&mut transaction, &entry).await?;
        let review = load(&mut transaction, id).await?;
        transaction.commit().await?;
        self.tell();
        Ok(review)
    }

    /// An approval by which a run with this hash may start.
    /// One that reaches further than the present policies would let it is none, nor one of the hub if that decides no more.
    pub async fn usable_approval(
        &self,
        run_id: i64,
        hash: &str,
        mode: ReviewMode,
        decisions_from_hub: bool,
    ) -> Result<Option<StoredReview>, StoreError> {
        let row: Option<Row> = sqlx::query_as(&format!(
            "SELECT * FROM review WHERE subject = 'run' AND hash = ?1 AND {USABLE} AND (?4 OR at_node = 1)
             AND (?5 OR this_run_only = 1 OR until IS NOT NULL OR runs IS NOT NULL)
             ORDER BY run_id = ?2 DESC, id DESC LIMIT 1"
        ))
        .bind(hash)
        .bind(run_id)
        .bind(timestamp::now())
        .bind(decisions_from_hub)
        .bind(mode != ReviewMode::Always)
        .fetch_optional(&self.pool)
        .await?;
        row.map(StoredReview::try_from).transpose()
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

/// Uses an approval for the start of a run; who gave it, if it could still be used. The run's own review waits no more.
pub(super) async fn use_approval(
    connection: &mut SqliteConnection,
    id: i64,
    run_id: i64,
    hash: &str,
) -> Result<Option<String>, StoreError> {
    let done = sqlx::query(&format!(
        "UPDATE review SET used = used + 1 WHERE id = ?4 AND subject = 'run' AND hash = ?1 AND {USABLE}"
    ))
    .bind(hash)
    .bind(run_id)
    .bind(timestamp::now())
    .bind(id)
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(None);
    }
    let approval = load(&mut *connection, id).await?;
    if let Some(own) = newest(&mut *connection, run_id, Subject::Run).await?
        && own.state == ReviewState::Waiting
    {
        let reason = format!("it starts by the approval of run {}", approval.run_id);
        end(connection, &own, ReviewState::Void, &reason).await?;
    }
    let by = approval.decision.map_or_else(|| "nobody".to_owned(), |decision| decision.by);
    Ok(Some(format!("approved by {by} with run {}", approval.run_id)))
}

/// The approvals that hold for the run ?2 at the time ?3.
const USABLE: &str = "state = 'approved' AND (until IS NULL OR until > ?3) AND (runs IS NULL OR used < runs)
    AND (this_run_only = 0 OR (run_id = ?2 AND used = 0))";

async fn end(
    connection: &mut SqliteConnection,
    review: &StoredReview,
    state: ReviewState,
    reason: &str,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE review SET state = ?, reason = ?, told = 0, result = NULL WHERE id = ?")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        node::store::{Start, Started},
        protocol::review::{Asked, ReviewedDatabase},
    };
    use serde_json::{Map, json};

    fn request() -> ReviewRequest {
        ReviewRequest {
            asked: Asked {
                image: "demo/average".into(),
                digest: "built in".into(),
                function: "partial_average".into(),
                args: Vec::new(),
                kwargs: Map::new(),
                databases: vec![ReviewedDatabase { label: "default".into(), parameters: json!({}) }],
                columns: None,
                organization_id: 2,
                collaboration_id: 1,
                user_id: Some(5),
                requester_organization_id: Some(3),
                beginner_user_id: None,
                beginner_organization_id: None,
            },
            does: String::new(),
            discloses: String::new(),
            task_id: 1,
            task_name: "average".into(),
            purpose: String::new(),
            parent_id: None,
            username: None,
            requester_organization: None,
            beginner_organization: None,
            unusual: Vec::new(),
        }
    }

    async fn store() -> (NodeStore, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (NodeStore::open(&folder.path().join("node.sqlite")).await.unwrap(), folder)
    }

    async fn waiting(store: &NodeStore, run_id: i64, hash: &str) -> StoredReview {
        let request = request();
        let about =
            About { run_id, subject: Subject::Run, hash, mode: ReviewMode::Always, request: &request, held: None };
        store.review_for(&about, 30).await.unwrap()
    }

    fn by(name: &str, reason: &str) -> Decision {
        Decision { by: name.into(), at_node: true, at: timestamp::now(), reason: reason.into() }
    }

    async fn start(store: &NodeStore, approval: i64, run_id: i64, hash: &str) -> Started {
        let start = Start { run_id, asked: &request().asked, hash, per_day: None, approval: Some(approval) };
        store.start_run(&start).await.unwrap()
    }

    const ONCE: Approval = Approval { this_run_only: true, until: None, runs: None };

    async fn approve(
        store: &NodeStore,
        review: &StoredReview,
        approval: Approval,
    ) -> Result<StoredReview, DecideError> {
        store.decide(review.id, &review.hash, Verdict::Approve, &by("ben", ""), &approval).await
    }

    #[tokio::test]
    async fn of_two_who_decide_at_once_one_wins_and_the_other_is_told_who_did() {
        let (store, _folder) = store().await;
        let review = waiting(&store, 7, "h").await;
        approve(&store, &review, ONCE).await.unwrap();
        let second = store.decide(review.id, "h", Verdict::Reject, &by("ada", "no"), &ONCE).await.unwrap_err();
        assert!(second.to_string().contains("approved already, by ben"), "{second}");
        assert_eq!(store.review(review.id).await.unwrap().state, ReviewState::Approved);
    }

    #[tokio::test]
    async fn a_rejection_needs_a_reason_and_a_decision_the_right_hash() {
        let (store, _folder) = store().await;
        let review = waiting(&store, 7, "h").await;
        let of = async |hash: &str, reason: &str| {
            store.decide(review.id, hash, Verdict::Reject, &by("ada", reason), &ONCE).await
        };
        assert!(matches!(of("h", "  ").await, Err(DecideError::NoReason)));
        assert!(matches!(of("other", "no").await, Err(DecideError::OtherHash)));
        assert_eq!(of("h", "no").await.unwrap().state, ReviewState::Rejected);
    }

    #[tokio::test]
    async fn an_approval_of_one_run_is_for_this_run_and_once() {
        let (store, _folder) = store().await;
        let review = waiting(&store, 7, "h").await;
        assert_eq!(store.usable_approval(7, "h", ReviewMode::FirstTime, true).await.unwrap(), None);
        let id = approve(&store, &review, ONCE).await.unwrap().id;
        assert_eq!(store.usable_approval(8, "h", ReviewMode::FirstTime, true).await.unwrap(), None);
        assert_eq!(store.usable_approval(7, "other", ReviewMode::FirstTime, true).await.unwrap(), None);
        for (run_id, hash, expected) in [
            (8, "h", Started::NoApproval),
            (7, "g", Started::NoApproval),
            (7, "h", Started::Yes),
            // It goes on after a restart.
            (7, "h", Started::Yes),
            (9, "h", Started::NoApproval),
        ] {
            assert_eq!(start(&store, id, run_id, hash).await, expected, "{run_id} {hash}");
        }
    }

    #[tokio::test]
    async fn an_approval_of_a_hash_ends_by_number_of_runs_and_by_date() {
        let (store, _folder) = store().await;
        let review = waiting(&store, 7, "h").await;
        let id = approve(&store, &review, Approval { runs: Some(2), ..Default::default() }).await.unwrap().id;
        for (run_id, usable) in [(7, true), (8, true), (9, false)] {
            assert_eq!(
                store.usable_approval(run_id, "h", ReviewMode::FirstTime, true).await.unwrap().is_some(),
                usable,
                "{run_id}"
            );
            assert_eq!(start(&store, id, run_id, "h").await == Started::Yes, usable, "{run_id}");
        }
        let review = waiting(&store, 9, "g").await;
        let until = |text: &str| Approval { until: Some(text.to_owned()), ..Default::default() };
        assert!(approve(&store, &review, until("2020-01-01T00:00:00.000000")).await.is_err());
        approve(&store, &review, until("2999-01-01T00:00:00.000000")).await.unwrap();
        assert!(store.usable_approval(12, "g", ReviewMode::FirstTime, true).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn an_approval_that_does_not_hold_any_more_begins_a_new_review() {
        let (store, _folder) = store().await;
        let review = waiting(&store, 7, "h").await;
        let id = approve(&store, &review, Approval { runs: Some(1), ..Default::default() }).await.unwrap().id;
        assert_eq!(start(&store, id, 8, "h").await, Started::Yes);
        assert_eq!(store.usable_approval(7, "h", ReviewMode::Always, true).await.unwrap(), None);
        let again = waiting(&store, 7, "h").await;
        assert_eq!((again.state, again.id != id), (ReviewState::Waiting, true));
        assert_eq!(waiting(&store, 7, "h").await.id, again.id);
    }

    #[tokio::test]
    async fn stricter_policies_hold_for_what_was_approved_before_them() {
        let (store, _folder) = store().await;
        let request = request();
        let mode = ReviewMode::FirstTime;
        let about = About { run_id: 7, subject: Subject::Run, hash: "h", mode, request: &request, held: None };
        let review = store.review_for(&about, 30).await.unwrap();
        let by_hub = Decision { at_node: false, ..by("ada", "") };
        store.decide(review.id, "h", Verdict::Approve, &by_hub, &Approval::default()).await.unwrap();
        let usable = async |mode, from_hub| store.usable_approval(8, "h", mode, from_hub).await.unwrap().is_some();
        assert!(usable(ReviewMode::FirstTime, true).await);
        assert!(!usable(ReviewMode::Always, true).await && !usable(ReviewMode::FirstTime, false).await);
    }

    #[tokio::test]
    async fn a_withdrawn_approval_waits_again_and_a_used_one_ends() {
        let (store, _folder) = store().await;
        let review = waiting(&store, 7, "h").await;
        let withdraw =
            async || store.decide(review.id, "h", Verdict::Withdraw, &by("ada", ""), &ONCE).await.unwrap().state;
        let id = approve(&store, &review, ONCE).await.unwrap().id;
        assert_eq!(withdraw().await, ReviewState::Waiting);
        assert_eq!(start(&store, id, 7, "h").await, Started::NoApproval);
        approve(&store, &review, Approval { runs: Some(9), ..Default::default() }).await.unwrap();
        assert_eq!(start(&store, id, 7, "h").await, Started::Yes);
        assert_eq!(withdraw().await, ReviewState::Withdrawn);
        assert_eq!(store.usable_approval(8, "h", ReviewMode::FirstTime, true).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_run_that_asks_for_something_else_is_reviewed_anew() {
        let (store, _folder) = store().await;
        let review = waiting(&store, 7, "h").await;
        approve(&store, &review, ONCE).await.unwrap();
        let other = waiting(&store, 7, "other").await;
        assert_ne!(other.id, review.id);
        assert_eq!(
            (other.state, store.review(review.id).await.unwrap().state),
            (ReviewState::Waiting, ReviewState::Void)
        );
        assert_eq!(waiting(&store, 7, "other").await.id, other.id);
    }

    #[tokio::test]
    async fn everything_that_happens_stands_in_the_audit_log() {
        let (store, folder) = store().await;
        let review = waiting(&store, 7, "h").await;
        approve(&store, &review, ONCE).await.unwrap();
        let (entries, _) = audit::page(store.pool(), &audit::Filter::default(), 0, 10).await.unwrap();
        let actions: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, ["review.approve", "review.wait"]);
        assert_eq!(entries[0].actor, "ben (at the node)");
        assert!(audit::verify(store.pool(), None).await.unwrap().is_ok());
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(folder.path().join("node.sqlite")).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
    }
}
