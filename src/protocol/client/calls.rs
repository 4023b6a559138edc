use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{ClientError, HubClient, StoreClient, hub::Counted};
use crate::protocol::{
    brief,
    domain::{Collaboration, FunctionCall, Node, Organization, Rule, Run, RunResult, Task, TaskSpec, User},
    payload::PayloadError,
    status::Status,
    wire::v4::{self, Page},
};

/// The page size for lists that are read whole, and those that are tried when pages are too large.
const PAGE_SIZES: [usize; 3] = [PER_PAGE, 10, 1];
const PER_PAGE: usize = 100;
/// The most items of a list that is read whole.
pub(super) const LIST_LIMIT: usize = 10_000;
/// The largest answer with a call that is read, with the log beside it.
const CALL_ANSWER: usize = 8 * 1024 * 1024;
/// The most bytes of a list that is read whole.
const LIST_BYTES: usize = 128 * 1024 * 1024;
/// The largest page of a node's open runs, in bytes.
const OPEN_RUNS_PAGE: usize = 8 * 1024 * 1024;
/// What is kept of the log of an open run that is not taken, in bytes.
const SHORT_LOG: usize = 1024;
/// The largest page that is read beside others, in bytes.
const SMALL_PAGE: usize = 256 * 1024;

/// A header that says that a result is downloaded: our hub notes it; others do not look at it.
pub const FOR_DOWNLOAD: &str = "atoll-download";

/// A header with the bytes of the largest answer that is of use: our hub refuses larger ones with 413 instead of sending
/// them.
pub const LARGEST_ANSWER: &str = "x-atoll-largest-answer";

/// A run that a node has still to end, as far as it is kept.
pub struct OpenRun {
    pub id: i64,
    pub task_id: i64,
    pub organization_id: Option<i64>,
    /// Of its task, where the server says so.
    pub collaboration_id: Option<i64>,
    pub user_id: Option<i64>,
    /// Whether its task is a subtask.
    pub is_part: bool,
    /// `None` if it is long.
    pub log: Option<String>,
    pub content: OpenContent,
}

/// What a run asks for.
pub enum OpenContent {
    /// The server told it at once, and it is kept.
    Whole(Box<v4::Run>),
    /// The server told it, and it is not kept.
    Left,
    /// The server tells it if it is asked for this run.
    AtServer,
}

impl OpenRun {
    fn of(run: &v4::Run, content: OpenContent) -> OpenRun {
        let task = match &run.task {
            Some(v4::RunTask::Task(task)) => Some(task),
            _ => None,
        };
        OpenRun {
            id: run.id,
            task_id: run.task.as_ref().map_or(0, v4::RunTask::id),
            organization_id: run.organization.as_ref().map(|link| link.id),
            collaboration_id: task.and_then(|task| task.collaboration.as_ref()).map(|link| link.id),
            user_id: task.and_then(|task| task.init_user.as_ref()).map(|link| link.id),
            is_part: task.is_some_and(|task| task.parent.is_some()),
            log: Some(run.log.as_deref().unwrap_or_default()).filter(|log| log.len() <= SHORT_LOG).map(str::to_owned),
            content,
        }
    }
}

/// One page of a list, and how many items there are on all pages.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<T> {
    pub items: Vec<T>,
    pub total: usize,
    /// There may be more: only the newest were looked at.
    pub is_partial: bool,
}

impl<T> Default for Listed<T> {
    /// Nothing.
    fn default() -> Self {
        Listed { items: Vec::new(), total: 0, is_partial: false }
    }
}

/// A parameter of a request.
pub(super) fn pair(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

/// What is kept of a log where only its end is of interest, in bytes.
const LOG_END: usize = 32 * 1024;

/// A run with the end of its log.
struct RunState(Run);

impl From<v4::Run> for RunState {
    fn from(wire: v4::Run) -> Self {
        // Some servers do not leave it out.
        let mut run = Run::from(v4::Run { input: None, ..wire });
        if run.log.len() > LOG_END {
            run.log = run.log[run.log.ceil_char_boundary(run.log.len() - LOG_END)..].to_owned();
        }
        RunState(run)
    }
}

impl HubClient {
    pub(super) async fn page<W: DeserializeOwned + 'static, T: From<W> + Send + 'static>(
        &self,
        path: &str,
        query: Vec<(String, String)>,
    ) -> Result<Listed<T>, ClientError> {
        Ok(self.counted_page::<W, T>(path, query).await?.read)
    }

    async fn counted_page<W: DeserializeOwned + 'static, T: From<W> + Send + 'static>(
        &self,
        path: &str,
        query: Vec<(String, String)>,
    ) -> Result<Counted<Listed<T>>, ClientError> {
        let items = |page: Page<W>| page.data.into_iter().map(T::from).collect();
        let answer = self.get_counted(path, &query, items).await;
        let Counted { read: items, total, bytes }: Counted<Vec<T>> = answer.map_err(|error| match error {
            // So servers of the 4.x line answer a filter by something that is not there (any more).
            ClientError::Rejected { status: 400, message, .. } if message.contains("does not exist") => {
                ClientError::NotFound(message)
            }
            error => error,
        })?;
        let read = Listed { total: total.unwrap_or(items.len()), items, is_partial: false };
        Ok(Counted { total: Some(read.total), read, bytes })
    }

    /// Reads a list whole; an error if it is too large for that.
    pub(super) async fn all<W: DeserializeOwned + 'static, T: From<W> + Send + 'static>(
        &self,
        path: &str,
        query: Vec<(String, String)>,
    ) -> Result<Vec<T>, ClientError> {
        let (items, is_whole) = self.as_much_as_fits(path, &query).await?;
        if is_whole { Ok(items) } else { Err(ClientError::TooLarge { limit: LIST_BYTES }) }
    }

    /// Reads a list as far as it fits into memory, and whether that is all of it. Of what is large, fewer at once.
    async fn as_much_as_fits<W: DeserializeOwned + 'static, T: From<W> + Send + 'static>(
        &self,
        path: &str,
        query: &[(String, String)],
    ) -> Result<(Vec<T>, bool), ClientError> {
        let mut outcome = Err(ClientError::TooLarge { limit: 0 });
        for per_page in PAGE_SIZES {
            outcome = self.all_by(path, query, per_page, LIST_BYTES).await;
            if !matches!(outcome, Err(ClientError::TooLarge { .. })) {
                break;
            }
        }
        outcome
    }

    /// The first page, then the others: side by side, unless they are large.
    async fn all_by<W: DeserializeOwned + 'static, T: From<W> + Send + 'static>(
        &self,
        path: &str,
        query: &[(String, String)],
        per_page: usize,
        most_bytes: usize,
    ) -> Result<(Vec<T>, bool), ClientError> {
        let of_page = |number: usize, per_page: usize| {
            let mut query = query.to_vec();
            query.extend([pair("page", number), pair("per_page", per_page)]);
            self.counted_page::<W, T>(path, query)
        };
        let Counted { read: first, mut bytes, .. } = of_page(1, per_page).await?;
        // A hub puts fewer items on its pages when they are large.
        let per_page = if first.items.is_empty() { per_page } else { per_page.min(first.items.len()) };
        if first.total > LIST_LIMIT {
            tracing::warn!(path, total = first.total, "of a list only the first {LIST_LIMIT} items are read");
        }
        let pages = first.total.min(LIST_LIMIT).div_ceil(per_page);
        let at_once = if bytes < SMALL_PAGE { 4 } else { 1 };
        let others = (2..=pages).map(|number| of_page(number, per_page)).collect::<Vec<_>>();
        let mut others = stream::iter(others).buffered(at_once);
        let mut items = first.items;
        while let Some(page) = others.try_next().await? {
            bytes += page.bytes;
            if bytes > most_bytes {
                return Ok((items, false));
            }
            items.extend(page.read.items);
            if items.len() > LIST_LIMIT {
                return Ok((items, false));
            }
        }
        Ok((items, true))
    }

    /// Who is signed in.
    pub async fn whoami(&self) -> Result<User, ClientError> {
        let id = self.tokens().subject.ok_or(ClientError::SignedOut)?;
        self.user(id).await
    }

    /// One user.
    pub async fn user(&self, id: i64) -> Result<User, ClientError> {
        Ok(self.get::<v4::User>(&format!("user/{id}"), &[]).await?.into())
    }

    /// The first page of the users that may be seen.
    pub async fn first_users(&self) -> Result<Listed<User>, ClientError> {
        self.page::<v4::User, User>("user", vec![pair("per_page", PER_PAGE)]).await
    }

    /// The rules of a user, by roles and by themselves.
    pub async fn rules_of_user(&self, user_id: i64) -> Result<Vec<Rule>, ClientError> {
        let query = [pair("user_id", user_id), pair("no_pagination", 1)];
        // With no_pagination some servers answer a bare list.
        let answer: Value = self.get("rule", &query).await?;
        let list = answer.get("data").cloned().unwrap_or(answer);
        let rules: Vec<v4::Rule> =
            brief::from_value(list).map_err(|error| ClientError::Unreadable(error.to_string()))?;
        Ok(rules.into_iter().filter_map(|rule| Rule::try_from(rule).ok()).collect())
    }

    /// All organizations that may be seen.
    pub async fn organizations(&self) -> Result<Vec<Organization>, ClientError> {
        self.all::<v4::Organization, _>("organization", vec![]).await
    }

    /// The organizations of a collaboration.
    pub async fn organizations_of(&self, collaboration_id: i64) -> Result<Vec<Organization>, ClientError> {
        self.all::<v4::Organization, _>("organization", vec![pair("collaboration_id", collaboration_id)]).await
    }

    /// The organizations of a study.
    pub async fn organizations_of_study(&self, study_id: i64) -> Result<Vec<Organization>, ClientError> {
        self.all::<v4::Organization, _>("organization", vec![pair("study_id", study_id)]).await
    }

    /// One organization.
    pub async fn organization(&self, id: i64) -> Result<Organization, ClientError> {
        Ok(self.get::<v4::Organization>(&format!("organization/{id}"), &[]).await?.into())
    }

    /// All collaborations that may be seen, with their organizations.
    pub async fn collaborations(&self) -> Result<Vec<Collaboration>, ClientError> {
        self.all::<v4::Collaboration, _>("collaboration", vec![pair("include", "organizations")]).await
    }

    /// One collaboration with its organizations.
    pub async fn collaboration(&self, id: i64) -> Result<Collaboration, ClientError> {
        let path = format!("collaboration/{id}");
        Ok(self.get::<v4::Collaboration>(&path, &[pair("include", "organizations")]).await?.into())
    }

    /// All nodes that may be seen.
    pub async fn nodes(&self) -> Result<Vec<Node>, ClientError> {
        self.all::<v4::Node, _>("node", vec![]).await
    }

    /// The nodes of a collaboration.
    pub async fn nodes_of(&self, collaboration_id: i64) -> Result<Vec<Node>, ClientError> {
        self.all::<v4::Node, _>("node", vec![pair("collaboration_id", collaboration_id)]).await
    }

    /// One node.
    pub async fn node(&self, id: i64) -> Result<Node, ClientError> {
        Ok(self.get::<v4::Node>(&format!("node/{id}"), &[]).await?.into())
    }

    /// One task.
    pub async fn task(&self, id: i64) -> Result<Task, ClientError> {
        Ok(self.get::<v4::Task>(&format!("task/{id}"), &[]).await?.into())
    }

    /// One task in its wire form.
    pub async fn task_as_sent(&self, id: i64) -> Result<v4::Task, ClientError> {
        self.get(&format!("task/{id}"), &[]).await
    }

    /// The subtasks of a task, oldest first.
    pub async fn subtasks(&self, task_id: i64) -> Result<Vec<Task>, ClientError> {
        let mut tasks = self.all::<v4::Task, Task>("task", vec![pair("parent_id", task_id)]).await?;
        tasks.sort_by_key(|task| task.id);
        Ok(tasks)
    }

    /// Only the status of a task.
    pub async fn task_status(&self, id: i64) -> Result<Status, ClientError> {
        Ok(self.get::<v4::TaskStatus>(&format!("task/{id}/status"), &[]).await?.status)
    }

    /// Creates a task.
    pub async fn create_task(&self, spec: &TaskSpec) -> Result<Task, ClientError> {
        Ok(self.post::<v4::Task>("task", &v4::NewTask::from(spec)).await?.into())
    }

    /// Stops the runs of a task.
    pub async fn kill_task(&self, id: i64) -> Result<(), ClientError> {
        self.post::<Value>("kill/task", &json!({"id": id})).await.map(drop)
    }

    /// Deletes a task with its runs and results.
    pub async fn delete_task(&self, id: i64) -> Result<(), ClientError> {
        self.delete(&format!("task/{id}")).await
    }

    /// The runs of a task, oldest first.
    pub async fn runs(&self, task_id: i64) -> Result<Vec<Run>, ClientError> {
        let mut runs = self.all::<v4::Run, Run>("run", vec![pair("task_id", task_id)]).await?;
        runs.sort_by_key(|run| run.id);
        Ok(runs)
    }

    /// How the runs of a task go, oldest first: without what they were asked, where a server can leave that out, and with
    /// the end of their logs. Both may be large.
    pub async fn run_states(&self, task_id: i64) -> Result<Vec<Run>, ClientError> {
        let query = vec![pair("task_id", task_id), pair("without", "input")];
        let mut runs: Vec<Run> =
            self.all::<v4::Run, RunState>("run", query).await?.into_iter().map(|RunState(run)| run).collect();
        runs.sort_by_key(|run| run.id);
        Ok(runs)
    }

    /// The runs of a task at an organization, with what they were asked.
    pub async fn runs_at(&self, task_id: i64, organization_id: i64) -> Result<Vec<Run>, ClientError> {
        let query = vec![pair("task_id", task_id), pair("organization_id", organization_id)];
        self.all::<v4::Run, Run>("run", query).await
    }

    /// How one run goes, with its whole log.
    pub async fn run_state(&self, id: i64) -> Result<Run, ClientError> {
        let query = [pair("without", "input")];
        let without_input = |run: v4::Run| Run::from(v4::Run { input: None, ..run });
        Ok(self.get_counted(&format!("run/{id}"), &query, without_input).await?.read)
    }

    /// The results of a task, in the order of its runs.
    pub async fn results(&self, task_id: i64) -> Result<Vec<RunResult>, ClientError> {
        let mut results = self.all::<v4::ResultItem, RunResult>("result", vec![pair("task_id", task_id)]).await?;
        results.sort_by_key(|result| result.run_id);
        Ok(results)
    }

    /// The results of a task, or nothing if all together are larger than `limit` bytes.
    pub async fn results_if_within(&self, task_id: i64, limit: usize) -> Result<Option<Vec<RunResult>>, ClientError> {
        let query = vec![pair("task_id", task_id)];
        match self.limited(limit).all_by::<v4::ResultItem, RunResult>("result", &query, PER_PAGE, limit).await {
            Ok((mut results, true)) => {
                results.sort_by_key(|result| result.run_id);
                Ok(Some(results))
            }
            Ok((_, false)) | Err(ClientError::TooLarge { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The results of a task as far as they are fit to be shown, one after the other: when all together are larger than
    /// `limit` bytes, those that do not fit are [`PayloadError::TooLarge`].
    pub async fn each_result_within(
        &self,
        task_id: i64,
        limit: usize,
        mut each: impl FnMut(RunResult),
    ) -> Result<(), ClientError> {
        let mut left = limit;
        for run in self.run_states(task_id).await? {
            each(match self.limited(left).result_counted(run.id).await {
                Ok(Counted { read, bytes, .. }) => {
                    left = left.saturating_sub(bytes);
                    read
                }
                Err(ClientError::TooLarge { .. }) => {
                    RunResult { run_id: run.id, task_id: Some(task_id), value: Some(Err(PayloadError::TooLarge)) }
                }
                Err(error) => return Err(error),
            });
        }
        Ok(())
    }

    /// The result of one run.
    pub async fn result(&self, run_id: i64) -> Result<RunResult, ClientError> {
        Ok(self.result_counted(run_id).await?.read)
    }

    async fn result_counted(&self, run_id: i64) -> Result<Counted<RunResult>, ClientError> {
        self.get_counted(&format!("result/{run_id}"), &[], |item: v4::ResultItem| item.into()).await
    }

    /// The result of one run as it came, for somebody who downloads it; `None` while there is none.
    pub async fn result_for_download(&self, run_id: i64) -> Result<Option<String>, ClientError> {
        let headers = [(FOR_DOWNLOAD, "1".to_owned())];
        let item: v4::ResultItem = self.get_with(&format!("result/{run_id}"), &headers).await?;
        Ok(item.result.filter(|payload| !payload.is_empty()))
    }

    /// The runs that a node has still to end, oldest first. What they ask for is left out where a server can; of what others tell,
    /// only what `keep` gives back is in memory for longer than it takes to read some of them.
    pub async fn open_runs(
        &self,
        node_id: i64,
        mut keep: impl FnMut(v4::Run) -> Option<v4::Run>,
    ) -> Result<Vec<OpenRun>, ClientError> {
        let query =
            [pair("state", "open"), pair("node_id", node_id), pair("include", "task"), pair("without", "input")];
        let mut runs: BTreeMap<i64, OpenRun> = BTreeMap::new();
        // How many are asked for at once, how many of them a server puts on a page, and how many were passed.
        let (mut size, mut on_page, mut passed) = (PER_PAGE, PER_PAGE, 0);
        loop {
            let number = passed / on_page + 1;
            let query = [query.as_slice(), &[pair("page", number), pair("per_page", size)]].concat();
            // A single one is read however large it is.
            let page = match size {
                1 => self.page::<v4::Run, v4::Run>("run", query).await,
                _ => self.limited(OPEN_RUNS_PAGE).page::<v4::Run, v4::Run>("run", query).await,
            };
            let Listed { items, total, .. } = match page {
                Err(ClientError::TooLarge { .. }) if size > 1 => {
                    size /= 10;
                    on_page = size;
                    continue;
                }
                page => page?,
            };
            let begin = (number - 1) * on_page;
            if items.is_empty() {
                break;
            }
            // A hub puts fewer on all pages of a list that is large: then this one began elsewhere.
            if items.len() < on_page && begin + items.len() < total {
                on_page = items.len();
                if number > 1 {
                    continue;
                }
            }
            passed = begin + items.len();
            for run in items {
                // What ended meanwhile moves the others.
                if runs.contains_key(&run.id) {
                    continue;
                }
                let mut open = OpenRun::of(&run, OpenContent::AtServer);
                if run.input.is_some() {
                    open.content = keep(run).map_or(OpenContent::Left, |run| OpenContent::Whole(Box::new(run)));
                }
                runs.insert(open.id, open);
            }
            if passed >= total.min(LIST_LIMIT) {
                break;
            }
            if size < PER_PAGE && passed.is_multiple_of(size * 10) {
                size *= 10;
                on_page = size;
            }
        }
        Ok(runs.into_values().collect())
    }

    /// One of them whole, in wire form with its task.
    pub async fn open_run(&self, id: i64) -> Result<v4::Run, ClientError> {
        self.get(&format!("run/{id}"), &[pair("include", "task")]).await
    }

    /// What a run was asked, or why that cannot be read here; `None` where a server does not tell.
    pub async fn call_of(&self, run_id: i64) -> Result<Option<Result<FunctionCall, PayloadError>>, ClientError> {
        let of_run = |run: v4::Run| Run::from(run).call;
        match self.limited(CALL_ANSWER).get_counted(&format!("run/{run_id}"), &[], of_run).await {
            Ok(counted) => Ok(counted.read),
            Err(ClientError::TooLarge { .. }) => Ok(Some(Err(PayloadError::CallTooLarge))),
            Err(error) => Err(error),
        }
    }

    /// Reports what became of a run.
    pub async fn report_run(&self, id: i64, patch: &v4::RunPatch) -> Result<(), ClientError> {
        self.patch(&format!("run/{id}?without=input"), patch).await
    }

    /// A token for the algorithm of a task, with which it can create subtasks.
    pub async fn container_token(&self, task_id: i64, image: &str) -> Result<String, ClientError> {
        let body = json!({"task_id": task_id, "image": image});
        Ok(self.post::<v4::ContainerToken>("token/container", &body).await?.container_token)
    }

    /// The algorithm stores linked to a collaboration: those of its own and those of all.
    pub async fn stores_of(&self, collaboration_id: i64) -> Result<Vec<StoreClient>, ClientError> {
        let query = vec![pair("collaboration_id", collaboration_id)];
        let links = self.all::<v4::StoreLink, v4::StoreLink>("algorithmstore", query).await?;
        Ok(links.into_iter().map(|link| StoreClient::new(self, link)).collect())
    }
}
