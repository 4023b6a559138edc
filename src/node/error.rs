use super::{runtime::ProcessError, store::StoreError};
use crate::protocol::status::Status;
use crate::{algorithms::AlgorithmError, protocol::client::ClientError};

/// Why a node cannot work.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("the configuration {path} cannot be read: {reason}")]
    Config { path: String, reason: String },
    /// Folders of runs of before cannot be removed.
    #[error("the folder for runs {path}: {error}")]
    Runs { path: String, error: std::io::Error },
    #[error("the hub: {0}")]
    Hub(#[from] ClientError),
    #[error("{0} (state_file in the configuration says where it is)")]
    Store(#[from] StoreError),
}

/// Why a run gives no result. The text goes into the run's log: it never contains values of the data.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("the input cannot be read: {0}")]
    Input(#[from] crate::protocol::payload::PayloadError),
    #[error("this node does not allow it: {0}")]
    NotAllowed(String),
    #[error("this node has no image \"{0}\"; it runs the built-in algorithms and those that its configuration names")]
    NoSuchImage(String),
    #[error("this node has no database \"{label}\"{labels}")]
    NoSuchDatabase { label: String, labels: String },
    #[error("databases of type \"{0}\" cannot be read by the built-in algorithms; csv and parquet can")]
    DatabaseType(String),
    #[error("the built-in algorithms cannot read this database; they read csv and parquet")]
    OtherDatabaseType,
    #[error("the built-in algorithms read a database whole: they take no query, sheet or preprocessing")]
    Parameters,
    #[error("{0}")]
    TooLarge(&'static str),
    #[error("this node stopped working twice while it computed this, and does not try again; its own log may say why")]
    Deadly,
    #[error("{0}")]
    Algorithm(#[from] AlgorithmError),
    #[error("{0}")]
    Process(#[from] ProcessError),
    #[error("the subtask failed at {organization}: {status}")]
    PartialFailed { organization: String, status: Status },
    #[error("the server refused: {0}")]
    Subtask(ClientError),
    /// Not the run's fault: it stays open and is taken again.
    #[error("the server is away: {0}")]
    ServerAway(ClientError),
    /// They are others than those for which it was approved: it is reviewed again.
    #[error("the data were changed after it was approved")]
    DataChanged,
    #[error("it was stopped")]
    Stopped,
    /// It failed, and somebody let that be told.
    #[error("{message}")]
    Released { status: Status, message: String },
    #[error("internal error: {0}")]
    Internal(String),
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl RunError {
    /// A call to the server that failed.
    pub fn of_call(error: ClientError) -> Self {
        // Our hub says 409 while another program works with the key of this node: the run is that one's.
        let is_temporary = error.is_temporary() || matches!(error, ClientError::Rejected { status: 409, .. });
        if is_temporary { RunError::ServerAway(error) } else { RunError::Subtask(error) }
    }

    /// Whether the data can have made it fail, so that it tells of them.
    pub fn may_tell_of_data(&self) -> bool {
        match self {
            RunError::Algorithm(error) => *error != AlgorithmError::Stopped,
            RunError::Process(error) => error.status() == Status::Crashed,
            _ => false,
        }
    }

    /// What the organization's own people read, with what others may not.
    pub fn in_full(&self) -> String {
        match self {
            RunError::Algorithm(error) => error.in_full(),
            error => error.to_string(),
        }
    }

    /// Whether it says something of the data, and not only of what was asked.
    pub fn is_about_data(&self) -> bool {
        matches!(self, RunError::Algorithm(error) if error.is_about_data())
    }

    /// The same, without the names of columns and types of databases where the configuration does not share them.
    pub fn told_without_names(self, shares: bool) -> Self {
        match self {
            RunError::Algorithm(AlgorithmError::NoSuchColumn { column, .. }) if !shares => {
                AlgorithmError::NoSuchColumnHere(column).into()
            }
            RunError::DatabaseType(_) if !shares => RunError::OtherDatabaseType,
            error => error,
        }
    }

    /// The status of a run that ended so.
    pub fn status(&self) -> Status {
        match self {
            RunError::NotAllowed(_) => Status::NotAllowed,
            RunError::NoSuchImage(_) => Status::NoDockerImage,
            RunError::Input(_)
            | RunError::NoSuchDatabase { .. }
            | RunError::DatabaseType(_)
            | RunError::OtherDatabaseType
            | RunError::Parameters
            | RunError::TooLarge(_) => Status::StartFailed,
            RunError::Process(error) => error.status(),
            RunError::Released { status, .. } => status.clone(),
            RunError::Stopped | RunError::Algorithm(AlgorithmError::Stopped) => Status::Killed,
            RunError::Algorithm(_) | RunError::Deadly | RunError::PartialFailed { .. } => Status::Crashed,
            RunError::Subtask(_)
            | RunError::ServerAway(_)
            | RunError::DataChanged
            | RunError::Internal(_)
            | RunError::Store(_) => Status::Failed,
        }
    }
}
