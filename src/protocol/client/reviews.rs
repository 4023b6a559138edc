//! Reviews at our own hub. Other servers know nothing of them and answer that there is no such address.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ClientError, HubClient, Listed, calls::pair};
use crate::protocol::review::{Approval, NewReview, Review, ReviewOutcome, ReviewState, Subject, Verdict};

/// Which reviews are asked for. What is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct ReviewQuery {
    pub state: Option<ReviewState>,
    /// Only those that do not wait any more.
    pub decided: bool,
    pub organization_id: Option<i64>,
    pub run_id: Option<i64>,
    pub task_id: Option<i64>,
    pub hash: Option<String>,
    pub subject: Option<Subject>,
    /// From 1.
    pub page: usize,
    pub per_page: usize,
}

/// A review as lists show it: without arguments, of which many would be too much.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedReview {
    pub review: Review,
    /// [`Review::is_true`] of the whole.
    pub is_true: bool,
}

impl From<Review> for ListedReview {
    fn from(whole: Review) -> ListedReview {
        let is_true = whole.is_true();
        ListedReview { review: whole.without_arguments(), is_true }
    }
}

/// A decision that is sent to the hub.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewDecision {
    pub verdict: Verdict,
    /// The hash of what was shown to who decides.
    pub hash: String,
    /// Needed to reject; the researcher reads it.
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub approval: Option<Approval>,
}

impl HubClient {
    /// A page of reviews: those that wait first, the oldest of them on top; then the others, the newest on top.
    pub async fn reviews(&self, query: &ReviewQuery) -> Result<Listed<ListedReview>, ClientError> {
        let numbers =
            [("organization_id", query.organization_id), ("run_id", query.run_id), ("task_id", query.task_id)];
        let mut pairs: Vec<(String, String)> =
            numbers.into_iter().filter_map(|(name, value)| Some(pair(name, value?))).collect();
        pairs.extend(query.state.map(|state| pair("state", state.as_str())));
        pairs.extend(query.decided.then(|| pair("decided", 1)));
        pairs.extend(query.subject.map(|subject| pair("subject", subject.as_str())));
        pairs.extend(query.hash.as_ref().map(|hash| pair("hash", hash)));
        let per_page = query.per_page.clamp(1, 100);
        let begin = (query.page.max(1) - 1) * per_page;
        let (mut size, mut listed) = (per_page, Listed::default());
        while listed.items.len() < per_page {
            let of_page = [pair("page", (begin + listed.items.len()) / size + 1), pair("per_page", size)];
            match self.page::<Review, ListedReview>("review", [pairs.as_slice(), &of_page].concat()).await {
                // Of what is large fewer at once; a part of a page begins where the one before ended.
                Err(ClientError::TooLarge { .. }) if size > 1 => size = if size % 5 == 0 && size > 5 { 5 } else { 1 },
                Err(error) => return Err(error),
                Ok(part) => {
                    let is_last = part.items.len() < size;
                    listed.items.extend(part.items);
                    listed.total = part.total;
                    if is_last || begin + listed.items.len() >= part.total {
                        break;
                    }
                }
            }
        }
        Ok(listed)
    }

    /// One review.
    pub async fn review(&self, id: i64) -> Result<Review, ClientError> {
        self.get(&format!("review/{id}"), &[]).await
    }

    /// Decides. [`ClientError::Rejected`] with status 409 says that somebody else was first.
    pub async fn decide_review(&self, id: i64, decision: &NewDecision) -> Result<Review, ClientError> {
        self.post(&format!("review/{id}/decision"), decision).await
    }

    /// A node asks for a review; the same one again if it is known. [`ClientError::NotFound`]: the server knows nothing
    /// of reviews.
    pub async fn request_review(&self, review: &NewReview) -> Result<Review, ClientError> {
        self.post("review", review).await
    }

    /// A node uses an approval of the hub for a run; an error if it was withdrawn.
    pub async fn use_review(&self, id: i64, run_id: i64) -> Result<(), ClientError> {
        self.post::<Value>(&format!("review/{id}/use"), &json!({"run_id": run_id})).await.map(drop)
    }

    /// A node tells how a review stands.
    pub async fn report_review(&self, id: i64, outcome: &ReviewOutcome) -> Result<(), ClientError> {
        self.patch(&format!("review/{id}"), outcome).await
    }
}
