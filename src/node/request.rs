//! What a run asks for, as this node understands it.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{database, error::RunError, parent, runtime, station::Shared};
use crate::{
    algorithms,
    protocol::{
        client::ClientError,
        domain::FunctionCall,
        policy::{Answer, Columns, Policies, ReleaseMode, Request, Requester, ReviewMode, Store},
        review::{Asked, ReviewRequest, ReviewedDatabase},
        wire::v4,
    },
};

/// The most tasks above a subtask.
const DEPTH: usize = 8;

/// A run's request with everything that decisions about it need.
pub struct RunRequest {
    pub run_id: i64,
    pub review: ReviewRequest,
    /// All who have to be allowed: who asks; of a subtask each organization that asks on the way, without the user whom
    /// it acts for, and who began the task. Otherwise somebody who is not allowed could ask through another.
    askers: Vec<Requester>,
    store: Store,
    /// Other names of the same code.
    other_images: Vec<&'static str>,
    other_functions: Vec<&'static str>,
    /// Whether who asks may learn which columns there are.
    tells_columns: bool,
    /// Labels of the databases that the function reads.
    reads: Vec<String>,
    /// With which data it was started, where its approval holds for no others.
    pub started_with: Option<String>,
}

impl RunRequest {
    /// Gathers what the run, the server and the function tell; an error unless it is surely allowed and can run here.
    pub async fn of(
        shared: &Shared,
        run_id: i64,
        task: &v4::Task,
        call: &FunctionCall,
    ) -> Result<RunRequest, RunError> {
        let asking = shared.questions.acquire().await;
        let requester = requester(shared, task).await?;
        let mut above = tasks_above(shared, task).await?;
        let first = above.pop();
        let beginner = match &first {
            Some(first) => Some(self::requester(shared, first).await?),
            None => None,
        };
        let mut between = Vec::new();
        for task in &above {
            between.push(self::requester(shared, task).await?);
        }
        let parent = match &task.parent {
            Some(link) => Some(parent::of(shared, task, call, link.id).await?),
            None => None,
        };
        let store = store(shared, task).await?;
        drop(asking);
        let about = runtime::about(shared, task, call);
        let mut databases: Vec<ReviewedDatabase> = task.databases.iter().map(database_of).collect();
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
            written: call.written.clone(),
            databases,
            columns: about.columns,
            organization_id: shared.organization_id,
            collaboration_id: shared.collaboration_id,
            user_id: requester.user_id,
            requester_organization_id: requester.organization_id,
            beginner_user_id: beginner.as_ref().and_then(|beginner| beginner.user_id),
            beginner_organization_id: beginner.as_ref().and_then(|beginner| beginner.organization_id),
            between_organization_ids: between.iter().filter_map(|requester| requester.organization_id).collect(),
        };
        let on_the_way: Vec<String> = between.iter().map(name_of_organization).collect();
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
            parent,
            data: None,
            username: requester.username.clone(),
            requester_organization: requester.organization.clone(),
            beginner_organization: beginner.as_ref().and_then(|beginner| beginner.organization.clone()),
            unusual: Vec::new(),
        };
        review.check().map_err(RunError::TooLarge)?;
        let mut request = RunRequest {
            run_id,
            review,
            askers: askers(requester, between, beginner, shared.organization_id),
            store,
            other_images: algorithms::other_images(&task.image),
            other_functions: algorithms::other_names(&task.image, &call.function),
            tells_columns: shared.share_config,
            reads,
            started_with: None,
        };
        request.check(&shared.policies)?;
        runtime::check(shared, task, call)?;
        request.review.asked.digest = runtime::digest(shared, &task.image).await?;
        request.review.data = request.data_now(shared);
        request.review.unusual = shared.store.unusual(&request.review).await?;
        request.review.unusual.extend(weaknesses(shared, &request.review.asked));
        if !on_the_way.is_empty() {
            request.review.unusual.push(format!("It was asked on the way by {}.", on_the_way.join(", ")));
        }
        Ok(request)
    }

    /// What tells whether the data are still the same; `None` if they cannot be looked at.
    pub fn data_now(&self, shared: &Shared) -> Option<String> {
        database::state_of_all(&shared.databases, &self.review.asked.databases)
    }

    /// An error unless the data are those with which it was started, where its approval holds for no others. Between lies
    /// whatever it waited for; a server can make it wait.
    pub fn require_same_data(&self, shared: &Shared) -> Result<(), RunError> {
        match &self.started_with {
            Some(data) if self.data_now(shared).as_ref() != Some(data) => Err(RunError::DataChanged),
            _ => Ok(()),
        }
    }

    /// When an admin decides whether it may start: as strictly as for whoever asks and whoever began it.
    pub fn review_mode(&self, policies: &Policies) -> ReviewMode {
        self.for_policies().map(|request| policies.review_mode(&request)).max().unwrap_or(ReviewMode::Always)
    }

    /// When an admin decides whether its result may leave, in the same way.
    pub fn release_mode(&self, policies: &Policies) -> ReleaseMode {
        self.for_policies().map(|request| policies.release_mode(&request)).max().unwrap_or(ReleaseMode::Review)
    }

    /// The request in the forms in which policies look at it: of each who has to be allowed.
    fn for_policies(&self) -> impl Iterator<Item = Request<'_>> {
        let asked = &self.review.asked;
        self.askers.iter().map(|requester| Request {
            image: &asked.image,
            other_images: &self.other_images,
            function: Some(&asked.function),
            other_functions: &self.other_functions,
            requester,
            store: &self.store,
            databases: &self.reads,
            columns: asked.columns.as_deref(),
            tells_columns: self.tells_columns,
        })
    }

    /// What of a database each who has to be allowed may use.
    pub fn columns_of(&self, policies: &Policies, label: &str) -> Vec<Columns> {
        self.askers.iter().map(|requester| policies.columns_of(label, requester)).collect()
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

/// All who have to be allowed. A user's name never stands for the organization that aggregates: whoever holds its key
/// could ask for something else. The organization of this node may aggregate its own data.
fn askers(requester: Requester, between: Vec<Requester>, beginner: Option<Requester>, own: i64) -> Vec<Requester> {
    let Some(beginner) = beginner else { return vec![requester] };
    let organizations = std::iter::once(requester).chain(between).filter(|asker| asker.organization_id != Some(own));
    organizations.map(|asker| Requester { user_id: None, username: None, ..asker }).chain([beginner]).collect()
}

fn name_of_organization(requester: &Requester) -> String {
    match (&requester.organization, requester.organization_id) {
        (Some(name), _) => name.clone(),
        (None, Some(id)) => format!("organization {id}"),
        (None, None) => "an organization that is not known".to_owned(),
    }
}

/// A database as a task names it.
pub fn database_of(database: &v4::TaskDatabase) -> ReviewedDatabase {
    let parameters = database.parameters.as_deref().unwrap_or("{}");
    let parameters = serde_json::from_str(parameters).unwrap_or_else(|_| Value::String(parameters.to_owned()));
    // Absent and empty are the same.
    let parameters = if is_nothing(&parameters) { json!({}) } else { parameters };
    ReviewedDatabase { label: database.label.clone(), parameters }
}

/// Whether a value asks for nothing, such as an empty list of preprocessing.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.values().all(is_nothing),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Where this node protects less than it could, for whoever reviews.
fn weaknesses(shared: &Shared, asked: &Asked) -> Vec<String> {
    let mut weaknesses = Vec::new();
    let weaker = shared.policies.limits().weaker();
    if !weaker.is_empty() {
        weaknesses.push(format!("The disclosure limits of this node are weaker than usual: {}.", weaker.join(", ")));
    }
    let used = |column: &String| asked.columns.as_ref().is_none_or(|columns| columns.contains(column));
    let identifiers: Vec<&str> =
        shared.policies.allowed_identifiers.iter().filter(|column| used(column)).map(String::as_str).collect();
    if !identifiers.is_empty() {
        weaknesses.push(format!(
            "Functions may use columns that identify people (allowed_identifiers): {}.",
            identifiers.join(", ")
        ));
    }
    if !algorithms::is_built_in(&asked.image) {
        weaknesses.push(
            "The algorithm is not built in: nothing compares its answers, so asking again after one person has come or \
             gone could tell of that person."
                .to_owned(),
        );
        return weaknesses;
    }
    let held = asked.databases.iter().filter_map(|asked| {
        let held = shared.databases.iter().find(|database| database.label == asked.label)?;
        held.person.is_none().then_some(held.label.as_str())
    });
    let unnamed: Vec<&str> =
        if asked.columns.as_ref().is_some_and(Vec::is_empty) { Vec::new() } else { held.collect() };
    if !unnamed.is_empty() {
        weaknesses.push(format!(
            "Nothing says who the rows of {} are about (person): limits count rows, and answers are compared by the \
             number of rows only, so that five rows of one person are five people.",
            unnamed.join(", ")
        ));
    }
    weaknesses
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

/// The tasks above one that a central function created: its parent first, and last the one with which it began.
async fn tasks_above(shared: &Shared, task: &v4::Task) -> Result<Vec<v4::Task>, RunError> {
    let mut parent = task.parent.as_ref().map(|link| link.id);
    let mut above = Vec::new();
    for _ in 0..DEPTH {
        let Some(id) = parent else { return Ok(above) };
        let ancestor = shared.hub.task_as_sent(id).await.map_err(RunError::of_call)?;
        let asked: Vec<ReviewedDatabase> = ancestor.databases.iter().map(database_of).collect();
        let is_same_image = algorithms::without_digest(&ancestor.image) == algorithms::without_digest(&task.image);
        if !is_same_image || task.databases.iter().any(|database| !asked.contains(&database_of(database))) {
            let reason = "it names an image or a database that the task with which it began does not";
            return Err(RunError::NotAllowed(reason.to_owned()));
        }
        parent = ancestor.parent.as_ref().map(|link| link.id);
        above.push(ancestor);
    }
    Err(RunError::NotAllowed("its tasks are nested too deeply to tell who began them".to_owned()))
}

/// Whether a name leads to public addresses only; one that the policies name letter by letter may lead anywhere.
async fn resolves_publicly(shared: &Shared, url: &str) -> bool {
    let mut named = shared.policies.allowed_algorithm_stores.iter().flatten();
    if named.any(|entry| entry.trim_end_matches('/') == url.trim_end_matches('/')) {
        return true;
    }
    let Ok(url) = url.parse::<url::Url>() else { return false };
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
    match tokio::net::lookup_host((host, port)).await {
        Ok(mut addresses) => addresses.all(|address| is_public(address.ip().to_canonical())),
        Err(_) => false,
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, third, _] = address.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            // IETF protocols, benchmarks, and what is reserved (RFC 6890).
            let is_special =
                (first, second, third) == (192, 0, 0) || (first == 198 && second & !1 == 18) || first >= 240;
            !(address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_broadcast()
                || is_shared
                || is_special
                || first == 0)
        }
        IpAddr::V6(address) => {
            !(address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                // Site-local, and what leads to IPv4 addresses (6to4 and NAT64), whatever they are.
                || address.segments()[0] & 0xffc0 == 0xfec0
                || address.segments()[0] == 0x2002
                || address.segments()[..2] == [0x64, 0xff9b])
        }
    }
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
    // The server names an address, and this node's token would go there.
    if !shared.policies.may_ask_store(&store.url) || !resolves_publicly(shared, &store.url).await {
        return Ok(Store::None);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_lead_inside_are_not_public() {
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "198.19.255.1",
            "240.0.0.1",
            "255.255.255.255",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "fc00::1",
            "fec0::1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "ff02::1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["198.20.0.1", "192.0.1.1", "93.184.216.34", "2606:4700::1111"] {
            assert!(is_public(outside.parse().unwrap()), "{outside}");
        }
    }
}
