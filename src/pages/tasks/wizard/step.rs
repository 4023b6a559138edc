/// The questions of the wizard, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Collaboration,
    Function,
    Organizations,
    Database,
    Arguments,
    Name,
    Overview,
}

/// Steps with their names in addresses and on screen.
pub const STEPS: [(Step, &str, &str); 7] = [
    (Step::Collaboration, "collaboration", "Collaboration"),
    (Step::Function, "function", "Function"),
    (Step::Organizations, "organizations", "Organizations"),
    (Step::Database, "database", "Database"),
    (Step::Arguments, "arguments", "Arguments"),
    (Step::Name, "name", "Name and description"),
    (Step::Overview, "overview", "Overview"),
];

impl Step {
    /// The step of this name in an address; the first for anything else.
    pub fn from_key(key: &str) -> Step {
        STEPS.iter().find(|(_, known, _)| *known == key).map_or(Step::Collaboration, |(step, ..)| *step)
    }

    /// The name in addresses.
    pub fn key(self) -> &'static str {
        STEPS[self as usize].1
    }

    /// The name on screen.
    pub fn title(self) -> &'static str {
        STEPS[self as usize].2
    }

    /// The step after this one.
    pub fn next(self) -> Step {
        STEPS.get(self as usize + 1).map_or(Step::Overview, |(step, ..)| *step)
    }

    /// The step before this one.
    pub fn previous(self) -> Option<Step> {
        (self as usize).checked_sub(1).map(|index| STEPS[index].0)
    }
}

/// The address of a step of a draft.
pub fn address(draft: &str, step: Step) -> String {
    format!("/tasks/new?draft={draft}&step={}", step.key())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_stand_in_their_order() {
        for (index, (step, key, _)) in STEPS.iter().enumerate() {
            assert_eq!(*step as usize, index);
            assert_eq!(Step::from_key(key), *step);
        }
        assert_eq!(Step::Collaboration.previous(), None);
        assert_eq!(Step::Overview.next(), Step::Overview);
    }
}
