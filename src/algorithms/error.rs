/// What is told of a fault in a line: which one it is would say how many there are before it.
pub const OF_A_LINE: &str = "one of its lines cannot be read; the organization's own log says which";

/// Why an analysis gives no result. Messages name columns, labels and types, and never contain values of the data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlgorithmError {
    #[error("the image has no function \"{0}\"")]
    NoSuchFunction(String),
    #[error("the argument \"{0}\" is missing")]
    MissingArgument(&'static str),
    #[error("the argument \"{name}\" has to be {expected}")]
    WrongArgument { name: &'static str, expected: &'static str },
    #[error("the function has no argument \"{name}\"; its arguments are: {known}{meant}")]
    UnknownArgument { name: String, known: String, meant: String },
    #[error("there are {given} arguments, and it takes {most}")]
    TooManyArguments { given: usize, most: usize },
    #[error("the argument \"{0}\" is given twice: by its place and by its name")]
    ArgumentTwice(&'static str),
    #[error(
        "the arguments are no JSON: there is NaN or Infinity in them, or half a character, or they are nested too deeply"
    )]
    PythonOnly,
    #[error("there is no column \"{column}\"; the columns are: {columns}")]
    NoSuchColumn { column: String, columns: String },
    /// The same, where the columns are not told.
    #[error("there is no column \"{0}\"")]
    NoSuchColumnHere(String),
    #[error(
        "the column \"{0}\" identifies people: it is named as one of identifiers, or all of its values are different. The \
         policies of the node can allow it (allowed_identifiers)"
    )]
    Identifiers(String),
    #[error("the column \"{column}\" is not numeric: {kind}")]
    NotNumeric { column: String, kind: String },
    #[error("a partial result is not what it should be: {0}")]
    UnexpectedPartialResult(String),
    #[error("the database cannot be read: {0}")]
    Unreadable(String),
    /// The same, with a reason that is for the organization's own people: it can hold what others may not read.
    #[error("the database cannot be read: {told}")]
    Damaged { told: &'static str, reason: String },
    #[error("it needs more memory than this node has for runs")]
    TooLarge,
    #[error("it was stopped")]
    Stopped,
}

impl AlgorithmError {
    /// Whether it says something of the data, and not only of what was asked.
    pub fn is_about_data(&self) -> bool {
        matches!(
            self,
            AlgorithmError::Identifiers(_)
                | AlgorithmError::Unreadable(_)
                | AlgorithmError::Damaged { .. }
                | AlgorithmError::TooLarge
        )
    }

    /// What the organization's own people read, with what others may not.
    pub fn in_full(&self) -> String {
        match self {
            AlgorithmError::Damaged { told: OF_A_LINE, reason } => format!("the database cannot be read: {reason}"),
            AlgorithmError::Damaged { reason, .. } => format!("{self} ({reason})"),
            error => error.to_string(),
        }
    }
}
