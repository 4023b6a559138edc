use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::ReviewRequest;
use crate::protocol::{policy::ReviewMode, timestamp};

/// What is decided about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Whether a run may start.
    Run,
    /// Whether the result of a run may leave.
    Result,
}

/// How far a review is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewState {
    Waiting,
    Approved,
    Rejected,
    /// An approval that was taken back.
    Withdrawn,
    /// Nobody decided in time.
    Expired,
    /// There is nothing to decide any more: the run was stopped or deleted, or what it asks for has changed.
    Void,
}

impl Subject {
    /// The name on the wire and in databases.
    pub fn as_str(self) -> &'static str {
        match self {
            Subject::Run => "run",
            Subject::Result => "result",
        }
    }

    /// What is said of a run, in the place of a status, that waits for a decision about this.
    pub fn awaited(self) -> &'static str {
        match self {
            Subject::Run => "awaiting review",
            Subject::Result => "awaiting release",
        }
    }

    pub fn from_name(name: &str) -> Option<Subject> {
        [Subject::Run, Subject::Result].into_iter().find(|subject| subject.as_str() == name)
    }
}

impl ReviewState {
    const ALL: [ReviewState; 6] = [
        ReviewState::Waiting,
        ReviewState::Approved,
        ReviewState::Rejected,
        ReviewState::Withdrawn,
        ReviewState::Expired,
        ReviewState::Void,
    ];

    /// The name on the wire, in databases and on screen.
    pub fn as_str(self) -> &'static str {
        match self {
            ReviewState::Waiting => "waiting",
            ReviewState::Approved => "approved",
            ReviewState::Rejected => "rejected",
            ReviewState::Withdrawn => "withdrawn",
            ReviewState::Expired => "expired",
            ReviewState::Void => "void",
        }
    }

    pub fn from_name(name: &str) -> Option<ReviewState> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// How far an approval reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// For the run that was reviewed and no other.
    pub this_run_only: bool,
    /// Until this time (UTC); `None`: without an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// For this many runs; `None`: for any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<u32>,
    /// Of more than one run: whether it holds also when the data have changed since it was given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_data: bool,
}

impl Approval {
    /// How far it reaches, in words: `for this run only`, `for 2 runs of exactly the same`.
    pub fn words(&self) -> String {
        let until = self.until.as_ref().map(|until| {
            let time = timestamp::parse(until);
            time.map_or_else(|| until.clone(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
        });
        let runs = match self.runs {
            Some(1) => "for 1 run of exactly the same".to_owned(),
            Some(runs) => format!("for {runs} runs of exactly the same"),
            None => "for exactly the same".to_owned(),
        };
        let reach = match (self.this_run_only, until, self.runs) {
            (true, ..) => return "for this run only".to_owned(),
            (_, Some(until), _) => format!("{runs} until {until}"),
            (_, None, Some(_)) => runs,
            (_, None, None) => format!("{runs} from now on"),
        };
        let of_data = if self.any_data { "whatever the data are then" } else { "as long as the data stay as they are" };
        format!("{reach}, {of_data}")
    }

    /// Why an approval reaches too far; nothing is approved then.
    pub fn check(&self, subject: Subject, mode: ReviewMode) -> Result<(), &'static str> {
        let is_bounded = self.until.is_some() || self.runs.is_some();
        match subject {
            _ if self.this_run_only && is_bounded => Err("an approval of one run has no date and no number of runs"),
            _ if self.this_run_only => Ok(()),
            Subject::Result => Err("a result is released by itself"),
            _ if self.runs == Some(0) => Err("an approval is for at least one run"),
            _ if self.until.as_deref().is_some_and(|until| timestamp::parse(until).is_none()) => {
                Err("the date of an approval is no date")
            }
            _ if self.until.as_deref().and_then(timestamp::parse).is_some_and(|until| until <= Timestamp::now()) => {
                Err("the date of an approval is over")
            }
            Subject::Run if mode == ReviewMode::Always && !is_bounded => {
                Err("where every run is reviewed, an approval of more than one needs a date or a number of runs")
            }
            Subject::Run => Ok(()),
        }
    }
}

/// Who decided what, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The name of who decided.
    pub by: String,
    /// Whether it was decided at the node itself and not at the hub.
    pub at_node: bool,
    /// UTC.
    pub at: String,
    /// The reason of a rejection, or a comment to an approval.
    pub reason: String,
}

/// A review as the hub knows it. Where nothing of the request has to be read it can be passed on as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Review<R = ReviewRequest> {
    pub id: i64,
    pub run_id: i64,
    pub organization_id: i64,
    pub collaboration_id: i64,
    pub subject: Subject,
    pub state: ReviewState,
    /// Since when it waits (UTC).
    pub since: String,
    /// When it ends if nobody decides (UTC).
    pub expires_at: String,
    pub hash: String,
    pub mode: ReviewMode,
    pub request: R,
    /// Whether the node takes only decisions that are taken at itself.
    #[serde(default)]
    pub only_at_node: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// Who took an approval back last; it may wait again since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawal: Option<Decision>,
    /// Why it is void, where the hub knows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub void_because: String,
    /// Of an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// How many runs have started by it.
    #[serde(default)]
    pub used: u32,
}

impl Review {
    /// Whether the hash of a request is that of what is shown: the node computes it anew before anything starts, and a hub
    /// that shows something else is found out here.
    pub fn is_true(&self) -> bool {
        // That of a result is over the result too, which stays at the node.
        self.subject == Subject::Result || self.request.asked.hash() == self.hash
    }

    /// All but the arguments, which can be long.
    pub fn without_arguments(mut self) -> Review {
        let asked = &mut self.request.asked;
        (asked.args, asked.kwargs, asked.written) = (Vec::new(), Map::new(), None);
        if let Some(parent) = &mut self.request.parent {
            (parent.args, parent.kwargs) = (Vec::new(), Map::new());
        }
        self
    }
}

impl<R> Review<R> {
    /// Who decided last: of an approval that was taken back, who took it.
    pub fn last_decision(&self) -> Option<&Decision> {
        let withdrawal = self.withdrawal.as_ref().filter(|_| self.state == ReviewState::Withdrawn);
        withdrawal.or(self.decision.as_ref())
    }
}

/// What a node asks the hub to have reviewed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewReview {
    pub run_id: i64,
    pub subject: Subject,
    pub hash: String,
    pub mode: ReviewMode,
    /// UTC.
    pub expires_at: String,
    pub request: ReviewRequest,
    /// Whether the node takes only decisions that are taken at itself.
    #[serde(default)]
    pub only_at_node: bool,
}

/// What somebody decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Approve,
    Reject,
    /// Takes an approval back before it was used, or for the runs that are still to come.
    Withdraw,
}

/// What a node says of a review that did not end by a decision at the hub.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviewOutcome {
    pub state: ReviewState,
    /// Why it ended, where that is no decision.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub because: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

/// The last review of a run, as those see it who may see the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReview {
    pub subject: Subject,
    pub state: ReviewState,
    /// Since when it waits or waited (UTC).
    pub since: String,
}

/// `review_change`, an event of our hub: a review began, or was decided, or ended otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewChange {
    pub review_id: i64,
    pub run_id: i64,
    pub task_id: i64,
    pub organization_id: i64,
    pub state: ReviewState,
}

/// How a line of a run's log begins while the run waits for a review, for servers that know nothing of reviews.
pub const AWAITING_REVIEW: &str = "Awaiting review";
/// How a line of a run's log begins while its result waits for its release.
pub const AWAITING_RELEASE: &str = "Awaiting release";
