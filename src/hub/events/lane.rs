//! What a node sends is dealt with one after the other, and not without end.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::told::Facts;

/// Events of a node that may wait: an algorithm that prints a lot does not come near it.
pub const WAITING: usize = 2_000;
/// The bytes of what waits.
const WAITING_BYTES: usize = 4 * 1024 * 1024;
/// How often it is noted that a node is there.
const SEEN: Duration = Duration::from_secs(1);

/// The bytes of what waits of all nodes.
const WAITING_BYTES_OF_ALL: usize = 32 * 1024 * 1024;
static BYTES_OF_ALL: AtomicUsize = AtomicUsize::new(0);

/// The events of a node, over whatever connections they come.
pub struct Lane {
    turn: Semaphore,
    waiting: AtomicUsize,
    bytes: AtomicUsize,
}

impl Default for Lane {
    fn default() -> Self {
        Lane { turn: Semaphore::new(1), waiting: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }
}

/// The lane of each node that is connected.
#[derive(Default)]
pub struct Lanes(Mutex<HashMap<i64, Weak<Lane>>>);

impl Lanes {
    pub fn of(&self, node_id: i64) -> Arc<Lane> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(&node_id).and_then(Weak::upgrade) {
            return lane;
        }
        lanes.retain(|_, lane| lane.strong_count() > 0);
        let lane = Arc::new(Lane::default());
        lanes.insert(node_id, Arc::downgrade(&lane));
        lane
    }
}

/// The turn of an event, until it is dropped.
pub struct Turn<'a> {
    lane: &'a Lane,
    bytes: usize,
    turn: Option<SemaphorePermit<'a>>,
}

impl Lane {
    /// Waits for the turn of an event that takes so many bytes; nothing if too much waits already.
    pub async fn turn(&self, bytes: usize) -> Option<Turn<'_>> {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting_bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let of_all = BYTES_OF_ALL.fetch_add(bytes, Ordering::Relaxed);
        let mut turn = Turn { lane: self, bytes, turn: None };
        if waiting >= WAITING || waiting_bytes >= WAITING_BYTES || of_all >= WAITING_BYTES_OF_ALL {
            return None;
        }
        turn.turn = Some(self.turn.acquire().await.ok()?);
        Some(turn)
    }
}

/// What was told last over a connection.
#[derive(Default)]
pub struct LastTold {
    seen: Mutex<Option<Instant>>,
    /// The hash of what the node has told of itself.
    facts: Mutex<Option<[u8; 32]>>,
}

impl LastTold {
    /// Whether it has to be noted again that the node is there.
    pub fn is_to_be_seen(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = seen.is_none_or(|seen| seen.elapsed() >= SEEN);
        if is_due {
            *seen = Some(Instant::now());
        }
        is_due
    }

    /// Whether a node tells something else of itself than the last time.
    pub fn is_new(&self, facts: &Facts) -> bool {
        let mut hash = Sha256::new();
        for text in facts.rows.iter().flat_map(|(key, value)| [key, value]) {
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        }
        let hash: [u8; 32] = hash.finalize().into();
        let mut told = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        told.replace(hash) != Some(hash)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.lane.waiting.fetch_sub(1, Ordering::Relaxed);
        self.lane.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        BYTES_OF_ALL.fetch_sub(self.bytes, Ordering::Relaxed);
        self.turn.take();
    }
}
