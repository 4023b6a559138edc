//! Lists of tasks, also from servers that cannot filter and sort them.

use std::cmp::Ordering;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::{
    ClientError, HubClient,
    calls::{Listed, pair},
};
use crate::protocol::{domain::Task, status::Status, wire::v4};

/// The most tasks that are looked at here when the server cannot do it; the newest.
const LOOKED_AT: usize = 2000;
const PER_PAGE: usize = 100;

/// Which tasks to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskQuery {
    pub name: Option<String>,
    pub collaboration_id: Option<i64>,
    pub status: Option<Status>,
    pub init_user_id: Option<i64>,
    pub init_organization_id: Option<i64>,
    pub parent_id: Option<i64>,
    /// Tasks that a person created, without the subtasks of central functions.
    pub only_top_level: bool,
    /// `id`, `name`, `created_at` or `status`, with `-` in front for descending.
    pub sort: Option<String>,
    /// From 1.
    pub page: usize,
    pub per_page: usize,
}

impl TaskQuery {
    /// Whether every server can answer this.
    fn is_plain(&self) -> bool {
        let newest_first = self.sort.as_deref().is_none_or(|sort| ["-id", "-created_at"].contains(&sort));
        let wildcards = self.name.as_deref().is_some_and(|name| name.contains(['%', '_', '\\']));
        self.status.is_none() && newest_first && !wildcards
    }

    /// The parameters that every server understands.
    fn plain_pairs(&self) -> Vec<(String, String)> {
        let numbers = [
            ("collaboration_id", self.collaboration_id),
            ("init_user_id", self.init_user_id),
            ("init_org_id", self.init_organization_id),
            ("parent_id", self.parent_id),
            ("is_user_created", self.only_top_level.then_some(1)),
        ];
        numbers.into_iter().filter_map(|(name, value)| value.map(|value| pair(name, value))).collect()
    }

    fn matches(&self, task: &Task) -> bool {
        let name = self.name.as_deref().is_none_or(|name| task.name.to_lowercase().contains(&name.to_lowercase()));
        name && self.status.as_ref().is_none_or(|status| task.status == *status)
    }

    fn compare(&self, one: &Task, other: &Task) -> Ordering {
        let sort = self.sort.as_deref().unwrap_or("-id");
        let order = match sort.trim_start_matches('-') {
            "name" => one.name.cmp(&other.name),
            "created_at" => one.created_at.cmp(&other.created_at),
            "status" => one.status.as_str().cmp(other.status.as_str()),
            _ => one.id.cmp(&other.id),
        };
        let order = if sort.starts_with('-') { order.reverse() } else { order };
        order.then(other.id.cmp(&one.id))
    }
}

impl HubClient {
    /// A page of tasks.
    pub async fn tasks(&self, query: &TaskQuery) -> Result<Listed<Task>, ClientError> {
        if !query.is_plain() && !self.transport().server().await?.filters_tasks {
            return self.tasks_looked_at_here(query).await;
        }
        let mut pairs = query.plain_pairs();
        pairs.extend([pair("page", query.page.max(1)), pair("per_page", query.per_page.clamp(1, PER_PAGE))]);
        pairs.extend(query.name.as_ref().map(|name| pair("name", format!("%{}%", escape_like(name)))));
        pairs.extend(query.status.as_ref().map(|status| pair("status", status)));
        pairs.extend(query.sort.as_ref().map(|sort| pair("sort", sort)));
        self.page::<v4::Task, Task>("task", pairs).await
    }

    /// Reads the newest tasks and does here what the server cannot do.
    async fn tasks_looked_at_here(&self, query: &TaskQuery) -> Result<Listed<Task>, ClientError> {
        let of_page = |number: usize| {
            let mut pairs = query.plain_pairs();
            pairs.extend([pair("page", number), pair("per_page", PER_PAGE)]);
            // `_` stands for any character: more than wanted is found, never less.
            let pattern = query.name.as_ref().map(|name| name.replace(['%', '\\'], "_"));
            pairs.extend(pattern.map(|pattern| pair("name", format!("%{pattern}%"))));
            self.page::<v4::Task, Task>("task", pairs)
        };
        let first = of_page(1).await?;
        let pages = first.total.min(LOOKED_AT).div_ceil(PER_PAGE);
        let others: Vec<Listed<Task>> =
            stream::iter((2..=pages).map(of_page).collect::<Vec<_>>()).buffered(4).try_collect().await?;
        let is_partial = first.total > LOOKED_AT;
        let all = first.items.into_iter().chain(others.into_iter().flat_map(|page| page.items));
        let mut tasks: Vec<Task> = all.filter(|task| query.matches(task)).collect();
        tasks.sort_by(|one, other| query.compare(one, other));
        let total = tasks.len();
        let start = query.page.saturating_sub(1).saturating_mul(query.per_page);
        Ok(Listed { items: tasks.into_iter().skip(start).take(query.per_page).collect(), total, is_partial })
    }
}

/// Takes the meaning of `%` and `_` from a search text: the server compares with SQL `LIKE`. A `\` is escaped too.
pub(super) fn escape_like(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_in_a_search_text_mean_themselves() {
        assert_eq!(escape_like(r"50%_of\x"), r"50\%\_of\\x");
    }

    #[test]
    fn what_every_server_can_do_is_left_to_it() {
        let query = |sort: Option<&str>, name: Option<&str>, status: Option<Status>| {
            let (sort, name) = (sort.map(str::to_owned), name.map(str::to_owned));
            TaskQuery { sort, name, status, ..Default::default() }.is_plain()
        };
        assert!(query(None, None, None) && query(Some("-created_at"), Some("average"), None));
        assert!(!query(Some("name"), None, None));
        assert!(!query(None, Some("50%"), None));
        assert!(!query(None, None, Some(Status::Failed)));
    }
}
