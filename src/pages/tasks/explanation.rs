//! What a run waits for or why it failed, who can change that, and what to do next.

use super::state::Help;
use crate::protocol::{
    domain::Run,
    review::{AWAITING_RELEASE, AWAITING_REVIEW, ReviewState, Subject},
    status::Status,
};

/// Whether a run waits for an admin of its organization. Our hub tells; with another server the end of the log does.
pub fn awaits(run: &Run) -> Option<Subject> {
    if run.status.is_final() {
        return None;
    }
    if let Some(review) = &run.review {
        return (review.state == ReviewState::Waiting).then_some(review.subject);
    }
    let last = run.log.lines().last()?;
    match run.status {
        Status::Pending if last.contains(AWAITING_REVIEW) => Some(Subject::Run),
        Status::Active if last.contains(AWAITING_RELEASE) => Some(Subject::Result),
        _ => None,
    }
}

/// Since when it waits, as the hub or the log tells.
fn since(run: &Run) -> String {
    let told = run.review.as_ref().map(|review| review.since.as_str());
    let time = told.or_else(|| run.log.lines().last()).unwrap_or_default();
    time.get(..16).map(|minute| format!(" since {} UTC", minute.replace('T', " "))).unwrap_or_default()
}

/// How our nodes begin to say that a file is at fault, and no argument.
const UNREADABLE: &str = "the database cannot be read";

/// Words for a run; `None` if there is nothing to explain.
pub fn explain(run: &Run, organization: &str) -> Option<Help> {
    let online = run.node.as_ref().is_some_and(|node| node.online);
    let admin = format!("the admin of {organization}");
    let waits = awaits(run);
    let (what, who, next) = match &run.status {
        _ if online && waits == Some(Subject::Run) => (
            format!("{organization} has not decided yet whether it may start: waiting{}.", since(run)),
            admin,
            "Wait, or ask them.".to_owned(),
        ),
        _ if online && waits == Some(Subject::Result) => (
            format!("The result is there; {organization} looks at it before it leaves: waiting{}.", since(run)),
            admin,
            "Wait, or ask them.".to_owned(),
        ),
        Status::Pending | Status::Initializing | Status::Active if !online => (
            format!("The node of {organization} is offline. The run goes on by itself when the node is back."),
            admin,
            "Wait, or ask them to start their node.".to_owned(),
        ),
        Status::Crashed if reason(&run.log).is_some_and(|reason| reason.starts_with(UNREADABLE)) => (
            format!("At {organization} {}.", reason(&run.log).unwrap_or_default()),
            admin,
            "Tell them, and repeat the task when it is mended.".to_owned(),
        ),
        Status::Crashed => (
            match reason(&run.log) {
                Some(reason) => format!("The function ended with an error at {organization}: {reason}."),
                None => {
                    format!("The function ended with an error at {organization}; the last lines of the log say which.")
                }
            },
            "you, if an argument or a column is wrong; else whoever wrote the algorithm".to_owned(),
            "Read the log, then repeat the task with other arguments.".to_owned(),
        ),
        Status::StartFailed => (
            match reason(&run.log) {
                Some(reason) => format!("The node of {organization} could not start the function: {reason}."),
                None => format!("The node of {organization} could not start the function; the log says why."),
            },
            format!("you, if the database or an argument was the wrong one; else {admin}"),
            "Read the log, then repeat the task with another database or other arguments, or ask them.".to_owned(),
        ),
        Status::NoDockerImage => (
            format!("The node of {organization} cannot get this image."),
            format!("you, if its name is wrong; else {admin}"),
            "Check the image's name, or choose a function of an algorithm store.".to_owned(),
        ),
        Status::NotAllowed => (
            match reason(&run.log) {
                Some(reason) => format!("{organization} does not allow this: {}.", unprefixed(&reason)),
                None => format!("The policy of {organization} does not allow this."),
            },
            admin,
            "Change what the reason names and create the task anew, ask them, or leave the organization out."
                .to_owned(),
        ),
        Status::Killed => (
            "Somebody stopped it.".to_owned(),
            "whoever stopped it".to_owned(),
            "Repeat the task if it was stopped by mistake.".to_owned(),
        ),
        Status::Failed => (
            "It was given up, because another part of the task failed or the node could not go on.".to_owned(),
            "whoever can mend the other failure".to_owned(),
            "Look at the other runs and at the log.".to_owned(),
        ),
        Status::UnknownError => (
            format!("The node of {organization} lost track of the run."),
            admin,
            "Repeat the task; if it happens again, ask them to look at the node's log.".to_owned(),
        ),
        _ => return None,
    };
    Some(Help { what, who, next })
}

/// Why a run failed, as our nodes write it at the end of the log.
fn reason(log: &str) -> Option<String> {
    let reason = log.lines().rev().take(5).find_map(|line| Some(line.split_once("Failed: ")?.1))?;
    let short: String = reason.trim().trim_end_matches('.').chars().take(300).collect();
    (!short.is_empty()).then_some(short)
}

/// A refusal without the words that say again that it is one.
fn unprefixed(reason: &str) -> &str {
    reason.split_once("does not allow it: ").map_or(reason, |(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_last_failure_of_the_log() {
        let log = "2026-11-22 10:00:00 Started\n2026-11-22 10:00:01 Failed: the column \"sex\" is not numeric\n";
        assert_eq!(reason(log).as_deref(), Some("the column \"sex\" is not numeric"));
        assert_eq!(reason("Traceback: something else\n"), None);
    }
}
