use super::log::LogTail;
use crate::protocol::{review::Subject, status::Status};

/// Everything of a task that changes while somebody looks at it. Sent whole with each change, so that no missed event
/// can leave a page wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskState {
    pub status: Status,
    /// Whether nothing more is to come, from any run.
    pub finished: bool,
    /// When this was read, as a time of day in UTC.
    pub as_of: String,
    /// "2 of 3 organizations returned"
    pub progress: String,
    pub runs: Vec<RunState>,
    /// The newest ones, the oldest of them first.
    pub subtasks: Vec<SubtaskState>,
    /// How many more there are that are not shown.
    pub older_subtasks: usize,
    /// `None` until the first result.
    pub results: Option<Results>,
}

/// A task that a central function created.
#[derive(Debug, Clone, PartialEq)]
pub struct SubtaskState {
    pub id: i64,
    pub name: String,
    pub status: Status,
    pub progress: String,
    pub runs: Vec<RunState>,
}

/// One run, ready to be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct RunState {
    pub id: i64,
    pub organization: String,
    pub node: String,
    pub status: Status,
    /// What an admin of its organization has to decide about before it goes on.
    pub awaits: Option<Subject>,
    /// Time of day or date and time, in UTC; empty before the start.
    pub started: String,
    /// Empty before the start.
    pub duration: String,
    pub log: LogTail,
    /// What the run waits for, or why it failed; `None` if there is nothing to say.
    pub help: Option<Help>,
}

/// What happened, who can change it, what to do next.
#[derive(Debug, Clone, PartialEq)]
pub struct Help {
    pub what: String,
    pub who: String,
    pub next: String,
}

/// Results as a table: one row an organization, one column a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// Whether a central function made them of what others gave: the organization is where they were made.
    pub aggregated: bool,
    pub columns: Vec<String>,
    /// How many more there are that are not shown.
    pub more_columns: usize,
    pub rows: Vec<ResultRow>,
    /// How many more there are that are not shown.
    pub more_rows: usize,
    /// All results as JSON text.
    pub raw: String,
}

/// The result of one organization.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultRow {
    pub organization: String,
    /// When it was given, if that was before the run.
    pub answered_at: Option<String>,
    pub cells: Vec<Cell>,
}

/// One value of a result.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// The result has no such key.
    Missing,
    /// Suppressed, or not to be established: in words.
    Absent(String),
    /// Aligned at the right.
    Number(String),
    Text(String),
    /// Objects and lists: indented JSON.
    Nested(String),
}

impl TaskState {
    /// All runs, those of subtasks included.
    pub fn all_runs(&self) -> impl Iterator<Item = &RunState> {
        self.runs.iter().chain(self.subtasks.iter().flat_map(|subtask| &subtask.runs))
    }

    /// What admins of organizations still have to decide about before it, or a subtask of it, goes on.
    pub fn awaits(&self) -> Option<Subject> {
        awaited(self.all_runs())
    }

    /// The run of this id, wherever it is.
    pub fn run(&self, id: i64) -> Option<&RunState> {
        self.all_runs().find(|run| run.id == id)
    }

    /// Adds log lines to a run; whether it is one of this task's.
    pub fn append_log(&mut self, run_id: i64, lines: &str) -> bool {
        let subtasks = self.subtasks.iter_mut().flat_map(|subtask| &mut subtask.runs);
        match self.runs.iter_mut().chain(subtasks).find(|run| run.id == run_id) {
            Some(run) => {
                run.log.push(lines);
                true
            }
            None => false,
        }
    }
}

/// What of these runs admins still have to decide about: a start, if there is one, else a result.
pub fn awaited<'a>(runs: impl IntoIterator<Item = &'a RunState>) -> Option<Subject> {
    let subjects: Vec<Subject> = runs.into_iter().filter_map(|run| run.awaits).collect();
    [Subject::Run, Subject::Result].into_iter().find(|subject| subjects.contains(subject))
}
