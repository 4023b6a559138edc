//! A function call and what runs it.

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::{built_in, code, process};
use crate::{
    algorithms,
    node::{config::AlgorithmConfig, error::RunError, large::Turn, log::RunLog, request::RunRequest, station::Shared},
    protocol::{domain::FunctionCall, wire::v4},
};

/// What is known of a call before it runs.
#[derive(Default)]
pub struct About {
    /// What is read if the task names no database.
    pub standard_database: Option<String>,
    /// Whether queries, sheets and preprocessing are understood.
    pub takes_parameters: bool,
    pub reads_data: bool,
    /// The columns that it names, if its arguments can be read.
    pub columns: Option<Vec<String>>,
    /// What the function does, in words.
    pub does: String,
    /// What leaves the organization, in words.
    pub discloses: String,
}

/// What is known of a call.
pub fn about(shared: &Shared, task: &v4::Task, call: &FunctionCall) -> About {
    if let Some(about) = built_in::about(task, call) {
        return about;
    }
    let (does, discloses) = algorithm(shared, &task.image)
        .map(|algorithm| (algorithm.description.clone(), algorithm.discloses.clone()))
        .unwrap_or_default();
    About { takes_parameters: true, reads_data: true, does, discloses, ..About::default() }
}

/// What the code of an image is, as a text that changes with it; what the image's name tells if there is no such code
/// here.
pub async fn digest(shared: &Shared, image: &str) -> Result<String, RunError> {
    if let Some(version) = algorithms::version(image) {
        return Ok(format!("built into Atoll: {version}"));
    }
    let Some(algorithm) = algorithm(shared, image).cloned() else {
        return Ok(image.split_once('@').map_or(String::new(), |(_, digest)| digest.to_owned()));
    };
    let (algorithm_env, key) = (shared.algorithm_env.clone(), shared.api_key.clone());
    let digest = spawn_blocking(move || code::digest(&algorithm, &algorithm_env, &key)).await;
    Ok(digest.map_err(|error| RunError::Internal(error.to_string()))??)
}

/// An error if the call cannot run here at all: nobody has to review it then.
pub fn check(shared: &Shared, task: &v4::Task, call: &FunctionCall) -> Result<(), RunError> {
    if algorithms::is_built_in(&task.image) {
        return built_in::check(shared, task, call);
    }
    match algorithm(shared, &task.image) {
        Some(_) => process::check(shared, task),
        None => Err(RunError::NoSuchImage(task.image.clone())),
    }
}

/// What a function gave.
pub struct Output {
    /// JSON, as it was written.
    pub text: Vec<u8>,
    /// The turn to be in memory, if it is large.
    pub turn: Option<Turn>,
}

/// Runs a function as it was asked for. `output_may_leave`: whether what a command prints may stand
/// in the run's log.
pub async fn run(
    shared: &Shared,
    task: &v4::Task,
    call: FunctionCall,
    request: &RunRequest,
    output_may_leave: bool,
    log: &RunLog,
    stopped: &CancellationToken,
) -> Result<Output, RunError> {
    if algorithms::is_built_in(&task.image) {
        let result = built_in::run(shared, task, call, request, output_may_leave, log, stopped).await?;
        return Ok(Output { text: result.to_string().into_bytes(), turn: None });
    }
    let algorithm = algorithm(shared, &task.image).ok_or_else(|| RunError::NoSuchImage(task.image.clone()))?;
    let process = process::Process { shared, algorithm, task, call: &call, request };
    if shared.store.deaths(request.run_id).await?.is_none() {
        return Err(RunError::Deadly);
    }
    shared.store.begin_to_compute(request.run_id).await?;
    let output = process.run(output_may_leave.then_some(log), stopped).await;
    shared.store.end_to_compute(request.run_id).await?;
    output
}

fn algorithm<'a>(shared: &'a Shared, image: &str) -> Option<&'a AlgorithmConfig> {
    shared.algorithms.iter().find(|algorithm| algorithm.image == image)
}
