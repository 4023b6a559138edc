//! What a run asks for, as this node understands it.

use serde_json::{Value, json};

use super::{error::RunError, runtime, station::Shared};
use crate::{
    algorithms,
    protocol::{
        client::ClientError,
        domain::FunctionCall,
        policy::{Answer, Policies, ReleaseMode, Request, Requester, ReviewMode, Store},
        review::{Asked, ReviewRequest, ReviewedDatabase},
        wire::v4,
    },
};

/// The most tasks above a subtask.
const DEPTH: usize = 8;

/// A run's request with everything that decisions about it need.
pub struct RunRequest {
    pub review: ReviewRequest,
    pub requester: Requester,
    /// Who began it, if a central function asks: both have to be allowed, or whoever is not would ask through another.
    beginner: Option<Requester>,
    store: Store,
    /// Other names of the same code.
    other_images: Vec<&'static str>,
    other_functions: Vec<&'static str>,
    /// Labels of the databases that the function reads.
    reads: Vec<String>,
}

impl RunRequest {
    /// Gathers what the run, the server and the function tell; an error unless it is surely allowed and can run here.
    pub async fn of(shared: &Shared, task: &v4::Task, call: &FunctionCall) -> Result<RunRequest, RunError> {
        let requester = requester(shared, task).await?;
        let first = beginning(shared, task).await?;
        let beginner = match &first {
            Some(first) => Some(self::requester(shared, first).await?),
            None => None,
        };
        let store = store(shared, task).await?;
        let about = runtime::about(shared, task, call);
        let mut databases: Vec<ReviewedDatabase> = task.databases.iter().map(database).collect();
        if let Some(label) = about.standard_database.filter(|_| databases.is_empty()) {
            databases.push(ReviewedDatabase { label, parameters: json!({}) });
        }
        if !about.takes_parameters && databases.iter().any(|database| database.parameters != json!({})) {
            return Err(RunError::Parameters);
        }
        // All that are named, so that none is let through beside another.
        let named = databases.iter().map(|database| database.label.clone());
        let reads = if about.reads_data { named.collect() } else { Vec::new() };
        let asked = Asked {
            image: task.image.clone(),
            // Only after the policies have been asked: it reads the code.
            digest: String::new(),
            function: call.function.clone(),
            args: call.args.clone(),
            kwargs: call.kwargs.clone(),
            databases,
            columns: about.columns,
            organization_id: shared.organization_id,
            collaboration_id: shared.collaboration_id,
            user_id: requester.user_id,
            requester_organization_id: requester.organization_id,
            beginner_user_id: beginner.as_ref().and_then(|beginner| beginner.user_id),
            beginner_organization_id: beginner.as_ref().and_then(|beginner| beginner.organization_id),
        };
        let review = ReviewRequest {
            asked,
            does: about.does,
            discloses: about.discloses,
            task_id: task.id,
            task_name: task.name.clone(),
            // Central functions describe their subtasks seldom: what it is for stands with the task that began it.
            purpose: [Some(task), first.as_ref()]
                .into_iter()
                .flatten()
                .filter_map(|task| task.description.clone())
                .find(|description| !description.trim().is_empty())
                .unwrap_or_default(),
            parent_id: task.parent.as_ref().map(|link| link.id),
            username: requester.username.clone(),
            requester_organization: requester.organization.clone(),
            beginner_organization: beginner.as_ref().and_then(|beginner| beginner.organization.clone()),
            unusual: Vec::new(),
        };
        review.check().map_err(RunError::TooLarge)?;
        let is_built_in = algorithms::is_built_in(&task.image);
        let mut request = RunRequest {
            review,
            requester,
            beginner,
            store,
            other_images: if is_built_in { vec![algorithms::AVERAGE_IMAGE] } else { Vec::new() },
            other_functions: algorithms::other_names(&task.image, &call.function),
            reads,
        };
        request.check(&shared.policies)?;
        runtime::check(shared, task, call)?;
        request.review.asked.digest = runtime::digest(shared, &task.image).await?;
        request.review.unusual = shared.store.unusual(&request.review).await?;
        Ok(request)
    }

    /// When an admin decides whether it may start: as strictly as for whoever asks and whoever began it.
    pub fn review_mode(&self, policies: &Policies) -> ReviewMode {
        self.for_policies().map(|request| policies.review_mode(&request)).max().unwrap_or(ReviewMode::Always)
    }

    /// When an admin decides whether its result may leave, in the same way.
    pub fn release_mode(&self, policies: &Policies) -> ReleaseMode {
        self.for_policies().map(|request| policies.release_mode(&request)).max().unwrap_or(ReleaseMode::Review)
    }

    /// The request in the forms in which policies look at it: of whoever asks, and of whoever began it.
    fn for_policies(&self) -> impl Iterator<Item = Request<'_>> {
        let as_asked = self.as_asked();
        let as_begun = self.beginner.as_ref().map(|beginner| Request { requester: beginner, ..as_asked.clone() });
        [Some(as_asked), as_begun].into_iter().flatten()
    }

    fn as_asked(&self) -> Request<'_> {
        let asked = &self.review.asked;
        Request {
            image: &asked.image,
            other_images: &self.other_images,
            function: Some(&asked.function),
            other_functions: &self.other_functions,
            requester: &self.requester,
            store: &self.store,
            databases: &self.reads,
            columns: asked.columns.as_deref(),
        }
    }

    /// An error unless the policies surely allow it.
    fn check(&self, policies: &Policies) -> Result<(), RunError> {
        for request in self.for_policies() {
            match policies.answer(&request) {
                Answer::Allowed => {}
                // What cannot be told is not allowed.
                Answer::Refused(reason) | Answer::Unknown(reason) => return Err(RunError::NotAllowed(reason)),
            }
        }
        Ok(())
    }
}

fn database(database: &v4::TaskDatabase) -> ReviewedDatabase {
    let parameters = database.parameters.as_deref().unwrap_or("{}");
    let parameters = serde_json::from_str(parameters).unwrap_or_else(|_| Value::String(parameters.to_owned()));
    // Absent and empty are the same.
    let is_absent = match &parameters {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Object(object) => object.values().all(Value::is_null),
        _ => false,
    };
    let parameters = if is_absent { json!({}) } else { parameters };
    ReviewedDatabase { label: database.label.clone(), parameters }
}

/// Who asks, with names as far as the server tells them: servers of the 4.x line tell nodes no usernames.
async fn requester(shared: &Shared, task: &v4::Task) -> Result<Requester, RunError> {
    let user_id = task.init_user.as_ref().map(|link| link.id);
    let organization_id = task.init_org.as_ref().map(|link| link.id);
    let server = shared.hub.transport().server().await.map_err(RunError::of_call)?;
    let username = async {
        match user_id {
            Some(id) if server.has_reviews => told(shared.hub.user(id).await.map(|user| user.username)),
            _ => Ok(None),
        }
    };
    let organization = async {
        match organization_id {
            Some(id) => told(shared.hub.organization(id).await.map(|organization| organization.name)),
            None => Ok(None),
        }
    };
    let (username, organization) = futures::try_join!(username, organization)?;
    Ok(Requester { user_id, username, organization_id, organization })
}

/// A name, if the server tells it; an error only if it may tell it later.
fn told(name: Result<String, ClientError>) -> Result<Option<String>, RunError> {
    match name {
        Ok(name) => Ok(Some(name)),
        Err(ClientError::NotAllowed(_) | ClientError::NotFound(_)) => Ok(None),
        // Also an answer that makes no sense: it is no reason to refuse somebody for good.
        Err(error) => Err(RunError::ServerAway(error)),
    }
}

/// The task with which it began, if this one was created by a central function.
async fn beginning(shared: &Shared, task: &v4::Task) -> Result<Option<v4::Task>, RunError> {
    let mut parent = task.parent.as_ref().map(|link| link.id);
    let mut first = None;
    for _ in 0..DEPTH {
        let Some(id) = parent else { return Ok(first) };
        let task = shared.hub.task_as_sent(id).await.map_err(RunError::of_call)?;
        parent = task.parent.as_ref().map(|link| link.id);
        first = Some(task);
    }
    Err(RunError::NotAllowed("its tasks are nested too deeply to tell who began them".to_owned()))
}

/// The store of a task, if policies ask for it: the node itself looks whether the store has the image, since the server
/// could say anything.
async fn store(shared: &Shared, task: &v4::Task) -> Result<Store, RunError> {
    if shared.policies.allowed_algorithm_stores.is_none() {
        return Ok(Store::Unknown);
    }
    let Some(id) = task.algorithm_store.as_ref().map(|link| link.id) else { return Ok(Store::None) };
    let stores = match shared.hub.stores_of(shared.collaboration_id).await {
        Ok(stores) => stores,
        Err(error) if error.is_temporary() => return Err(RunError::ServerAway(error)),
        Err(_) => return Ok(Store::Unknown),
    };
    let Some(store) = stores.into_iter().find(|store| store.id == id) else { return Ok(Store::None) };
    match store.algorithms().await {
        Ok(algorithms) => {
            let has = algorithms.iter().any(|algorithm| {
                algorithm.image == task.image || algorithm.image.split('@').next() == Some(task.image.as_str())
            });
            Ok(if has { Store::At(store.url) } else { Store::None })
        }
        Err(error) => {
            tracing::warn!(store = store.name, %error, "it is not known what an algorithm store has");
            Ok(Store::Unknown)
        }
    }
}
