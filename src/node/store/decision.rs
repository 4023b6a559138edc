//! Decisions about reviews: who comes first, how far an approval reaches, and that it is used once.

use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::{
    NodeStore, StoreError, StoredReview,
    review::{NOBODY_DECIDED, Row, action, details, end, load, newest},
};
use crate::{
    audit::{self, Entry},
    protocol::{
        policy::ReviewMode,
        review::{Approval, Decision, ReviewState, Subject, Verdict},
        timestamp,
    },
};

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

/// The approvals that hold for the run ?2 at the time ?3.
const USABLE: &str = "state = 'approved' AND (until IS NULL OR until > ?3) AND (runs IS NULL OR used < runs)
    AND (this_run_only = 0 OR (run_id = ?2 AND used = 0))";
/// Those that hold for the data ?4: the run that was looked at may start in any case, once for each time that it was
/// looked at; others if the data are those that were there when it was approved.
const OF_DATA: &str = "(any_data = 1 OR data = ?4
    OR (run_id = ?2 AND NOT EXISTS (SELECT 1 FROM started_run
        WHERE started_run.run_id = ?2 AND coalesce(started_run.approval, 0) >= review.id)))";

impl NodeStore {
    /// Takes a decision, if it is still to be taken and about what the run asks for. An approval that was not used yet
    /// waits again when it is withdrawn. An approval is bound to the data that there are when it is given: `data` tells
    /// which.
    pub async fn decide(
        &self,
        id: i64,
        hash: &str,
        verdict: Verdict,
        decision: &Decision,
        approval: &Approval,
        data: Option<&str>,
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
            self.commit_noted(transaction).await?;
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
             this_run_only = ?, until = ?, runs = ?, any_data = ?, data = ?,
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
        .bind(approval.any_data)
        .bind(data)
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
        self.commit_noted(transaction).await?;
        self.tell();
        Ok(review)
    }

    /// An approval by which a run with this hash may start.
    /// One that reaches further than the present policies would let it is none, nor one of the hub if that decides no
    /// more, nor one of other runs that was given when the data were others (`data` is what tells whether they are).
    pub async fn usable_approval(
        &self,
        run_id: i64,
        hash: &str,
        mode: ReviewMode,
        decisions_from_hub: bool,
        data: Option<&str>,
    ) -> Result<Option<StoredReview>, StoreError> {
        let row: Option<Row> = sqlx::query_as(&format!(
            "SELECT * FROM review WHERE subject = 'run' AND hash = ?1 AND {USABLE} AND {OF_DATA} AND (?5 OR at_node = 1)
             AND (?6 OR this_run_only = 1 OR until IS NOT NULL OR runs IS NOT NULL)
             ORDER BY run_id = ?2 DESC, id DESC LIMIT 1"
        ))
        .bind(hash)
        .bind(run_id)
        .bind(timestamp::now())
        .bind(data)
        .bind(decisions_from_hub)
        .bind(mode != ReviewMode::Always)
        .fetch_optional(&self.pool)
        .await?;
        row.map(StoredReview::try_from).transpose()
    }
}

impl NodeStore {
    /// Whether there is an approval that would hold if the data were still those that were there.
    pub async fn has_approval_for_other_data(
        &self,
        run_id: i64,
        hash: &str,
        mode: ReviewMode,
        decisions_from_hub: bool,
        data: Option<&str>,
    ) -> Result<bool, StoreError> {
        if self.usable_approval(run_id, hash, mode, decisions_from_hub, data).await?.is_some() {
            return Ok(false);
        }
        let found: i64 = sqlx::query_scalar(&format!(
            "SELECT COUNT(*) FROM review WHERE subject = 'run' AND hash = ?1 AND {USABLE} AND this_run_only = 0"
        ))
        .bind(hash)
        .bind(run_id)
        .bind(timestamp::now())
        .fetch_one(&self.pool)
        .await?;
        Ok(found > 0)
    }
}

/// An approval that was used.
pub(super) struct Used {
    /// Who gave it.
    pub words: String,
    pub any_data: bool,
}

/// Uses an approval for the start of a run, if it could still be used. The run's own review waits no more.
pub(super) async fn use_approval(
    connection: &mut SqliteConnection,
    id: i64,
    run_id: i64,
    hash: &str,
    data: Option<&str>,
) -> Result<Option<Used>, StoreError> {
    let done = sqlx::query(&format!(
        "UPDATE review SET used = used + 1 WHERE id = ?5 AND subject = 'run' AND hash = ?1 AND {USABLE} AND {OF_DATA}"
    ))
    .bind(hash)
    .bind(run_id)
    .bind(timestamp::now())
    .bind(data)
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
    let words = format!("approved by {by} with run {}", approval.run_id);
    Ok(Some(Used { words, any_data: approval.approval.any_data }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        node::store::{About, Start, Started},
        protocol::review::{Asked, ReviewRequest, ReviewedDatabase},
    };
    use serde_json::{Map, json};

    pub fn request() -> ReviewRequest {
        ReviewRequest {
            asked: Asked {
                image: "demo/average".into(),
                digest: "built in".into(),
                function: "partial_average".into(),
                args: Vec::new(),
                kwargs: Map::new(),
                written: None,
                databases: vec![ReviewedDatabase { label: "default".into(), parameters: json!({}) }],
                columns: None,
                organization_id: 2,
                collaboration_id: 1,
                user_id: Some(5),
                requester_organization_id: Some(3),
                beginner_user_id: None,
                beginner_organization_id: None,
                between_organization_ids: Vec::new(),
            },
            does: String::new(),
            discloses: String::new(),
            task_id: 1,
            task_name: "average".into(),
            purpose: String::new(),
            parent_id: None,
            parent: None,
            data: Some("monday".into()),
            username: None,
            requester_organization: None,
            beginner_organization: None,
            unusual: Vec::new(),
        }
    }

    pub async fn store() -> (NodeStore, tempfile::TempDir) {
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
        let data = Some("monday");
        let start = Start { run_id, request: &request(), hash, data, per_day: None, approval: Some(approval) };
        store.start_run(&start).await.unwrap()
    }

    const MONDAY: Option<&str> = Some("monday");

    const ONCE: Approval = Approval { this_run_only: true, until: None, runs: None, any_data: false };

    async fn approve(
        store: &NodeStore,
        review: &StoredReview,
        approval: Approval,
    ) -> Result<StoredReview, DecideError> {
        store.decide(review.id, &review.hash, Verdict::Approve, &by("ben", ""), &approval, MONDAY).await
    }

    #[tokio::test]
    async fn of_two_who_decide_at_once_one_wins_and_the_other_is_told_who_did() {
        let (store, _folder) = store().await;
        let review = waiting(&store, 7, "h").await;
        approve(&store, &review, ONCE).await.unwrap();
        let second = store.decide(review.id, "h", Verdict::Reject, &by("ada", "no"), &ONCE, MONDAY).await.unwrap_err();
        assert!(second.to_string().contains("approved already, by ben"), "{second}");
        assert_eq!(store.review(review.id).await.unwrap().state, ReviewState::Approved);
    }

    #[tokio::test]
    async fn a_rejection_needs_a_reason_and_a_decision_the_right_hash() {
        let (store, _folder) = store().await;
        let review = waiting(&store, 7, "h").await;
        let of = async |hash: &str, reason: &str| {
            store.decide(review.id, hash, Verdict::Reject, &by("ada", reason), &ONCE, MONDAY).await
        };
        assert!(matches!(of("h", "  ").await, Err(DecideError::NoReason)));
        assert!(matches!(of("other", "no").await, Err(DecideError::OtherHash)));
        assert_eq!(of("h", "no").await.unwrap().state, ReviewState::Rejected);
    }

    #[tokio::test]
    async fn a_run_whose_approval_was_withdrawn_before_it_was_computed_does_not_go_on() {
        let (store, _folder) = store().await;
        let review = waiting(&store, 7, "h").await;
        let id = approve(&store, &review, ONCE).await.unwrap().id;
        assert_eq!(start(&store, id, 7, "h").await, Started::Yes);
        assert!(store.has_started(7, "h").await.unwrap());
        assert_eq!(store.started_with(7, "h").await.unwrap().as_deref(), MONDAY);
        store.decide(id, "h", Verdict::Withdraw, &by("ben", ""), &ONCE, None).await.unwrap();
        assert!(!store.has_started(7, "h").await.unwrap());
        assert_eq!(start(&store, id, 7, "h").await, Started::NoApproval);
        // One that holds for any data is bound to none.
        let review = waiting(&store, 8, "h").await;
        let any = Approval { any_data: true, runs: Some(2), ..ONCE };
        let id = approve(&store, &review, Approval { this_run_only: false, ..any }).await.unwrap().id;
        assert_eq!(start(&store, id, 8, "h").await, Started::Yes);
        assert_eq!(store.started_with(8, "h").await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_approval_of_one_run_is_for_this_run_and_once() {
        let (store, _folder) = store().await;
        let review = waiting(&store, 7, "h").await;
        assert_eq!(store.usable_approval(7, "h", ReviewMode::FirstTime, true, Some("monday")).await.unwrap(), None);
        let id = approve(&store, &review, ONCE).await.unwrap().id;
        assert_eq!(store.usable_approval(8, "h", ReviewMode::FirstTime, true, Some("monday")).await.unwrap(), None);
        assert_eq!(store.usable_approval(7, "other", ReviewMode::FirstTime, true, Some("monday")).await.unwrap(), None);
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
                store
                    .usable_approval(run_id, "h", ReviewMode::FirstTime, true, Some("monday"))
                    .await
                    .unwrap()
                    .is_some(),
                usable,
                "{run_id}"
            );
            assert_eq!(start(&store, id, run_id, "h").await == Started::Yes, usable, "{run_id}");
        }
        let review = waiting(&store, 9, "g").await;
        let until = |text: &str| Approval { until: Some(text.to_owned()), ..Default::default() };
        assert!(approve(&store, &review, until("2020-01-01T00:00:00.000000")).await.is_err());
        approve(&store, &review, until("2999-01-01T00:00:00.000000")).await.unwrap();
        assert!(store.usable_approval(12, "g", ReviewMode::FirstTime, true, Some("monday")).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn an_approval_that_does_not_hold_any_more_begins_a_new_review() {
        let (store, _folder) = store().await;
        let review = waiting(&store, 7, "h").await;
        let id = approve(&store, &review, Approval { runs: Some(1), ..Default::default() }).await.unwrap().id;
        assert_eq!(start(&store, id, 8, "h").await, Started::Yes);
        assert_eq!(store.usable_approval(7, "h", ReviewMode::Always, true, Some("monday")).await.unwrap(), None);
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
        store.decide(review.id, "h", Verdict::Approve, &by_hub, &Approval::default(), MONDAY).await.unwrap();
        let usable = async |mode, from_hub| {
            store.usable_approval(8, "h", mode, from_hub, Some("monday")).await.unwrap().is_some()
        };
        assert!(usable(ReviewMode::FirstTime, true).await);
        assert!(!usable(ReviewMode::Always, true).await && !usable(ReviewMode::FirstTime, false).await);
    }

    #[tokio::test]
    async fn an_approval_of_more_than_one_run_is_for_the_data_that_were_there() {
        let (store, _folder) = store().await;
        let review = waiting(&store, 7, "h").await;
        let usable = async |run_id, data| {
            store.usable_approval(run_id, "h", ReviewMode::FirstTime, true, data).await.unwrap().is_some()
        };
        approve(&store, &review, Approval { runs: Some(5), ..Default::default() }).await.unwrap();
        // The run that was looked at may start in any case.
        for (run_id, data, expected) in
            [(7, Some("tuesday"), true), (8, Some("monday"), true), (8, Some("tuesday"), false), (8, None, false)]
        {
            assert_eq!(usable(run_id, data).await, expected, "{run_id} {data:?}");
        }
        let review = waiting(&store, 9, "h").await;
        approve(&store, &review, Approval { runs: Some(5), any_data: true, ..Default::default() }).await.unwrap();
        assert!(usable(8, Some("tuesday")).await && usable(8, None).await);
    }

    #[tokio::test]
    async fn a_withdrawn_approval_waits_again_and_a_used_one_ends() {
        let (store, _folder) = store().await;
        let review = waiting(&store, 7, "h").await;
        let withdraw = async || {
            store.decide(review.id, "h", Verdict::Withdraw, &by("ada", ""), &ONCE, MONDAY).await.unwrap().state
        };
        let id = approve(&store, &review, ONCE).await.unwrap().id;
        assert_eq!(withdraw().await, ReviewState::Waiting);
        assert_eq!(start(&store, id, 7, "h").await, Started::NoApproval);
        approve(&store, &review, Approval { runs: Some(9), ..Default::default() }).await.unwrap();
        assert_eq!(start(&store, id, 7, "h").await, Started::Yes);
        assert_eq!(withdraw().await, ReviewState::Withdrawn);
        assert_eq!(store.usable_approval(8, "h", ReviewMode::FirstTime, true, Some("monday")).await.unwrap(), None);
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
        assert!(audit::verify(store.pool(), &[]).await.unwrap().is_ok());
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(folder.path().join("node.sqlite")).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
    }
}
