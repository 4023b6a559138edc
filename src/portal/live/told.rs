//! What events have told of a task and its state does not show yet.

use std::collections::HashSet;

use crate::{pages::TaskState, protocol::event::Event};

/// Servers of the 4.x line tell before they store: a node says that a run has ended before it reports its result, and
/// the server says that a run was changed just before it is. Whoever looks at once may see the state of before, and no
/// further event comes.
#[derive(Default)]
pub struct Told {
    /// Runs that have ended, as their node says.
    ended: HashSet<i64>,
    /// Whether something was changed that is not known.
    changed: bool,
}

impl Told {
    /// Takes note of an event that concerns the task.
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::StatusChange(change) if change.status.is_final() => {
                self.ended.insert(change.run_id);
            }
            Event::RunChanged { .. } => self.changed = true,
            _ => {}
        }
    }

    /// Whether a state that was just read is behind what was told. `is_new`: it differs from the one before.
    pub fn is_ahead_of(&mut self, state: &TaskState, is_new: bool) -> bool {
        self.ended.retain(|id| state.run(*id).is_some_and(|run| !run.status.is_final()));
        self.changed &= !is_new;
        self.changed || !self.ended.is_empty()
    }

    /// Enough looks were taken; only another event is a reason for more.
    pub fn give_up(&mut self) {
        *self = Told::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        pages::RunState,
        protocol::{event::StatusChange, status::Status},
    };

    fn state(status: Status) -> TaskState {
        let run = RunState {
            id: 7,
            organization: String::new(),
            node: String::new(),
            status: status.clone(),
            awaits: None,
            started: String::new(),
            duration: String::new(),
            log: Default::default(),
            help: None,
        };
        TaskState {
            status,
            finished: false,
            as_of: String::new(),
            progress: String::new(),
            runs: vec![run],
            older_subtasks: 0,
            subtasks: Vec::new(),
            results: None,
        }
    }

    fn ended(run_id: i64) -> Event {
        Event::StatusChange(StatusChange {
            status: Status::Completed,
            run_id,
            task_id: 1,
            job_id: None,
            collaboration_id: 1,
            node_id: None,
            organization_id: 2,
            parent_id: None,
        })
    }

    #[test]
    fn an_end_that_was_told_is_looked_for_until_it_shows() {
        let mut told = Told::default();
        assert!(!told.is_ahead_of(&state(Status::Active), true));
        told.note(&ended(7));
        // Its log may have grown, but it has not ended.
        assert!(told.is_ahead_of(&state(Status::Active), true));
        assert!(told.is_ahead_of(&state(Status::Active), false));
        assert!(!told.is_ahead_of(&state(Status::Completed), true));
        assert!(!told.is_ahead_of(&state(Status::Completed), false));
    }

    #[test]
    fn a_change_that_was_told_is_looked_for_until_something_has_changed() {
        let mut told = Told::default();
        told.note(&Event::RunChanged { run_id: 7 });
        assert!(told.is_ahead_of(&state(Status::Active), false));
        assert!(!told.is_ahead_of(&state(Status::Completed), true));
    }

    #[test]
    fn what_never_shows_is_given_up_and_runs_that_are_not_there_are_not_waited_for() {
        let mut told = Told::default();
        told.note(&ended(8));
        assert!(!told.is_ahead_of(&state(Status::Active), false));
        told.note(&ended(7));
        told.give_up();
        assert!(!told.is_ahead_of(&state(Status::Active), false));
    }
}
