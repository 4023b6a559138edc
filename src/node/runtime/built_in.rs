//! Runs the built-in functions: partial ones on a thread of their own, central ones through a subtask that is
//! created with the container token, exactly as a vantage6 algorithm does it.

use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    sync::{SemaphorePermit, broadcast},
    task::spawn_blocking,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::About;
use crate::{
    algorithms::{self, AlgorithmError, BuiltIn, CentralFunction, Computed, Disclosure, PartialFunction, Refusal},
    node::{
        computing::Held,
        config::DatabaseConfig,
        database,
        error::RunError,
        log::RunLog,
        request::RunRequest,
        station::Shared,
        store::{Kept, Question, ToTell},
    },
    protocol::{
        client::HubClient,
        domain::{ANSWERED_AT, FunctionCall, Run, TaskSpec},
        event::Event,
        name::plain_name,
        policy::Columns,
        status::Status,
        timestamp,
        wire::v4,
    },
};

/// How often the subtask is looked at without any event: events can be missed.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// What is known of a call; `None` if there is no such function here.
pub fn about(task: &v4::Task, call: &FunctionCall) -> Option<About> {
    let function = algorithms::find(&task.image, &call.function).ok()?;
    let does = algorithms::description(&task.image, &call.function).unwrap_or_default();
    Some(match function {
        BuiltIn::Partial(function) => About {
            standard_database: Some(label(task).to_owned()),
            reads_data: true,
            columns: (function.columns)(&call.kwargs).ok(),
            does,
            discloses: function.discloses.to_owned(),
            ..About::default()
        },
        BuiltIn::Central(function) => {
            About { columns: Some(Vec::new()), does, discloses: function.discloses.to_owned(), ..About::default() }
        }
    })
}

/// The label of the database that a partial function reads.
fn label(task: &v4::Task) -> &str {
    task.databases.first().map_or("default", |database| database.label.as_str())
}

/// An error if the call cannot run here at all: nobody has to review it then.
pub fn check(shared: &Shared, task: &v4::Task, call: &FunctionCall) -> Result<(), RunError> {
    if call.written.is_some() {
        return Err(AlgorithmError::PythonOnly.into());
    }
    match algorithms::find(&task.image, &call.function)? {
        BuiltIn::Partial(function) => {
            (function.columns)(&call.kwargs)?;
            database::find(&shared.databases, label(task), shared.share_config).map(drop)
        }
        BuiltIn::Central(function) => Ok((function.partial_arguments)(&call.kwargs).map(drop)?),
    }
}

/// Runs a function for somebody; the result as JSON.
pub async fn run(
    shared: &Shared,
    task: &v4::Task,
    call: FunctionCall,
    request: &RunRequest,
    may_tell: bool,
    log: &RunLog,
    stopped: &CancellationToken,
) -> Result<Value, RunError> {
    match algorithms::find(&task.image, &call.function)? {
        BuiltIn::Partial(function) => {
            let logs = Logs { all: log, may_tell };
            let result = partial(shared, task, function, call.kwargs, request, &logs, stopped).await;
            shared.store.end_to_compute(request.run_id).await?;
            result
        }
        BuiltIn::Central(function) => central(shared, task, function, &call.kwargs, log, stopped).await,
    }
}

/// The log of a run.
struct Logs<'a> {
    all: &'a RunLog,
    /// Whether it may tell of the data: with a result that is held, nothing does.
    may_tell: bool,
}

impl Logs<'_> {
    fn line(&self, line: impl AsRef<str>) {
        self.all.line(line);
    }

    fn of_data(&self, line: impl AsRef<str>) {
        if self.may_tell {
            self.all.line(line);
        }
    }
}

async fn partial(
    shared: &Shared,
    task: &v4::Task,
    function: PartialFunction,
    arguments: Map<String, Value>,
    request: &RunRequest,
    logs: &Logs<'_>,
    stopped: &CancellationToken,
) -> Result<Value, RunError> {
    let label = label(task);
    let columns = request.columns_of(&shared.policies, label);
    let database = database::find(&shared.databases, label, shared.share_config)?.clone();
    let disclosure = Disclosure {
        limits: shared.policies.limits(),
        allowed_identifiers: shared.policies.allowed_identifiers.clone(),
        key: shared.store.sketch_key().await?,
        left_out: Vec::new(),
    };
    // Reading uses a whole processor; runs beyond that wait here and not in the middle of their work.
    let deaths = shared.store.deaths(request.run_id).await?.ok_or(RunError::Deadly)?;
    // Whatever ends the node then is this one's.
    let mut is_alone = deaths > 0;
    let mut permit = turn(shared, is_alone, stopped).await?;
    shared.store.begin_to_compute(request.run_id).await?;
    request.require_same_data(shared)?;
    logs.line(format!("Reading database \"{label}\""));
    let mut question = Question {
        other_people: database::with_other_people(&shared.databases, &database),
        ..question(task, &function, &arguments, &database, &disclosure)?
    };
    let column = question.columns.join(", ");
    let mut left_out = Vec::new();
    loop {
        let disclosure = Disclosure { left_out: left_out.clone(), ..disclosure.clone() };
        let held = shared.computing.hold_nothing();
        let (database, columns, arguments, stop) =
            (database.clone(), columns.clone(), arguments.clone(), stopped.clone());
        let is_without = !disclosure.left_out.is_empty();
        let outcome =
            spawn_blocking(move || compute(&function, &database, &columns, &arguments, &disclosure, &held, &stop))
                .await;
        request.require_same_data(shared)?;
        // What data make it panic is no more told than any other failure.
        let panicked = || AlgorithmError::Unreadable("the function panicked".to_owned()).into();
        let computed = match outcome.unwrap_or_else(|_| Err(panicked())) {
            // There may be room for it beside no others.
            Err(RunError::Algorithm(AlgorithmError::TooLarge)) if !is_alone => {
                drop(permit);
                shared.store.pause_computing(request.run_id).await?;
                (is_alone, permit) = (true, turn(shared, true, stopped).await?);
                shared.store.begin_to_compute(request.run_id).await?;
                request.require_same_data(shared)?;
                continue;
            }
            Ok((computed, all_columns)) => {
                question.all_columns = all_columns;
                computed
            }
            // Of data that can no longer be read, or hold something else now, it is not told by an error either.
            Err(error) if error.is_about_data() => {
                tracing::warn!(error = error.in_full(), label, "a database cannot be read as it was asked for");
                if let Some(kept) = shared.store.last_answer(&question).await? {
                    logs.of_data(ENDED);
                    return given_before(&kept, logs, &column);
                }
                return match shared.store.told_about(&question).await? {
                    Some(since) => {
                        logs.of_data(ENDED);
                        Ok(nothing(&function, &since))
                    }
                    None => Err(error.told_without_names(shared.share_config)),
                };
            }
            Err(error) => return Err(error.told_without_names(shared.share_config)),
        };
        let refused = computed.refusal.is_some();
        let answer = match computed.refusal {
            Some(Refusal::Identifiers) => json!({IDENTIFIERS: true}),
            Some(Refusal::NotNumeric(kind)) => json!({NOT_NUMERIC: kind}),
            _ => computed.value,
        };
        let answer = answer.to_string();
        left_out = match shared.store.answer(&question, &computed.told_of, &answer, refused).await? {
            // Once: who comes while it is read again has to wait.
            ToTell::Without(newcomers) if !is_without => newcomers,
            told => {
                logs.of_data(ENDED);
                return match told {
                    ToTell::New => read_answer(&answer, &column),
                    ToTell::Kept(kept) => given_before(&kept, logs, &column),
                    ToTell::Nothing { since } => {
                        tracing::info!(
                            since,
                            label,
                            "nothing is told: the people differ by few, or nobody knows by how many"
                        );
                        Ok(nothing(&function, &since))
                    }
                    ToTell::Without(_) => Ok(nothing(&function, &timestamp::now())),
                };
            }
        };
    }
}

/// Waits until this may compute.
async fn turn<'a>(
    shared: &'a Shared,
    alone: bool,
    stopped: &CancellationToken,
) -> Result<SemaphorePermit<'a>, RunError> {
    tokio::select! {
        permit = shared.computing.turn(alone) => permit.map_err(|error| RunError::Internal(error.to_string())),
        () = stopped.cancelled() => Err(RunError::Stopped),
    }
}

/// Computes a result of a database whose file stays the same meanwhile; with the names of all its columns.
fn compute(
    function: &PartialFunction,
    database: &DatabaseConfig,
    columns: &[Columns],
    arguments: &Map<String, Value>,
    disclosure: &Disclosure,
    held: &Held,
    stop: &CancellationToken,
) -> Result<(Computed, Vec<String>), RunError> {
    let goes_on = |bytes| match stop.is_cancelled() {
        true => Err(AlgorithmError::Stopped),
        false if held.hold(bytes) => Ok(()),
        false => Err(AlgorithmError::TooLarge),
    };
    let before = database::state(database)?;
    let mut table = database::open(database)?;
    let all_columns = table.schema.fields().iter().map(|field| field.name().clone()).collect();
    // What the policies do not allow is not there for the function.
    for columns in columns {
        table = database::only(table, columns)?;
    }
    let computed = (function.compute)(arguments, table, disclosure, &goes_on)?;
    if database::state(database)? != before {
        let changed = "its file was changed while it was read; create the task again";
        return Err(AlgorithmError::Unreadable(changed.to_owned()).into());
    }
    Ok((computed, all_columns))
}

const ENDED: &str = "The function has ended";

/// What is told where an answer would tell of few, or an error would: which of both is not told.
fn nothing(function: &PartialFunction, since: &str) -> Value {
    (function.suppressed)(&format!(
        "its people differ by too few from those of an answer of {} UTC, nobody knows by how many, or its data cannot be read: \
         the organization's own log says which (smallest_subset)",
        minute(since)
    ))
}

fn minute(time: &str) -> String {
    time.get(..16).unwrap_or(time).replace('T', " ")
}

/// What is kept in the place of an answer that was refused since the column identifies people: no answer has this key.
const IDENTIFIERS: &str = "!identifiers";
/// The same for a column that holds something else than numbers, with what that is.
const NOT_NUMERIC: &str = "!not_numeric";

fn read_answer(answer: &str, column: &str) -> Result<Value, RunError> {
    let answer: Value = serde_json::from_str(answer).map_err(|error| RunError::Internal(error.to_string()))?;
    let column = column.to_owned();
    match (answer.get(IDENTIFIERS), answer.get(NOT_NUMERIC).and_then(Value::as_str)) {
        (Some(_), _) => Err(AlgorithmError::Identifiers(column).into()),
        (None, Some(kind)) => Err(AlgorithmError::NotNumeric { column, kind: kind.to_owned() }.into()),
        (None, None) => Ok(answer),
    }
}

/// An answer of before. Nothing says whether the data have changed since.
fn given_before(kept: &Kept, logs: &Logs<'_>, column: &str) -> Result<Value, RunError> {
    let line = format!(
        "The answer of {} UTC is given: fewer people have come or gone since than policies allow to tell apart \
         (smallest_subset), or the data could not be read",
        minute(&kept.at)
    );
    logs.of_data(line);
    let mut answer = read_answer(&kept.answer, column)?;
    if let Value::Object(answer) = &mut answer {
        answer.insert(ANSWERED_AT.to_owned(), json!(format!("{} UTC", minute(&kept.at))));
    }
    Ok(answer)
}

/// What is asked of which data, apart from who asks and by which names.
fn question(
    task: &v4::Task,
    function: &PartialFunction,
    arguments: &Map<String, Value>,
    database: &DatabaseConfig,
    disclosure: &Disclosure,
) -> Result<Question, RunError> {
    let mut columns = (function.columns)(arguments)?;
    columns.sort();
    columns.dedup();
    // Columns as they are written: CD4+ and CD4- have each an answer of their own. Answers about columns with nearly the
    // same name are still compared.
    let question = (function.question)(arguments)?;
    let asked = json!({
        "image": algorithms::without_digest(&task.image),
        "question": question,
        "function": function.name,
        "database": database.label,
    });
    // Other rules do not make it another question: else the answer would be a new one after one person came.
    let named = |names: &[String]| -> Vec<bool> {
        columns.iter().map(|column| names.iter().any(|name| plain_name(name) == plain_name(column))).collect()
    };
    let rules = json!({
        "limits": disclosure.limits,
        "identifiers": named(&database.identifiers),
        "allowed_identifiers": named(&disclosure.allowed_identifiers),
    });
    Ok(Question {
        hash: format!("{:x}", Sha256::digest(asked.to_string())),
        database: database.label.clone(),
        columns,
        all_columns: Vec::new(),
        person: database.person.clone(),
        other_people: Vec::new(),
        least: disclosure.limits.smallest_subset.unwrap_or_default(),
        minimum: disclosure.limits.minimum_rows.max(disclosure.limits.smallest_subset).unwrap_or_default(),
        rules: rules.to_string(),
    })
}

async fn central(
    shared: &Shared,
    task: &v4::Task,
    function: CentralFunction,
    arguments: &Map<String, Value>,
    log: &RunLog,
    stopped: &CancellationToken,
) -> Result<Value, RunError> {
    let partial_arguments = (function.partial_arguments)(arguments)?;
    // Before the subtask exists, so that none of its events is missed.
    let mut events = shared.events.subscribe();
    let token = shared.hub.container_token(task.id, &task.image).await.map_err(RunError::of_call)?;
    let hub = HubClient::with_token(shared.hub.transport().clone(), token);
    let names: Vec<(i64, String)> = hub
        .organizations_of(shared.collaboration_id)
        .await
        .map_err(RunError::of_call)?
        .into_iter()
        .map(|organization| (organization.id, organization.name))
        .collect();
    let name = |id: i64| {
        names.iter().find(|(known, _)| *known == id).map_or(format!("organization {id}"), |(_, name)| name.clone())
    };
    // A node that was restarted meanwhile goes on waiting for the subtask that it created before.
    let earlier = hub.subtasks(task.id).await.map_err(RunError::of_call)?;
    let own = earlier
        .into_iter()
        .find(|subtask| subtask.init_organization_id == Some(shared.organization_id) && !subtask.status.is_failure());
    let subtask = match own {
        Some(subtask) => {
            log.line(format!("Going on with subtask {}", subtask.id));
            subtask
        }
        None => {
            let organizations = organizations_of(&hub, task, arguments, &names).await?;
            let list: Vec<String> = organizations.iter().map(|id| name(*id)).collect();
            let spec = TaskSpec {
                name: format!("{} (subtask)", task.name).chars().take(128).collect(),
                description: String::new(),
                image: task.image.clone(),
                collaboration_id: shared.collaboration_id,
                study_id: task.study.as_ref().map(|study| study.id),
                store_id: None,
                databases: task.databases.iter().map(|database| database.label.clone()).collect(),
                organizations,
                call: FunctionCall {
                    written: None,
                    function: function.partial.to_owned(),
                    args: Vec::new(),
                    kwargs: partial_arguments,
                },
            };
            let subtask = hub.create_task(&spec).await.map_err(RunError::of_call)?;
            log.line(format!("Created subtask {} at {}", subtask.id, list.join(", ")));
            subtask
        }
    };
    wait_for(&hub, subtask.id, &mut events, stopped).await?;
    let runs = hub.run_states(subtask.id).await.map_err(RunError::of_call)?;
    let may_be_left_out = |run: &Run| function.goes_on_without_some && run.status == Status::NotAllowed;
    let (left_out, taking_part): (Vec<_>, Vec<_>) = runs.iter().partition(|run| may_be_left_out(run));
    // The run that failed by itself says more than those that were given up because of it.
    let failed = taking_part.iter().filter(|run| run.status.is_failure());
    let failed = failed.min_by_key(|run| run.status == Status::Failed).copied();
    if let Some(run) = failed.or_else(|| left_out.first().copied().filter(|_| taking_part.is_empty())) {
        return Err(RunError::PartialFailed {
            organization: name(run.organization_id.unwrap_or_default()),
            status: run.status.clone(),
        });
    }
    for run in &left_out {
        log.line(format!("Left out: {} does not allow it", name(run.organization_id.unwrap_or_default())));
    }
    let mut values = Vec::new();
    for result in hub.results(subtask.id).await.map_err(RunError::of_call)? {
        if taking_part.iter().any(|run| run.id == result.run_id) {
            values.push(result.value.ok_or_else(|| RunError::Internal("a partial result is missing".to_owned()))??);
        }
    }
    log.line(format!("Aggregating {} partial results", values.len()));
    Ok((function.aggregate)(&values, left_out.len())?)
}

/// The organizations that were asked for: by argument, else those of the task if it has several, else all of the
/// collaboration (or of the study).
async fn organizations_of(
    hub: &HubClient,
    task: &v4::Task,
    arguments: &Map<String, Value>,
    all: &[(i64, String)],
) -> Result<Vec<i64>, RunError> {
    match arguments.get(algorithms::ORGANIZATIONS_ARGUMENT) {
        None | Some(Value::Null) => {}
        Some(value) => {
            let ids: Option<Vec<i64>> = value.as_array().and_then(|ids| ids.iter().map(Value::as_i64).collect());
            let ids = ids.ok_or(algorithms::AlgorithmError::WrongArgument {
                name: algorithms::ORGANIZATIONS_ARGUMENT,
                expected: "a list of organization ids",
            })?;
            if !ids.is_empty() {
                return Ok(ids);
            }
        }
    }
    let runs = hub.run_states(task.id).await.map_err(RunError::of_call)?;
    let of_task: Vec<i64> = runs.iter().filter_map(|run| run.organization_id).collect();
    if of_task.len() > 1 {
        return Ok(of_task);
    }
    // Which of them have a node is not for a container to know; the server says if one has none.
    Ok(match &task.study {
        Some(study) => {
            let of_study = hub.organizations_of_study(study.id).await.map_err(RunError::of_call)?;
            of_study.into_iter().map(|organization| organization.id).collect()
        }
        None => all.iter().map(|(id, _)| *id).collect(),
    })
}

/// Waits until a task has ended: looks after each event that concerns it, and now and then without one.
async fn wait_for(
    hub: &HubClient,
    task_id: i64,
    events: &mut broadcast::Receiver<Event>,
    stopped: &CancellationToken,
) -> Result<(), RunError> {
    let mut own: Vec<i64> = Vec::new();
    loop {
        // A task that one organization does not allow is over only when the others have ended.
        match hub.run_states(task_id).await {
            Ok(runs) if runs.iter().all(|run| run.status.is_final()) => return Ok(()),
            Ok(runs) => own = runs.iter().map(|run| run.id).collect(),
            Err(error) if error.is_temporary() => {}
            Err(error) => return Err(RunError::Subtask(error)),
        }
        let concerns = async {
            loop {
                match events.recv().await {
                    Ok(Event::StatusChange(change)) if change.task_id == task_id => return,
                    // Without a number it can be any.
                    Ok(Event::RunChanged { run_id }) if run_id == 0 || own.contains(&run_id) => return,
                    Ok(Event::Connected) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        };
        tokio::select! {
            // Either way it is time to look.
            _ = timeout(CHECK_INTERVAL, concerns) => {}
            () = stopped.cancelled() => return Err(RunError::Stopped),
        }
    }
}
