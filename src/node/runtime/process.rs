//! Runs a command beside the data, in the manner of a vantage6 4.x container: it finds its input, its token and the
//! databases by variables, and writes its output to a file. Nothing fences it off but the system's users.

use std::{
    fs::Permissions,
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process_group},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    fs,
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    process::{Child, Command},
    task::spawn_blocking,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    call::Output,
    environment::{self, Variable},
    leftover::{self, RUN_FOLDER},
};
use crate::{
    node::{
        config::AlgorithmConfig, database, error::RunError, large, log::RunLog, request::RunRequest, station::Shared,
    },
    protocol::{bounded::VALUE_LIMIT, domain::FunctionCall, python_json, status::Status, wire::v4},
};

/// The largest output, in bytes. As base64 it has to be below what servers take: ours 32 MiB.
const OUTPUT_LIMIT: u64 = 20 << 20;
/// How long what was printed is read after the command has ended.
const READ_PATIENCE: Duration = Duration::from_secs(2);
/// What is kept of a line that the command prints, in bytes, and how many lines of each of its two outputs.
const LINE_LIMIT: usize = 2_000;
const PRINTED_LIMIT: usize = 1_000;

/// Why a command gives no result. The texts go into the run's log, so they tell nothing of the organization's files.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("the code of the algorithm cannot be read at this node ({})", error.kind())]
    Code { path: PathBuf, error: io::Error },
    #[error("the algorithm cannot be started at this node ({})", .0.kind())]
    Start(io::Error),
    #[error("the code of the algorithm was changed in the moment before the start; create the task again")]
    Changed,
    #[error("the database label \"{0}\" cannot be given to an algorithm: it is no name of a variable, or stands twice")]
    Label(String),
    #[error("of a database an algorithm takes query, sheet_name and preprocessing")]
    Parameters,
    #[error("the algorithm ended with {0}")]
    Ended(ExitStatus),
    #[error("the algorithm wrote no result")]
    NoOutput,
    #[error("the result is larger than {} MB", OUTPUT_LIMIT >> 20)]
    TooLarge,
    #[error("the result of the algorithm is not JSON")]
    NotJson,
    #[error(
        "the result of the algorithm has more than {VALUE_LIMIT} values: nobody can look at so many before they leave, \
         and clients of vantage6 3.x do not get them"
    )]
    TooMuch,
}

impl ProcessError {
    /// The status of a run that ended so.
    pub fn status(&self) -> Status {
        match self {
            ProcessError::Code { .. }
            | ProcessError::Changed
            | ProcessError::Start(_)
            | ProcessError::Label(_)
            | ProcessError::Parameters => Status::StartFailed,
            ProcessError::Ended(_)
            | ProcessError::NoOutput
            | ProcessError::TooLarge
            | ProcessError::NotJson
            | ProcessError::TooMuch => Status::Crashed,
        }
    }
}

/// An error if a task's databases cannot be given to a command.
pub fn check(shared: &Shared, task: &v4::Task) -> Result<(), RunError> {
    for asked in &task.databases {
        database::find(&shared.databases, &asked.label, shared.share_config)?;
    }
    environment::of_databases(&task.databases, &shared.databases)?;
    Ok(())
}

/// A call that a command runs.
pub struct Process<'a> {
    pub shared: &'a Shared,
    pub algorithm: &'a AlgorithmConfig,
    pub task: &'a v4::Task,
    pub call: &'a FunctionCall,
    /// What was allowed, and nothing else is run.
    pub request: &'a RunRequest,
}

impl Process<'_> {
    /// Runs it; the result, as JSON text. What it prints goes into `printed`, if it may; else to the node's own log.
    pub async fn run(&self, printed: Option<&RunLog>, stopped: &CancellationToken) -> Result<Output, RunError> {
        let token = self.shared.hub.container_token(self.task.id, &self.task.image).await;
        let token = token.map_err(RunError::of_call)?;
        // Nobody else may look into it, and it goes away with this function.
        let folder = RunFolder(
            tempfile::Builder::new()
                .prefix("atoll-run-")
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(&self.shared.runs)
                .map_err(ProcessError::Start)?,
        );
        self.write_files(folder.path(), &token).await.map_err(ProcessError::Start)?;
        let mut command = self.command(folder.path())?;
        // At the last moment: an approval is for the code that was seen.
        if super::digest(self.shared, &self.task.image).await? != self.request.review.asked.digest {
            return Err(ProcessError::Changed.into());
        }
        self.request.require_same_data(self.shared)?;
        let mut child = command.spawn().map_err(ProcessError::Start)?;
        let group = Group::of(&child);
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let over = CancellationToken::new();
        let ended = async {
            let status = child.wait().await;
            // What it left behind would keep its output open.
            drop(group);
            over.cancel();
            status
        };
        let reading = async {
            tokio::select! {
                _ = async { tokio::join!(follow(output, printed), follow(errors, printed)) } => {}
                // Something that it started has left its group and holds the output.
                () = async { over.cancelled().await; sleep(READ_PATIENCE).await } => {}
            }
        };
        let status = tokio::select! {
            (status, _) = async { tokio::join!(ended, reading) } => status,
            () = stopped.cancelled() => return Err(RunError::Stopped),
        };
        let status = status.map_err(ProcessError::Start)?;
        // Nor how it ended is told of others.
        self.request.require_same_data(self.shared)?;
        if !status.success() {
            return Err(ProcessError::Ended(status).into());
        }
        let output = folder.path().join("output");
        tokio::select! {
            value = read_output(&output) => Ok(value?),
            () = stopped.cancelled() => Err(RunError::Stopped),
        }
    }

    async fn write_files(&self, folder: &Path, token: &str) -> io::Result<()> {
        let FunctionCall { function, args, kwargs, written } = self.call;
        let input = match written {
            Some(written) => written.clone(),
            None => json!({"method": function, "args": args, "kwargs": kwargs}).to_string(),
        };
        fs::write(folder.join("input"), input).await?;
        fs::write(folder.join("output"), "").await?;
        fs::write(folder.join("token"), token).await?;
        fs::create_dir(folder.join("temporary")).await
    }

    fn command(&self, folder: &Path) -> Result<Command, ProcessError> {
        let [program, words @ ..] = self.algorithm.command.as_slice() else {
            return Err(ProcessError::Start(io::ErrorKind::NotFound.into()));
        };
        let mut command = Command::new(program);
        command
            .args(words)
            .current_dir(folder)
            // The node's own variables are not for algorithms: they hold secrets.
            .env_clear()
            .envs(self.variables(folder)?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // What it starts itself can be stopped with it.
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }

    /// From what is general to what the configuration says of this algorithm, the limits last: nothing replaces them.
    fn variables(&self, folder: &Path) -> Result<Vec<Variable>, ProcessError> {
        let plain = [
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("HOME", folder.display().to_string()),
            ("TMPDIR", folder.join("temporary").display().to_string()),
            ("LANG", "C.UTF-8".to_owned()),
            // What Python would write beside the code would change its digest.
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ];
        let mut variables: Vec<Variable> = plain.map(|(name, value)| (name.to_owned(), value)).into();
        variables.extend(environment::of_files(folder));
        variables.extend(environment::of_server(self.shared.hub.transport().base()));
        variables.extend(environment::of_databases(&self.task.databases, &self.shared.databases)?);
        let general = self.shared.algorithm_env.iter();
        variables.extend(general.map(|(name, value)| (name.clone(), environment::encoded(value))));
        variables.extend(self.algorithm.environment.iter().map(|(name, value)| (name.clone(), value.clone())));
        variables.extend(environment::of_limits(&self.shared.policies.limits()));
        variables.push((RUN_FOLDER.to_owned(), folder.display().to_string()));
        Ok(variables)
    }
}

/// The folder of a run, which goes away with this, also where the command has made it read-only.
struct RunFolder(TempDir);

impl RunFolder {
    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if let Err(error) = leftover::remove(self.path()) {
            tracing::warn!(%error, "the folder of a run is not removed");
        }
    }
}

/// A command with all that it starts; stopped when this is dropped, also when the node ends.
struct Group(Option<Pid>);

impl Group {
    fn of(leader: &Child) -> Self {
        Group(leader.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(id) = self.0 else { return };
        match kill_process_group(id, Signal::KILL) {
            // Nobody is left.
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => tracing::warn!(%error, "what an algorithm started is not stopped"),
        }
    }
}

/// Reads what a command prints until it ends; what is too long is read and dropped.
async fn follow(printed: Option<impl AsyncRead + Unpin>, log: Option<&RunLog>) {
    let Some(printed) = printed else { return };
    let mut reader = BufReader::new(printed);
    let (mut line, mut kept) = (Vec::new(), 0);
    loop {
        line.clear();
        let is_whole = {
            let mut part = (&mut reader).take(LINE_LIMIT as u64);
            match part.read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(length) => line.ends_with(b"\n") || length < LINE_LIMIT,
            }
        };
        if !is_whole {
            drop_rest_of_line(&mut reader).await;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        match log {
            _ if text.is_empty() => {}
            _ if kept > PRINTED_LIMIT => {}
            log => {
                kept += 1;
                let text = if kept > PRINTED_LIMIT { "The algorithm prints more than is kept" } else { text };
                match log {
                    Some(log) => log.line(text),
                    None => tracing::info!(line = text, "an algorithm prints"),
                }
            }
        }
    }
}

async fn drop_rest_of_line(reader: &mut (impl AsyncBufReadExt + Unpin)) {
    while let Ok(bytes) = reader.fill_buf().await {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (length, is_over) = (end.map_or(bytes.len(), |end| end + 1), bytes.is_empty() || end.is_some());
        reader.consume(length);
        if is_over {
            return;
        }
    }
}

/// What a command wrote, which is JSON and is not opened.
async fn read_output(path: &Path) -> Result<Output, ProcessError> {
    // Not what a link leads to, and nothing that would have to be waited for.
    if !fs::symlink_metadata(path).await.is_ok_and(|data| data.is_file()) {
        return Err(ProcessError::NoOutput);
    }
    let file = fs::File::open(path).await.map_err(|_| ProcessError::NoOutput)?;
    if file.metadata().await.is_ok_and(|data| data.len() > OUTPUT_LIMIT) {
        return Err(ProcessError::TooLarge);
    }
    let bytes = file.metadata().await.map_or(0, |data| data.len());
    let turn = large::turn_of(usize::try_from(bytes).unwrap_or(usize::MAX)).await;
    let mut output = Vec::new();
    file.take(OUTPUT_LIMIT + 1).read_to_end(&mut output).await.map_err(|_| ProcessError::NoOutput)?;
    if output.is_empty() {
        return Err(ProcessError::NoOutput);
    }
    if output.len() as u64 > OUTPUT_LIMIT {
        return Err(ProcessError::TooLarge);
    }
    // Never a pickle or anything else that does something when it is read (CVE-2023-23930).
    let checked = spawn_blocking(move || python_json::is_json(&output).then_some(output)).await;
    let text = checked.ok().flatten().ok_or(ProcessError::NotJson)?;
    Ok(Output { text, turn })
}
