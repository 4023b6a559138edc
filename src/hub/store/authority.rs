use std::{collections::HashSet, sync::Arc};

use serde_json::json;

use super::{AuthorityKey, Store};
use crate::hub::{
    HubError,
    permission::{Authority, CallerKind, Permission, rules_of_container, rules_of_node},
    token::ContainerSubject,
};

/// The epoch of tokens for the algorithm of a task at a node: a new key of the node ends them, and those of another task are
/// others.
pub fn container_epoch(of_node: i64, of_task: i64) -> i64 {
    of_node ^ of_task
}

impl Store {
    /// What a user may do at present; `None` if there is no such user.
    pub async fn authority_of_user(&self, user_id: i64) -> Result<Option<Arc<Authority>>, HubError> {
        let key = AuthorityKey::User(user_id);
        if let Some(authority) = self.authorities.get(&key) {
            return Ok(Some(authority));
        }
        let generation = *self.generation.borrow();
        let account: Option<(i64, i64, String)> =
            sqlx::query_as("SELECT organization_id, token_epoch, username FROM user WHERE id = ? AND disabled = 0")
                .bind(user_id)
                .fetch_optional(self.reader())
                .await?;
        let Some((organization_id, token_epoch, username)) = account else { return Ok(None) };
        let rules: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT resource, scope, operation FROM rule WHERE id IN (
                 SELECT rule_id FROM user_rule WHERE user_id = ?1 UNION
                 SELECT rule_id FROM role_rule JOIN user_role USING (role_id) WHERE user_id = ?1)",
        )
        .bind(user_id)
        .fetch_all(self.reader())
        .await?;
        let rules = rules
            .into_iter()
            .map(|(resource, scope, operation)| serde_json::from_value(json!([resource, scope, operation])))
            .collect::<Result<HashSet<Permission>, _>>()
            .map_err(|error| HubError::Internal(format!("a stored rule: {error}")))?;
        let actor = format!("user {user_id} ({username})");
        let authority = self.authority_in(actor, organization_id, None, rules, token_epoch).await?;
        self.keep(key, &authority, generation);
        Ok(Some(authority))
    }

    /// What a node may do at present; `None` if there is no such node.
    pub async fn authority_of_node(&self, node_id: i64) -> Result<Option<Arc<Authority>>, HubError> {
        let key = AuthorityKey::Node(node_id);
        if let Some(authority) = self.authorities.get(&key) {
            return Ok(Some(authority));
        }
        let generation = *self.generation.borrow();
        let place: Option<(i64, i64, i64)> =
            sqlx::query_as("SELECT organization_id, collaboration_id, token_epoch FROM node WHERE id = ?")
                .bind(node_id)
                .fetch_optional(self.reader())
                .await?;
        let Some((organization_id, collaboration_id, token_epoch)) = place else { return Ok(None) };
        let rules = rules_of_node().into_iter().collect();
        let actor = format!("node {node_id}");
        let authority = self.authority_in(actor, organization_id, Some(collaboration_id), rules, token_epoch).await?;
        self.keep(key, &authority, generation);
        Ok(Some(authority))
    }

    /// What is kept of somebody's authority is not used the next time.
    pub fn read_authority_anew(&self, kind: &CallerKind) {
        match kind {
            CallerKind::User { id } => self.authorities.invalidate(&AuthorityKey::User(*id)),
            CallerKind::Node { id } => self.authorities.invalidate(&AuthorityKey::Node(*id)),
            CallerKind::Container(_) => {}
        }
    }

    /// Keeps what was read, unless something has changed since.
    fn keep(&self, key: AuthorityKey, authority: &Arc<Authority>, generation: u64) {
        self.authorities.insert(key, authority.clone());
        if *self.generation.borrow() != generation {
            self.authorities.invalidate(&key);
        }
    }

    /// What an algorithm may do: nothing any more once its run has ended, its task or node is gone, or its organization
    /// does not take part any more in the collaboration or the study.
    pub async fn authority_of_container(&self, subject: &ContainerSubject) -> Result<Option<Arc<Authority>>, HubError> {
        let epochs: Option<(i64, i64)> = sqlx::query_as(
            "SELECT node.token_epoch, task.token_epoch FROM run JOIN task ON task.id = run.task_id
             JOIN node ON node.organization_id = run.organization_id
                 AND node.collaboration_id = task.collaboration_id
             JOIN collaboration_organization AS member ON member.organization_id = run.organization_id
                 AND member.collaboration_id = task.collaboration_id
             WHERE task_id = ? AND run.organization_id = ? AND task.collaboration_id = ? AND node.id = ?
                 AND run.finished_at IS NULL AND run.status IN ('pending', 'initializing', 'active')
                 AND (task.study_id IS NULL OR EXISTS (SELECT 1 FROM study_organization
                     WHERE study_id = task.study_id AND organization_id = run.organization_id))",
        )
        .bind(subject.task_id)
        .bind(subject.organization_id)
        .bind(subject.collaboration_id)
        .bind(subject.node_id)
        .fetch_optional(self.reader())
        .await?;
        let Some((of_node, of_task)) = epochs else { return Ok(None) };
        let epoch = container_epoch(of_node, of_task);
        let rules = rules_of_container().into_iter().collect();
        let (actor, of) = (format!("algorithm of task {}", subject.task_id), subject.collaboration_id);
        Ok(Some(self.authority_in(actor, subject.organization_id, Some(of), rules, epoch).await?))
    }

    async fn authority_in(
        &self,
        actor: String,
        organization_id: i64,
        only_collaboration: Option<i64>,
        rules: HashSet<Permission>,
        token_epoch: i64,
    ) -> Result<Arc<Authority>, HubError> {
        let pairs: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT collaboration_id, organization_id FROM collaboration_organization WHERE collaboration_id IN (
                 SELECT collaboration_id FROM collaboration_organization WHERE organization_id = ?1)
             AND (?2 IS NULL OR collaboration_id = ?2) ORDER BY 1, 2",
        )
        .bind(organization_id)
        .bind(only_collaboration)
        .fetch_all(self.reader())
        .await?;
        let mut collaborations: Vec<i64> = pairs.iter().map(|(collaboration, _)| *collaboration).collect();
        collaborations.dedup();
        let organizations: HashSet<i64> =
            pairs.iter().map(|(_, organization)| *organization).chain([organization_id]).collect();
        let mut organizations: Vec<i64> = organizations.into_iter().collect();
        organizations.sort_unstable();
        Ok(Arc::new(Authority { actor, organization_id, collaborations, organizations, rules, token_epoch }))
    }
}
