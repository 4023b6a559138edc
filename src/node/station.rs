//! The life of a data station: sign in, connect, take runs, stop.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use secrecy::SecretString;
use serde_json::Value;
use tokio::{
    sync::{Semaphore, broadcast, mpsc},
    task::{JoinSet, spawn_blocking},
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    NodeConfig, NodeError,
    config::{AlgorithmConfig, DatabaseConfig},
    log::Outgoing,
    page, review, run, runtime, share,
    store::{NodeStore, StoreError},
};
use crate::{
    audit,
    protocol::{
        client::{ClientError, HubClient, Transport, sign_in_node},
        event::{Event, Kill},
        policy::Policies,
        socket::Socket,
        wire::v4,
    },
};

/// How often a node says that it is there.
const PING_INTERVAL: Duration = Duration::from_secs(60);
/// How often it asks for runs while events arrive, in case one was missed, …
const POLL_INTERVAL: Duration = Duration::from_secs(60);
/// … and while none can arrive, as far as the pauses between attempts to connect allow.
const RECONNECT_PAUSES: [u64; 6] = [0, 1, 2, 5, 10, 20];
/// How long a node waits before it looks again whether its collaboration is still encrypted.
const ENCRYPTED_PAUSE: Duration = Duration::from_secs(60);
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
    pub policies: Policies,
    pub share_logs: bool,
    /// What the node remembers.
    pub store: NodeStore,
    /// Events to the server.
    pub outgoing: mpsc::UnboundedSender<Outgoing>,
    /// Events from the server.
    pub events: broadcast::Sender<Event>,
    /// Held while a run starts by an approval.
    pub starting: tokio::sync::Mutex<()>,
    /// One permit a processor, for functions that compute.
    pub processors: Semaphore,
}

/// A connection that lasted this long counts as one that held.
const STEADY: Duration = Duration::from_secs(60);
const ENCRYPTED: &str = "the collaboration is encrypted, which this node does not support yet: it stays off";

/// The runs that are under way, each with what stops it.
type Running = Arc<Mutex<HashMap<i64, (i64, CancellationToken)>>>;

impl Station {
    pub fn new(config: NodeConfig) -> Self {
        Station { config }
    }

    /// Works until `stop`; fails only if the configuration makes work impossible.
    pub async fn run(self, stop: CancellationToken) -> Result<(), NodeError> {
        tokio::select! {
            result = self.work(&stop) => result,
            () = stop.cancelled() => Ok(()),
        }
    }

    async fn work(&self, stop: &CancellationToken) -> Result<(), NodeError> {
        let state_file = self.config.state_file();
        let store = NodeStore::open(&state_file).await?;
        match audit::verify(store.pool(), None).await.map_err(StoreError::from)? {
            Ok(_) => {}
            Err(broken) => tracing::error!(file = %state_file.display(), %broken, "the audit log does not hold"),
        }
        store.note_policies(&self.config.policies.summary()).await?;
        if !self.config.ignored.is_empty() {
            let keys = self.config.ignored.join(", ");
            tracing::info!(keys, "keys of the configuration that have no meaning here");
        }
        let url = self.config.hub_url().map_err(|reason| NodeError::Config { path: "node".to_owned(), reason })?;
        let transport = Transport::new(&url)?;
        let hub = self.sign_in(&transport).await?;
        let (organization_id, collaboration_id, node_id) = self.place(&hub).await?;
        let (outgoing, mut from_runs) = mpsc::unbounded_channel();
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let shared = Arc::new(Shared {
            hub,
            node_id,
            organization_id,
            collaboration_id,
            databases: self.config.database_list(),
            algorithms: self.config.algorithms.clone(),
            algorithm_env: self.config.algorithm_env.clone(),
            api_key: self.config.api_key.clone(),
            policies: self.config.policies.clone(),
            share_logs: self.config.share_algorithm_logs,
            store,
            outgoing,
            events: broadcast::channel(256).0,
            starting: tokio::sync::Mutex::default(),
            processors: Semaphore::new(processors),
        });
        runtime::warn_of_missing_code(&shared.algorithms);
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
        if let Some(address) = self.config.review_page {
            let store = shared.store.clone();
            aside.spawn(async move {
                if let Err(error) = page::serve(store, address).await {
                    tracing::error!(%error, %address, "the node's page for reviews is not there");
                }
            });
        }
        let running = Running::default();
        let mut runs = JoinSet::new();
        let mut attempt = 0_usize;
        loop {
            let begin = Instant::now();
            match self.connected(&shared, &running, &mut runs, &mut from_runs, stop).await {
                Ok(()) => return Ok(()),
                Err(reason) => tracing::warn!(node_id, reason, "no connection for events; asking for runs instead"),
            }
            // After a connection that held, the next try comes soon.
            attempt = if begin.elapsed() > STEADY { 0 } else { attempt + 1 };
            let seconds = RECONNECT_PAUSES[attempt.min(RECONNECT_PAUSES.len() - 1)];
            sleep(Duration::from_secs(seconds)).await;
            take_open_runs(&shared, &running, &mut runs).await;
        }
    }

    /// Signs in, trying again while the server is away. A key that is not accepted is tried again too: the node may
    /// be registered at any time.
    async fn sign_in(&self, transport: &Transport) -> Result<HubClient, NodeError> {
        for attempt in 0_usize.. {
            match sign_in_node(transport, &self.config.api_key).await {
                Ok(tokens) => return Ok(HubClient::new(transport.clone(), tokens)),
                Err(ClientError::NotAllowed(message)) => {
                    tracing::error!(message, "the server does not accept the API key of this node");
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
                Err(error) if error.is_temporary() => {
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
                Err(error) if error.is_temporary() => {
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
        running: &Running,
        runs: &mut JoinSet<()>,
        from_runs: &mut mpsc::UnboundedReceiver<Outgoing>,
        stop: &CancellationToken,
    ) -> Result<(), String> {
        let tokens = shared.hub.tokens();
        if tokens.is_expiring() {
            self.renew(&shared.hub).await?;
        }
        if is_encrypted(shared).await.map_err(|error| error.to_string())? {
            return Err(ENCRYPTED.to_owned());
        }
        let url = shared.hub.transport().base();
        let mut socket = Socket::connect(url, &shared.hub.tokens().access).await.map_err(|error| error.to_string())?;
        // Nobody listens without a receiver; that is fine.
        let _ = shared.events.send(Event::Connected);
        let mut ping = interval(PING_INTERVAL);
        let mut poll = interval(POLL_INTERVAL);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                received = socket.next() => {
                    let (name, payload) = received.map_err(|error| error.to_string())?;
                    let Some(event) = Event::from_v4(&name, payload) else { continue };
                    match &event {
                        Event::TokenRefused => {
                            self.renew(&shared.hub).await?;
                            return Err("the token was refused".to_owned());
                        }
                        Event::Sync => {
                            if self.config.share_config {
                                let details = self.details().await;
                                socket.emit("node_info_update", &details).await.map_err(|error| error.to_string())?;
                            }
                            take_open_runs(shared, running, runs).await;
                        }
                        Event::NewTask(_) => take_open_runs(shared, running, runs).await,
                        Event::Kill(kill) => stop_runs(shared, running, kill),
                        _ => {}
                    }
                    let _ = shared.events.send(event);
                }
                Some(event) = from_runs.recv() => {
                    if event.is_stale() {
                        continue;
                    }
                    let sent = socket.emit_with(event.name, &event.payload, event.taken).await;
                    sent.map_err(|error| error.to_string())?;
                }
                _ = ping.tick() => {
                    socket.emit("ping", &Value::Null).await.map_err(|error| error.to_string())?;
                }
                _ = poll.tick() => take_open_runs(shared, running, runs).await,
                Some(_) = runs.join_next() => {}
                () = stop.cancelled() => {
                    socket.close().await;
                    return Ok(());
                }
            }
        }
    }

    /// Renews the tokens; when they can no longer be renewed, signs in anew with the API key.
    async fn renew(&self, hub: &HubClient) -> Result<(), String> {
        match hub.refresh(&hub.tokens()).await {
            Err(ClientError::SignedOut) => {
                let tokens = sign_in_node(hub.transport(), &self.config.api_key).await;
                hub.set_tokens(tokens.map_err(|error| error.to_string())?);
                Ok(())
            }
            outcome => outcome.map_err(|error| error.to_string()),
        }
    }

    async fn details(&self) -> Value {
        let config = self.config.clone();
        spawn_blocking(move || share::details(&config)).await.unwrap_or_else(|_| Value::Object(Default::default()))
    }
}

/// Nothing is sent unencrypted in an encrypted collaboration; it can become one at any time.
async fn is_encrypted(shared: &Shared) -> Result<bool, ClientError> {
    Ok(shared.hub.collaboration(shared.collaboration_id).await?.encrypted)
}

/// Asks for the runs that are still to end, starts those that are not under way, and stops those that have ended
/// there: somebody may have stopped them while nothing could be heard.
async fn take_open_runs(shared: &Arc<Shared>, running: &Running, runs: &mut JoinSet<()>) {
    let under_way: Vec<i64> = running.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect();
    let open = match shared.hub.open_runs(shared.node_id).await {
        Ok(open) => open,
        Err(error) => {
            tracing::warn!(%error, "the open runs are not known");
            return;
        }
    };
    let open_ids: Vec<i64> = open.iter().map(|run| run.id).collect();
    for id in under_way.iter().filter(|id| !open_ids.contains(id)) {
        if !review::is_gone(shared, *id).await {
            continue;
        }
        let running = running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, token)) = running.get(id) {
            token.cancel();
        }
    }
    if let Err(error) = review::end_those_that_are_gone(shared, &open_ids).await {
        tracing::error!(%error, "reviews of runs that are gone were not ended");
    }
    if open.iter().all(|run| under_way.contains(&run.id)) {
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
    for run in open {
        // A server that is asked for one node's runs can answer with those of others.
        if run.organization.as_ref().map(|link| link.id) != Some(shared.organization_id) {
            continue;
        }
        let elsewhere = matches!(&run.task, Some(v4::RunTask::Task(task))
            if task.collaboration.as_ref().is_some_and(|link| link.id != shared.collaboration_id));
        if elsewhere {
            tracing::error!(
                run_id = run.id,
                "a run of another collaboration: was this node moved? It has to be restarted"
            );
            continue;
        }
        let task_id = run.task.as_ref().map_or(0, |task| task.id());
        let id = run.id;
        let token = CancellationToken::new();
        {
            let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
            if running.contains_key(&id) {
                continue;
            }
            running.insert(id, (task_id, token.clone()));
        }
        let (shared, running) = (shared.clone(), running.clone());
        runs.spawn(async move {
            // Ends with the task also when the node stops and the set of runs is dropped.
            let _stop_with_this = token.clone().drop_guard();
            run::execute(&shared, run, token).await;
            running.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        });
    }
}

fn stop_runs(shared: &Shared, running: &Running, kill: &Kill) {
    if kill.collaboration_id != shared.collaboration_id {
        return;
    }
    let running = running.lock().unwrap_or_else(PoisonError::into_inner);
    for (run_id, (_, token)) in running.iter() {
        let of_list = kill.kill_list.iter().flatten().any(|item| item.run_id == *run_id);
        if of_list || (kill.kill_list.is_none() && kill.node_id == Some(shared.node_id)) {
            token.cancel();
        }
    }
}
