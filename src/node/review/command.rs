//! Reviews by the command line: with these files at hand, no server is needed to decide.

use std::fmt::Write;

use serde_json::{Value, json};

use super::release;
use crate::{
    node::{
        NodeConfig, database, head_key,
        store::{DecideError, NodeStore, StoreError, StoredReview},
    },
    protocol::{
        payload,
        printable::printable,
        review::{Approval, Decision, ReviewState, Subject, Verdict},
        timestamp,
    },
};

/// The most reviews that a list shows.
const LISTED: u32 = 200;

/// Why a command does not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("run {0} has no review at this node")]
    NoSuchReview(i64),
    #[error("no approval of a start of run {0} is known here that could be withdrawn")]
    NothingToWithdraw(i64),
    #[error(
        "what run {run_id} asks for has changed since its first review: look at it with `show`, then add --hash {hash}"
    )]
    Changed { run_id: i64, hash: String },
    #[error(
        "run {0} has ended, this is about its result: look at it with `show`, which says its hash, then add --hash"
    )]
    NeedsHash(i64),
    #[error("--hash needs at least its first 8 characters")]
    ShortHash,
    #[error("the hash of what run {run_id} asks for is {hash}: it is not what you name")]
    OtherHash { run_id: i64, hash: String },
    #[error("{0}")]
    Decide(#[from] DecideError),
    #[error("the configuration has no review_page, such as 127.0.0.1:7000")]
    NoPage,
    #[error("--until is no date such as 2027-01-31")]
    NoDate,
}

/// A decision as it is typed.
pub struct Decide {
    pub run_id: i64,
    pub verdict: Verdict,
    pub reason: String,
    /// Who decides.
    pub by: String,
    /// The beginning of the hash of what was looked at.
    pub hash: Option<String>,
    pub approval: Approval,
}

fn who(review: &StoredReview) -> String {
    let asked = &review.request.asked;
    let user = match (&review.request.username, asked.user_id) {
        (Some(name), Some(id)) => format!("{name} (user {id})"),
        (_, Some(id)) => format!("user {id}"),
        (_, None) => "a deleted user".to_owned(),
    };
    printable(&review.request.asked_by(&user))
}

fn subject(review: &StoredReview) -> &'static str {
    match review.subject {
        Subject::Run => "start",
        Subject::Result => "release",
    }
}

/// What a review decides about.
pub fn subject_words(review: &StoredReview) -> &'static str {
    match review.subject {
        Subject::Run => "whether it may start",
        Subject::Result => "whether its result may leave",
    }
}

fn minute(time: &str) -> String {
    time.get(..16).unwrap_or(time).replace('T', " ")
}

/// All reviews as a table: those that wait first, the oldest of them on top.
pub async fn list(config: &NodeConfig) -> Result<String, CommandError> {
    let store = NodeStore::open(&config.state_file()).await?;
    let reviews = store.reviews(LISTED).await?;
    if reviews.is_empty() {
        return Ok("No run of this node has been reviewed or waits for a review.\n".to_owned());
    }
    let header = ["RUN", "STATE", "ABOUT", "SINCE (UTC)", "FUNCTION", "WHO"].map(str::to_owned);
    let rows = reviews.iter().map(|review| {
        [
            review.run_id.to_string(),
            review.state.as_str().to_owned(),
            subject(review).to_owned(),
            minute(&review.since),
            printable(&review.request.asked.function),
            who(review),
        ]
    });
    let table: Vec<[String; 6]> = std::iter::once(header).chain(rows).collect();
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &table {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    Ok(text)
}

async fn find(store: &NodeStore, run_id: i64) -> Result<StoredReview, CommandError> {
    store.review_of_run(run_id).await?.ok_or(CommandError::NoSuchReview(run_id))
}

/// Everything about the review of a run, a held result included.
pub async fn show(config: &NodeConfig, run_id: i64) -> Result<String, CommandError> {
    let store = NodeStore::open(&config.state_file()).await?;
    let review = find(&store, run_id).await?;
    let earlier = store.earlier_decisions(&review).await?;
    Ok(describe(&review, &earlier))
}

/// Everything about a review, a held result included: names and texts.
pub fn facts_of(review: &StoredReview, earlier: &[StoredReview]) -> Vec<(&'static str, String)> {
    let (request, asked) = (&review.request, &review.request.asked);
    let mut lines: Vec<(&'static str, String)> = vec![
        ("Run", format!("{} of task {} {}", review.run_id, request.task_id, request.task_name)),
        ("About", subject_words(review).to_owned()),
        ("State", format!("{} since {} UTC", review.state.as_str(), minute(&review.since))),
        ("Who asks", who(review)),
    ];
    if let Some(parent) = request.parent_id {
        let about = request.parent.as_ref().map_or_else(String::new, |parent| {
            let arguments: Vec<String> = parent.kwargs.iter().map(|(key, value)| format!("{key} = {value}")).collect();
            format!(" {}: {} with {}", parent.name, parent.function, arguments.join(", "))
        });
        lines.push(("Asked by", format!("the central function of task {parent}{about}")));
    }
    lines.push((
        "Purpose",
        if request.purpose.is_empty() { "none was given".to_owned() } else { request.purpose.clone() },
    ));
    lines.push(("Function", format!("{} of {}", asked.function, asked.image)));
    lines.push(("Code", asked.digest.clone()));
    lines.push(("What it does", request.does.clone()));
    lines.push(("What leaves", request.discloses.clone()));
    for (key, value) in &asked.kwargs {
        lines.push(("Argument", format!("{key} = {value}")));
    }
    for value in &asked.args {
        lines.push(("Argument", value.to_string()));
    }
    for database in &asked.databases {
        let is_plain = database.parameters == json!({});
        let parameters = if is_plain { String::new() } else { format!(" with {}", database.parameters) };
        lines.push(("Database", format!("{}{parameters}", database.label)));
    }
    lines.push((
        "Columns",
        match &asked.columns {
            Some(columns) if columns.is_empty() => "none".to_owned(),
            Some(columns) => columns.join(", "),
            None => "not known".to_owned(),
        },
    ));
    lines.extend(request.unusual.iter().map(|text| ("Unusual", text.clone())));
    for other in earlier {
        let decision = other.decision.as_ref().map(decided).unwrap_or_default();
        lines.push(("Earlier", format!("run {} {}{decision}", other.run_id, other.state.as_str())));
    }
    if let Some(decision) = &review.decision {
        let reach = match (review.state, review.subject) {
            (ReviewState::Approved, Subject::Run) => format!(" {}", review.approval.words()),
            _ => String::new(),
        };
        // What ended afterwards was decided all the same.
        let state = if review.ended_because.is_empty() { review.state.as_str() } else { "" };
        lines.push(("Decided", format!("{state}{reach}{}", decided(decision)).trim_start().to_owned()));
    }
    if !review.ended_because.is_empty() {
        lines.push(("Ended", format!("{}: {}", review.state.as_str(), review.ended_because)));
    }
    if review.state == ReviewState::Waiting {
        lines.push(("Ends", format!("{} UTC, if nobody decides", minute(&review.expires_at))));
    }
    lines.push(("Hash", review.hash.clone()));
    if let Some(report) = &review.report {
        let found = |count: usize, places: &[String]| match count {
            0 => "none".to_owned(),
            _ => format!("{count} ({})", places.join(", ")),
        };
        lines.push(("Values", report.values.to_string()));
        let small = format!("below {}: ", report.smallest_cell);
        lines.push(("Small cells", small + &found(report.small_cells.count, &report.small_cells.places)));
        lines.push(("Occur once", found(report.single_values.count, &report.single_values.places)));
        lines.push(("Suppressed", found(report.missing.count, &report.missing.places)));
    }
    if let Some(result) = &review.result {
        lines.push(match release::failure(result) {
            Some((status, message)) => ("Failed", format!("{status}: {message}")),
            None => {
                let value = payload::decode(result).map(|(value, _)| value);
                ("Result", value.unwrap_or(Value::String("unreadable".to_owned())).to_string())
            }
        });
    }
    lines.retain(|(_, value)| !value.is_empty());
    lines.into_iter().map(|(name, value)| (name, printable(&value))).collect()
}

fn describe(review: &StoredReview, earlier: &[StoredReview]) -> String {
    facts_of(review, earlier).into_iter().fold(String::new(), |mut text, (name, value)| {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{name:<14}{value}");
        text
    })
}

fn decided(decision: &Decision) -> String {
    let place = if decision.at_node { " at the node" } else { " at the hub" };
    let reason = if decision.reason.is_empty() { String::new() } else { format!(": {}", decision.reason) };
    format!(" by {}{place} at {} UTC{reason}", decision.by, minute(&decision.at))
}

/// Decides; what is now, in words.
pub async fn decide(config: &NodeConfig, decide: Decide) -> Result<String, CommandError> {
    let store = NodeStore::open_for_command(&config.state_file(), head_key(config)).await?;
    let run_id = decide.run_id;
    let review = match decide.verdict {
        // What was released is gone.
        Verdict::Withdraw => store.run_review(run_id).await?.ok_or(CommandError::NothingToWithdraw(run_id))?,
        _ => find(&store, run_id).await?,
    };
    match &decide.hash {
        // Also to withhold it: who means the run, and comes too late, would delete its result.
        None if review.subject == Subject::Result => {
            return Err(CommandError::NeedsHash(run_id));
        }
        Some(hash) if hash.len() < 8 => return Err(CommandError::ShortHash),
        Some(hash) if !review.hash.starts_with(hash.as_str()) => {
            return Err(CommandError::OtherHash { run_id, hash: review.hash });
        }
        None if store.has_changed(run_id, review.subject, &review.hash).await? => {
            return Err(CommandError::Changed { run_id, hash: review.hash });
        }
        _ => {}
    }
    let decision = Decision { by: decide.by, at_node: true, at: timestamp::now(), reason: decide.reason };
    let data = database::state_of_all(&config.database_list(), &review.request.asked.databases);
    let (verdict, approval) = (decide.verdict, &decide.approval);
    let decided = store.decide(review.id, &review.hash, verdict, &decision, approval, data.as_deref()).await?;
    Ok(match (decided.state, decided.subject) {
        (ReviewState::Approved, Subject::Run) => {
            format!("Run {run_id} is approved, {}; the node starts it.\n", decided.approval.words())
        }
        (ReviewState::Approved, Subject::Result) => format!("The result of run {run_id} is released.\n"),
        (ReviewState::Rejected, Subject::Run) => format!("Run {run_id} is rejected.\n"),
        (ReviewState::Rejected, Subject::Result) => format!("The result of run {run_id} is withheld and deleted.\n"),
        (ReviewState::Waiting, _) => format!("The approval of run {run_id} is withdrawn; it waits again.\n"),
        _ => format!("The approval that run {run_id} started by starts no other run.\n"),
    })
}

/// A code that opens the node's page once, with where that is.
pub async fn page_code(config: &NodeConfig) -> Result<String, CommandError> {
    let address = config.review_page.ok_or(CommandError::NoPage)?;
    let code = NodeStore::open(&config.state_file()).await?.new_page_code().await?;
    Ok(format!("{code}\nIt is good once, for ten minutes, at http://{address}/ while the node runs.\n"))
}

/// The end of a day, for approvals until a date.
pub fn end_of_day(date: &str) -> Result<String, CommandError> {
    let date: jiff::civil::Date = date.parse().map_err(|_| CommandError::NoDate)?;
    let next = date.tomorrow().map_err(|_| CommandError::NoDate)?;
    let next = next.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| CommandError::NoDate)?;
    Ok(timestamp::format(next.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_until_a_date_includes_the_day() {
        assert_eq!(end_of_day("2027-01-31").unwrap(), "2027-02-01T00:00:00.000000");
        assert!(end_of_day("soon").is_err());
    }
}
