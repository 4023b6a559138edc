use crate::protocol::domain::{Operation, Rule, RuleItem, Scope, Task, User};

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

    /// Whether an operation is permitted on something of this organization and these collaborations: as the hub decides
    /// it, as far as that can be told here. `shares`: whether it takes part in a collaboration of the own organization.
    fn may_at(&self, resource: &str, operation: Operation, is_own: bool, shares: bool) -> bool {
        match self.widest(resource, operation) {
            Some(Scope::Global) => true,
            Some(Scope::Collaboration) => is_own || shares,
            Some(Scope::Organization) => is_own,
            Some(Scope::Own) | None => false,
        }
    }

    /// Whether organizations may be created.
    pub fn may_create_organizations(&self) -> bool {
        self.widest("organization", Operation::Create) == Some(Scope::Global)
    }

    /// Whether an organization may be changed.
    pub fn may_edit_organization(&self, is_own: bool, shares: bool) -> bool {
        self.may_at("organization", Operation::Edit, is_own, shares)
    }

    /// Whether an organization may be deleted; the own one never.
    pub fn may_delete_organization(&self, is_own: bool) -> bool {
        !is_own && self.widest("organization", Operation::Delete) == Some(Scope::Global)
    }

    /// Whether collaborations may be created.
    pub fn may_create_collaborations(&self) -> bool {
        self.widest("collaboration", Operation::Create) == Some(Scope::Global)
    }

    /// Whether a collaboration may be changed or deleted; `takes_part`: whether the own organization is in it.
    pub fn may_at_collaboration(&self, operation: Operation, takes_part: bool) -> bool {
        match self.widest("collaboration", operation) {
            Some(Scope::Global) => true,
            Some(Scope::Collaboration) => takes_part,
            _ => false,
        }
    }

    /// Whether studies of a collaboration may be created, changed or deleted.
    pub fn may_at_study(&self, operation: Operation, takes_part: bool) -> bool {
        match self.widest("study", operation) {
            Some(Scope::Global) => true,
            Some(Scope::Collaboration) => takes_part,
            _ => false,
        }
    }

    /// Whether who is signed in may touch how people of an organization sign in, or get its nodes' keys: only who belongs
    /// to it, and Root.
    fn is_inside(&self, resource: &str, operation: Operation, is_own: bool) -> bool {
        match self.widest(resource, operation) {
            Some(Scope::Global) => true,
            Some(Scope::Collaboration | Scope::Organization) => is_own,
            Some(Scope::Own) | None => false,
        }
    }

    /// Whether a node of an organization may be registered or deleted, or its key replaced. A vantage6 server also permits it
    /// to those who administer a collaboration, which is not offered.
    pub fn may_get_key(&self, operation: Operation, is_own: bool) -> bool {
        self.is_inside("node", operation, is_own)
    }

    /// Whether nodes of an organization may be changed.
    pub fn may_at_node(&self, operation: Operation, is_own: bool, shares: bool) -> bool {
        self.may_at("node", operation, is_own, shares)
    }

    /// Whether there are users to be seen beside oneself.
    pub fn may_manage_users(&self) -> bool {
        let any = |operation| self.widest("user", operation) > Some(Scope::Own);
        any(Operation::Create) || any(Operation::Edit)
    }

    /// Whether users of an organization may be created or deleted, and how they sign in may be touched.
    pub fn may_touch_user(&self, operation: Operation, is_own: bool) -> bool {
        self.is_inside("user", operation, is_own)
    }

    /// Whether names and roles of users of an organization may be changed.
    pub fn may_at_user(&self, operation: Operation, is_own: bool, shares: bool) -> bool {
        self.may_at("user", operation, is_own, shares)
    }

    /// Whether roles of an organization may be created, changed or deleted. Roles of no organization are for those who
    /// may do so everywhere.
    pub fn may_at_role(&self, operation: Operation, is_own: bool) -> bool {
        self.may_at("role", operation, is_own, false)
    }

    /// Whether who is signed in has this rule, or one on the same thing that reaches further: only those can be given.
    pub fn has(&self, item: &RuleItem) -> bool {
        item.rule.is_some_and(|(scope, operation)| self.widest(&item.resource, operation) >= Some(scope))
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

    /// Whether the whole audit log may be read, and what is wrong with the hub.
    pub fn may_read_whole_audit(&self) -> bool {
        self.widest("audit", Operation::View) == Some(Scope::Global)
    }

    /// Whether tasks of the collaborations may be stopped.
    pub fn may_stop_tasks(&self) -> bool {
        self.widest("event", Operation::Send) >= Some(Scope::Collaboration)
    }
}
