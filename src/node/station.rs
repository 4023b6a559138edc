//! The life of a data station: sign in, connect, take runs, stop.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use secrecy::SecretString;
use serde_json::Value;
use tokio::{
    sync::{Notify, Semaphore, broadcast, mpsc, watch},
    task::{JoinSet, spawn_blocking},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    NodeConfig, NodeError,
    computing::Computing,
    config::{AlgorithmConfig, DatabaseConfig},
    log::{Outgoing, RunLog},
    page, review,
    room::{Held, Room, Whose, held_by, trimmed},
    run, runtime,
    share::{self, Details},
    store::NodeStore,
    witness,
};
use crate::protocol::{
    client::{ClientError, HubClient, OpenContent, Transport, sign_in_node},
    event::{Event, Kill},
    policy::Policies,
    socket::Socket,
    wire::v4,
};

/// How often a node says that it is there.
const PING_INTERVAL: Duration = Duration::from_secs(60);
/// How often it asks for runs while events arrive, in case one was missed, …
const POLL_INTERVAL: Duration = Duration::from_secs(60);
/// … and while none can arrive, as far as the pauses between attempts to connect allow.
const RECONNECT_PAUSES: [u64; 6] = [0, 1, 2, 5, 10, 20];
/// How long a node waits before it looks again whether its collaboration is still encrypted.
const ENCRYPTED_PAUSE: Duration = Duration::from_secs(60);
/// Runs that ask the server at once.
const QUESTIONS: usize = 8;
/// How long a node waits before it asks again after a failure while it starts.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);

/// A data station.
pub struct Station {
    config: NodeConfig,
}

/// What all runs of a station share.
pub struct Shared {
    pub hub: HubClient,
    pub node_id: i64,
    pub organization_id: i64,
    pub collaboration_id: i64,
    pub databases: Vec<DatabaseConfig>,
    /// Algorithms beside those built in, and the variables that all of them get.
    pub algorithms: Vec<AlgorithmConfig>,
    pub algorithm_env: BTreeMap<String, String>,
    /// The key of the node at the server.
    pub api_key: SecretString,
    /// Which station it is, beside others with this key.
    pub station: String,
    pub policies: Policies,
    /// Whether labels and columns are told.
    pub share_config: bool,
    pub share_logs: bool,
    /// What the node remembers.
    pub store: NodeStore,
    /// Where the folders of its runs are.
    pub runs: PathBuf,
    /// Events to the server.
    pub outgoing: mpsc::UnboundedSender<Outgoing>,
    /// Events from the server.
    pub events: broadcast::Sender<Event>,
    /// Held while a run starts by an approval.
    pub starting: tokio::sync::Mutex<()>,
    /// For functions that compute.
    pub computing: Computing,
    /// A permit for each run that asks the server about who asks and what for: of a thousand that come at once, not all
    /// wait for answers at the same time.
    pub questions: Semaphore,
    /// One permit, for questions to the server whose answers can be large.
    pub large_answers: Semaphore,
}

/// The event by which our hub refuses a second program with the same key.
const SECOND_PROGRAM: &str = "second_program";

/// A connection that lasted this long counts as one that held.
const STEADY: Duration = Duration::from_secs(60);
const ENCRYPTED: &str = "the collaboration is encrypted, which this node does not support yet: it stays off";

/// The runs that are under way. Who hears events never waits for the server: that asks for a look at the open runs, and
/// another task takes it.
#[derive(Default)]
struct Taking {
    wake: Notify,
    /// Whether the server wants to know what this node has.
    tell: Notify,
    runs: Mutex<Runs>,
}

#[derive(Default)]
struct Runs {
    /// Each with its task and what stops it.
    under_way: HashMap<i64, (i64, CancellationToken)>,
    /// What each of these holds, and for whom.
    held: HashMap<i64, Held>,
    /// What those would hold that are left at the server.
    weights: HashMap<i64, Held>,
    /// Whether an open one is left for later since others hold too much.
    has_left_some: bool,
    /// When runs ended or were stopped: an answer of the server that was on its way may still call them open.
    over: HashMap<i64, Instant>,
    /// Whether another program with the same key computes, or may do so.
    idle: bool,
    /// Ends the runs under way when another program computes them.
    given_up: CancellationToken,
}

/// Why there is no connection for events any more.
enum Lost {
    /// Another program with the same key computes.
    Refused(String),
    /// The server is away, or does not take the connection.
    Away(String),
}

impl From<String> for Lost {
    fn from(reason: String) -> Lost {
        Lost::Away(reason)
    }
}

impl From<ClientError> for Lost {
    fn from(error: ClientError) -> Lost {
        let reason = error.to_string();
        if is_refusal(&error) { Lost::Refused(reason) } else { Lost::Away(reason) }
    }
}

/// Whether a server may answer otherwise later: also one that makes no sense at the moment.
fn may_pass(error: &ClientError) -> bool {
    error.is_temporary() || matches!(error, ClientError::Unreadable(_) | ClientError::TooLarge { .. })
}

/// Whether our hub says that another program works with the key of this node.
fn is_refusal(error: &ClientError) -> bool {
    matches!(error, ClientError::Rejected { status: 409, .. })
}

/// How long it is remembered that a run is over: longer than any answer is on its way.
const OVER_LIFETIME: Duration = Duration::from_secs(600);
/// How many of them are remembered before they ran.
const OVER_LIMIT: usize = 10_000;
/// How long a server may take to hear an event.
const SEND_PATIENCE: Duration = Duration::from_secs(30);
const UNHEARD: &str = "the server does not take what is sent";
/// How long a goodbye may take.
const GOODBYE_PATIENCE: Duration = Duration::from_millis(500);
/// Pause before it is tried again to open the page for reviews.
const PAGE_PAUSE: Duration = Duration::from_secs(10);
/// How often the node checks whether the files of databases have changed.
const FILES_PAUSE: Duration = Duration::from_secs(10);
/// Pause before a server is told again what this node has.
const TELL_PAUSE: Duration = Duration::from_secs(1);

impl Station {
    pub fn new(config: NodeConfig) -> Self {
        Station { config }
    }

    /// Works until `stop`; fails only if the configuration makes work impossible.
    pub async fn run(self, stop: CancellationToken) -> Result<(), NodeError> {
        let state_file = self.config.state_file();
        let _lock = NodeStore::lock(&state_file).await?;
        let store = NodeStore::open_for_station(&state_file).await?;
        let log = Arc::new(witness::begin(&store, &self.config).await?);
        store.count_deaths().await?;
        let stopped = async {
            stop.cancelled().await;
            // Whoever is connected says goodbye, so that another program may take the place at once.
            sleep(GOODBYE_PATIENCE).await;
        };
        let result = tokio::select! {
            result = self.work(store.clone(), log.clone(), &stop) => result,
            () = stopped => Ok(()),
        };
        if let Err(error) = store.leave_in_peace().await {
            tracing::error!(%error, "runs under way will count as if the node had died");
        }
        if let Err(error) = log.end(&store).await {
            tracing::error!(%error, "that the audit log ends here is not signed");
        }
        result
    }

    async fn work(
        &self,
        store: NodeStore,
        log: Arc<witness::Begun>,
        stop: &CancellationToken,
    ) -> Result<(), NodeError> {
        let state_file = self.config.state_file();
        let runs = runtime::folder_of_runs(&state_file);
        runtime::clear(&runs).map_err(|error| NodeError::Runs { path: runs.display().to_string(), error })?;
        let station = store.station(&state_file).await?;
        store.note_policies(&self.config.policies.summary()).await?;
        if !self.config.ignored.is_empty() {
            let keys = self.config.ignored.join(", ");
            tracing::warn!(keys, "keys of the configuration that have no meaning here");
        }
        let url = self.config.hub_url().map_err(|reason| NodeError::Config { path: "node".to_owned(), reason })?;
        let transport = Transport::new(&url)?;
        let hub = self.sign_in(&transport, &station).await?;
        let (organization_id, collaboration_id, node_id) = self.place(&hub).await?;
        let (outgoing, mut from_runs) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            hub,
            node_id,
            organization_id,
            collaboration_id,
            databases: self.config.database_list(),
            algorithms: self.config.algorithms.clone(),
            algorithm_env: self.config.algorithm_env.clone(),
            api_key: self.config.api_key.clone(),
            station,
            policies: self.config.policies.clone(),
            share_config: self.config.share_config,
            share_logs: self.config.share_algorithm_logs,
            store,
            runs,
            outgoing,
            events: broadcast::channel(256).0,
            starting: tokio::sync::Mutex::default(),
            computing: Computing::with_memory(self.config.memory()),
            questions: Semaphore::new(QUESTIONS),
            large_answers: Semaphore::new(1),
        });
        runtime::warn_of_missing_code(&shared.algorithms);
        warn_of_weak_protection(&shared);
        // Ends with this function.
        let mut aside = JoinSet::new();
        aside.spawn({
            let shared = shared.clone();
            async move { review::keep_hub_informed(&shared).await }
        });
        aside.spawn({
            let shared = shared.clone();
            async move {
                if let Err(error) = shared.store.follow_others(&state_file).await {
                    tracing::error!(%error, "decisions of the command line are not noticed any more");
                }
            }
        });
        aside.spawn({
            let shared = shared.clone();
            async move { witness::keep(&shared, &log).await }
        });
        if let Some(file) = self.config.audit_file.clone() {
            let store = shared.store.clone();
            aside.spawn(async move { witness::keep_file(&store, &file).await });
        }
        let untold = watch::Sender::new(Vec::new());
        if let Some(address) = self.config.review_page {
            let (store, databases, untold) = (shared.store.clone(), shared.databases.clone(), untold.subscribe());
            aside.spawn(async move {
                // Another program may have the port for a while.
                while let Err(error) = page::serve_page(store.clone(), databases.clone(), untold.clone(), address).await
                {
                    tracing::error!(%error, %address, "the node's page for reviews is not there: it is tried again");
                    sleep(PAGE_PAUSE).await;
                }
            });
        }
        let taking = Arc::new(Taking::default());
        // Until it is known whether another program computes with this key.
        taking.set_idle(true);
        aside.spawn({
            let (shared, taking) = (shared.clone(), taking.clone());
            async move { take_runs(&shared, &taking).await }
        });
        if self.config.share_config {
            let (config, taking) = (Arc::new(self.config.clone()), taking.clone());
            let outgoing = shared.outgoing.clone();
            aside.spawn(async move { tell_details(config, &taking, outgoing, untold).await });
        }
        let mut attempt = 0_usize;
        // Whether another program computes with this key, as far as the server has said.
        let mut is_second = false;
        loop {
            let begin = Instant::now();
            match self.connected(&shared, &taking, &mut from_runs, stop).await {
                Ok(()) => return Ok(()),
                Err(Lost::Refused(reason)) => {
                    // The other one computes.
                    taking.give_up();
                    is_second = true;
                    tracing::error!(node_id, reason, "the server refuses this node");
                }
                Err(Lost::Away(reason)) => {
                    // The other one goes on computing while the server is away; this one waits until it is accepted.
                    is_second &= taking.lock().idle;
                    taking.set_idle(is_second);
                    tracing::warn!(node_id, reason, "no connection for events; asking for runs instead");
                }
            }
            // After a connection that held, the next try comes soon.
            attempt = if begin.elapsed() > STEADY { 0 } else { attempt + 1 };
            let seconds = RECONNECT_PAUSES[attempt.min(RECONNECT_PAUSES.len() - 1)];
            sleep(Duration::from_secs(seconds)).await;
            taking.wake.notify_one();
        }
    }

    /// Signs in, trying again while the server is away. A key that is not accepted is tried again too: the node may
    /// be registered at any time.
    async fn sign_in(&self, transport: &Transport, station: &str) -> Result<HubClient, NodeError> {
        for attempt in 0_usize.. {
            match sign_in_node(transport, &self.config.api_key, station).await {
                Ok(tokens) => return Ok(HubClient::new(transport.clone(), tokens)),
                Err(ClientError::NotAllowed(message)) => {
                    tracing::error!(message, "the server does not accept the API key of this node");
                }
                Err(ClientError::Rejected { status: 409 | 429, message, .. }) => {
                    tracing::error!(message, "the server refuses this node");
                }
                Err(error) if error.is_temporary() => tracing::warn!(%error, "the server cannot be reached yet"),
                Err(error) => return Err(error.into()),
            }
            let seconds = RECONNECT_PAUSES[(attempt + 1).min(RECONNECT_PAUSES.len() - 1)];
            sleep(Duration::from_secs(seconds)).await;
        }
        unreachable!("the loop does not end by itself")
    }

    /// Organization, collaboration and node. Waits as long as the collaboration is encrypted: nothing is sent
    /// unencrypted there, and encryption is not supported yet.
    async fn place(&self, hub: &HubClient) -> Result<(i64, i64, i64), NodeError> {
        let id = hub.tokens().subject.ok_or(ClientError::SignedOut)?;
        loop {
            let node = match hub.node(id).await {
                Err(error) if may_pass(&error) => {
                    tracing::warn!(%error, "the server cannot be reached at the moment");
                    sleep(TROUBLE_PAUSE).await;
                    continue;
                }
                node => node?,
            };
            let (Some(organization_id), Some(collaboration_id)) = (node.organization_id, node.collaboration_id) else {
                let reason = "the node belongs to no collaboration".to_owned();
                return Err(ClientError::Unreadable(reason).into());
            };
            let collaboration = match hub.collaboration(collaboration_id).await {
                Err(error) if may_pass(&error) => {
                    tracing::warn!(%error, "the server cannot be reached at the moment");
                    sleep(TROUBLE_PAUSE).await;
                    continue;
                }
                collaboration => collaboration?,
            };
            if !collaboration.encrypted {
                tracing::info!(node_id = id, node = node.name, collaboration = collaboration.name, "the node is ready");
                return Ok((organization_id, collaboration_id, id));
            }
            tracing::error!(node_id = id, collaboration = collaboration.name, "{ENCRYPTED}");
            sleep(ENCRYPTED_PAUSE).await;
        }
    }

    /// Works as long as there is a connection for events. `Ok` when it was told to stop.
    async fn connected(
        &self,
        shared: &Arc<Shared>,
        taking: &Taking,
        from_runs: &mut mpsc::UnboundedReceiver<Outgoing>,
        stop: &CancellationToken,
    ) -> Result<(), Lost> {
        let tokens = shared.hub.tokens();
        if tokens.is_expiring() {
            self.renew(shared).await?;
        }
        match is_encrypted(shared).await {
            Ok(false) => {}
            Ok(true) => return Err(ENCRYPTED.to_owned().into()),
            Err(ClientError::SignedOut) => {
                self.renew(shared).await?;
                return Err("the tokens had ended".to_owned().into());
            }
            Err(error) => return Err(error.into()),
        }
        let url = shared.hub.transport().base();
        let mut socket = Socket::connect(url, &shared.hub.tokens().access).await.map_err(|error| error.to_string())?;
        // Nobody listens without a receiver; that is fine.
        let _ = shared.events.send(Event::Connected);
        let mut ping = interval(PING_INTERVAL);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                received = socket.next() => {
                    let (name, payload) = received.map_err(|error| error.to_string())?;
                    if name == SECOND_PROGRAM {
                        let message = payload.as_str().unwrap_or("another program is connected with its key").to_owned();
                        return Err(Lost::Refused(message));
                    }
                    let Some(event) = Event::from_v4(&name, payload) else { continue };
                    match &event {
                        Event::TokenRefused => {
                            self.renew(shared).await?;
                            return Err("the token was refused".to_owned().into());
                        }
                        Event::Sync => {
                            taking.set_idle(false);
                            taking.tell.notify_one();
                            taking.wake.notify_one();
                        }
                        Event::NewTask(_) => taking.wake.notify_one(),
                        Event::Kill(kill) => taking.stop_runs(shared, kill),
                        _ => {}
                    }
                    // Nobody here follows logs.
                    if let Some(event) = event.for_followers().filter(|event| !matches!(event, Event::Log(_))) {
                        let _ = shared.events.send(event);
                    }
                }
                Some(event) = from_runs.recv() => {
                    if event.is_stale() {
                        continue;
                    }
                    let sent = timeout(SEND_PATIENCE, socket.emit_with(event.name, &event.payload, event.taken)).await;
                    sent.map_err(|_| UNHEARD.to_owned())?.map_err(|error| error.to_string())?;
                }
                _ = ping.tick() => {
                    let sent = timeout(SEND_PATIENCE, socket.emit("ping", &Value::Null)).await;
                    sent.map_err(|_| UNHEARD.to_owned())?.map_err(|error| error.to_string())?;
                }
                () = stop.cancelled() => {
                    socket.close().await;
                    return Ok(());
                }
            }
        }
    }

    /// Renews the tokens; when they can no longer be renewed, signs in anew with the API key.
    async fn renew(&self, shared: &Shared) -> Result<(), ClientError> {
        let hub = &shared.hub;
        match hub.refresh(&hub.tokens()).await {
            Err(ClientError::SignedOut) => {
                hub.set_tokens(sign_in_node(hub.transport(), &shared.api_key, &shared.station).await?);
                Ok(())
            }
            outcome => outcome,
        }
    }
}

/// Tells the server of the databases whenever it asks, and when their files have changed. It may take a while to look at them:
/// events are heard meanwhile. A server that asks all the time is told now and then.
async fn tell_details(
    config: Arc<NodeConfig>,
    taking: &Taking,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    untold: watch::Sender<Vec<String>>,
) {
    // The states of the files that were told last.
    let mut told: Option<String> = None;
    loop {
        let is_asked = tokio::select! {
            () = taking.tell.notified() => true,
            () = sleep(FILES_PAUSE), if told.is_some() => false,
        };
        let (config, known) = (config.clone(), told.clone());
        let look = move || {
            let states = share::states(&config);
            (is_asked || known.as_ref() != Some(&states)).then(|| (share::details(&config), states))
        };
        match spawn_blocking(look).await {
            Ok(None) => continue,
            Ok(Some((Details { told: payload, untold: not_told }, states))) => {
                untold.send_replace(not_told);
                if !is_asked {
                    tracing::info!("the files of the databases have changed: the server is told of their columns anew");
                }
                // Without a receiver the node is stopping.
                let _ = outgoing.send(Outgoing { name: "node_info_update", payload, taken: None });
                told = Some(states);
            }
            Err(error) => {
                tracing::error!(%error, "the databases cannot be looked at");
                told = Some(String::new());
            }
        }
        sleep(TELL_PAUSE).await;
    }
}

/// Tells at the start where this node protects less than it could.
fn warn_of_weak_protection(shared: &Shared) {
    let weaker = shared.policies.limits().weaker();
    if !weaker.is_empty() {
        tracing::warn!(limits = weaker.join(", "), "the disclosure limits of this node are weaker than usual");
    }
    if !shared.policies.allowed_identifiers.is_empty() {
        let columns = shared.policies.allowed_identifiers.join(", ");
        tracing::warn!(columns, "functions may use columns that identify people (allowed_identifiers)");
    }
    let unnamed = shared.databases.iter().filter(|database| database.person.is_none());
    let labels: Vec<&str> = unnamed.map(|database| database.label.as_str()).collect();
    if !labels.is_empty() {
        tracing::warn!(
            databases = labels.join(", "),
            "nothing says who the rows are about (person): limits count rows, and five rows of one person are five people"
        );
    }
}

/// Nothing is sent unencrypted in an encrypted collaboration; it can become one at any time.
async fn is_encrypted(shared: &Shared) -> Result<bool, ClientError> {
    Ok(shared.hub.collaboration(shared.collaboration_id).await?.encrypted)
}

/// Takes open runs whenever somebody asks for it, and now and then without, for as long as it is polled.
async fn take_runs(shared: &Arc<Shared>, taking: &Arc<Taking>) {
    let mut runs = JoinSet::new();
    let mut poll = interval(POLL_INTERVAL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = taking.wake.notified() => {}
            _ = poll.tick() => {}
            Some(_) = runs.join_next() => continue,
        }
        take_open_runs(shared, taking, &mut runs).await;
    }
}

/// Asks for the runs that are still to end, starts those that are not under way, and stops those that have ended
/// there: somebody may have stopped them while nothing could be heard.
async fn take_open_runs(shared: &Arc<Shared>, taking: &Arc<Taking>, runs: &mut JoinSet<()>) {
    if taking.lock().idle {
        return;
    }
    let under_way: Vec<i64> = taking.lock().under_way.keys().copied().collect();
    // What ends from now on can be called open by the answer.
    let asked_at = Instant::now();
    let mut room = taking.room();
    let open = match shared.hub.open_runs(shared.node_id, |run| room.takes(&run).then(|| trimmed(run))).await {
        Ok(open) => open,
        Err(error) => {
            tracing::warn!(%error, "the open runs are not known");
            if is_refusal(&error) {
                taking.give_up();
            }
            return;
        }
    };
    let open_ids: Vec<i64> = open.iter().map(|open| open.id).collect();
    for id in under_way.iter().filter(|id| !open_ids.contains(id)) {
        if review::is_gone(shared, *id).await {
            taking.stop([*id]);
        }
    }
    if let Err(error) = review::end_those_that_are_gone(shared, &open_ids).await {
        tracing::error!(%error, "reviews of runs that are gone were not ended");
    }
    if open.iter().all(|open| under_way.contains(&open.id)) {
        return;
    }
    match is_encrypted(shared).await {
        Ok(false) => {}
        Ok(true) => {
            tracing::error!("{ENCRYPTED}");
            return;
        }
        Err(error) => {
            tracing::warn!(%error, "it is not known whether the collaboration is encrypted");
            return;
        }
    }
    let mut left = Vec::new();
    for open in open {
        let id = open.id;
        if under_way.contains(&id) {
            continue;
        }
        // A server that is asked for one node's runs can answer with those of others.
        if open.organization_id != Some(shared.organization_id) {
            continue;
        }
        if open.collaboration_id.is_some_and(|id| id != shared.collaboration_id) {
            tracing::error!(run_id = id, "a run of another collaboration: was this node moved? It has to be restarted");
            continue;
        }
        // One that this node has ended is begun anew only if the server says so once more.
        match shared.store.has_ended(id).await {
            Ok(true) if review::is_gone(shared, id).await => continue,
            Ok(_) => {}
            Err(error) => {
                tracing::error!(run_id = id, %error, "it is not known whether a run has ended");
                continue;
            }
        }
        let whose = Whose { user: open.user_id, is_part: open.is_part };
        let run = match open.content {
            OpenContent::Whole(run) => Some(*run),
            OpenContent::AtServer if room.may_take(id, whose) => match shared.hub.open_run(id).await {
                Ok(run) => room.takes(&run).then(|| trimmed(run)),
                Err(ClientError::NotFound(_)) => continue,
                Err(error) => {
                    tracing::warn!(run_id = id, %error, "it is not known what a run asks for");
                    break;
                }
            },
            OpenContent::AtServer | OpenContent::Left => None,
        };
        let Some(run) = run else {
            taking.lock().has_left_some = true;
            if let Some(log) = open.log.filter(|log| !log.contains(LEFT))
                && left.len() < LEFT_TOLD
            {
                left.push(RunLog::new(id, open.task_id, shared.collaboration_id, &log, None));
            }
            continue;
        };
        let token = CancellationToken::new();
        if !taking.begin(id, open.task_id, &token, asked_at) {
            continue;
        }
        taking.hold(&run);
        let run = v4::Run { log: run.log.as_deref().map(without_left), ..run };
        let (shared, taking) = (shared.clone(), taking.clone());
        let given_up = taking.lock().given_up.clone();
        runs.spawn(async move {
            // Ends with the task also when the node stops and the set of runs is dropped.
            let _stop_with_this = token.clone().drop_guard();
            if given_up.run_until_cancelled(run::execute(&shared, run, token)).await.is_none() {
                tracing::warn!(run_id = id, "a run is left to the other program");
            }
            taking.end(id);
        });
    }
    taking.lock().weights = room.into_weights(&open_ids);
    for log in left {
        log.last_line(LEFT);
        let patch = v4::RunPatch { log: Some(log.whole().await), ..Default::default() };
        if let Err(error) = shared.hub.report_run(log.run_id(), &patch).await {
            tracing::debug!(run_id = log.run_id(), %error, "that a run is left for later is not told");
        }
    }
}

/// What a run is told that waits at the server, …
const LEFT: &str = "It waits at the server: other runs, of the same user or of all, hold as much of the node's memory as they may. \
                    It is taken when some of them have ended.";
/// … and how many at once.
const LEFT_TOLD: usize = 50;

/// A log without the words that its run waits at the server: it is taken.
fn without_left(log: &str) -> String {
    log.split_inclusive('\n').filter(|line| !line.contains(LEFT)).collect()
}

impl Taking {
    fn lock(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_idle(&self, idle: bool) {
        self.lock().idle = idle;
    }

    /// Leaves all runs to another program, without a word to the server.
    fn give_up(&self) {
        let mut runs = self.lock();
        runs.idle = true;
        std::mem::take(&mut runs.given_up).cancel();
    }

    /// Whether a run may begin that was open when the server was asked: not if it is under way, or over since.
    fn begin(&self, id: i64, task_id: i64, token: &CancellationToken, asked_at: Instant) -> bool {
        let mut runs = self.lock();
        runs.over.retain(|_, over_at| over_at.elapsed() < OVER_LIFETIME);
        if runs.under_way.contains_key(&id) || runs.over.get(&id).is_some_and(|over_at| *over_at >= asked_at) {
            return false;
        }
        runs.under_way.insert(id, (task_id, token.clone()));
        true
    }

    /// The room that those under way leave: what waits for a decision, or for a processor, is in memory.
    fn room(&self) -> Room {
        let runs = self.lock();
        Room::beside(runs.under_way.keys().copied().collect(), runs.held.values(), runs.weights.clone())
    }

    fn hold(&self, run: &v4::Run) {
        self.lock().held.insert(run.id, held_by(run));
    }

    fn end(&self, id: i64) {
        let mut runs = self.lock();
        runs.over.insert(id, Instant::now());
        runs.under_way.remove(&id);
        runs.held.remove(&id);
        if std::mem::take(&mut runs.has_left_some) {
            self.wake.notify_one();
        }
    }

    fn stop(&self, ids: impl IntoIterator<Item = i64>) {
        let mut runs = self.lock();
        // A server may name any number of runs that there are not.
        if runs.over.len() >= OVER_LIMIT {
            runs.over.retain(|_, over_at| over_at.elapsed() < OVER_LIFETIME);
        }
        for id in ids {
            if runs.over.len() < OVER_LIMIT || runs.under_way.contains_key(&id) {
                runs.over.insert(id, Instant::now());
            }
            if let Some((_, token)) = runs.under_way.get(&id) {
                token.cancel();
            }
        }
    }

    fn stop_runs(&self, shared: &Shared, kill: &Kill) {
        if kill.collaboration_id != shared.collaboration_id {
            return;
        }
        match &kill.kill_list {
            // Also what is not under way yet: the answer that calls it open may be on its way.
            Some(list) => self.stop(list.iter().map(|item| item.run_id)),
            None if kill.node_id == Some(shared.node_id) => {
                self.lock().under_way.values().for_each(|(_, token)| token.cancel());
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_begins_once_whatever_the_order_of_answers_and_ends() {
        let (taking, token) = (Taking::default(), CancellationToken::new());
        let asked_at = Instant::now();
        assert!(taking.begin(7, 1, &token, asked_at));
        assert!(!taking.begin(7, 1, &token, asked_at), "it is under way");
        taking.end(7);
        assert!(!taking.begin(7, 1, &token, asked_at), "it was open when the server was asked, and is over since");
        let later = Instant::now() + Duration::from_millis(1);
        assert!(taking.begin(7, 1, &token, later), "the server calls it open again");
        taking.stop(100..5_000);
        taking.stop([8]);
        assert!(!taking.begin(8, 1, &token, asked_at), "it was stopped before it began");
    }
}
