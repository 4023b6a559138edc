use crate::protocol::domain::{Operation, Rule, Scope, Task, User};

/// What the signed-in user may do, as far as pages offer it. The hub decides each time by itself.
#[derive(Debug, Clone, Default)]
pub struct Permissions {
    rules: Vec<Rule>,
}

impl Permissions {
    pub fn new(rules: Vec<Rule>) -> Self {
        Permissions { rules }
    }

    fn widest(&self, resource: &str, operation: Operation) -> Option<Scope> {
        let matching = self.rules.iter().filter(|rule| rule.resource == resource && rule.operation == operation);
        matching.map(|rule| rule.scope).max()
    }

    /// Whether the hub tells of everything that happens in the collaborations. Who may not hear it, asks.
    pub fn hears_collaborations(&self) -> bool {
        self.widest("event", Operation::Receive) >= Some(Scope::Collaboration)
    }

    /// Whether tasks may be created at all.
    pub fn may_create_tasks(&self) -> bool {
        self.widest("task", Operation::Create).is_some()
    }

    /// Whether this task may be deleted.
    pub fn may_delete(&self, task: &Task, user: &User) -> bool {
        match self.widest("task", Operation::Delete) {
            Some(Scope::Global | Scope::Collaboration) => true,
            Some(Scope::Organization) => {
                task.init_organization_id.is_some() && task.init_organization_id == user.organization_id
            }
            Some(Scope::Own) => task.init_user_id == Some(user.id),
            None => false,
        }
    }

    /// Whether reviews may be read, of the own organization at least.
    pub fn may_read_reviews(&self) -> bool {
        self.widest("review", Operation::View).is_some()
    }

    /// Whether reviews of the own organization may be decided.
    pub fn may_decide_reviews(&self) -> bool {
        self.widest("review", Operation::Edit).is_some()
    }

    /// Whether the audit log may be read, of the own organization at least.
    pub fn may_read_audit(&self) -> bool {
        self.widest("audit", Operation::View).is_some()
    }

    /// Whether tasks of the collaborations may be stopped.
    pub fn may_stop_tasks(&self) -> bool {
        self.widest("event", Operation::Send) >= Some(Scope::Collaboration)
    }
}
