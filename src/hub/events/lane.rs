//! What a node sends over one connection is dealt with one after the other, and not without end.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Events that may wait on a connection: an algorithm that prints a lot does not come near it.
pub const WAITING: usize = 2_000;
/// The bytes of what waits.
const WAITING_BYTES: usize = 4 * 1024 * 1024;
/// How often it is noted that a node is there.
const SEEN: Duration = Duration::from_secs(1);

/// The events of a connection.
pub struct Lane {
    turn: Semaphore,
    waiting: AtomicUsize,
    bytes: AtomicUsize,
    seen: Mutex<Option<Instant>>,
    /// The hash of what the node has told of itself last.
    facts: Mutex<Option<[u8; 32]>>,
}

/// The turn of an event, until it is dropped.
pub struct Turn<'a> {
    lane: &'a Lane,
    bytes: usize,
    turn: Option<SemaphorePermit<'a>>,
}

impl Default for Lane {
    fn default() -> Self {
        Lane {
            turn: Semaphore::new(1),
            waiting: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            seen: Mutex::default(),
            facts: Mutex::default(),
        }
    }
}

impl Lane {
    /// Waits for the turn of an event; nothing if too much waits already.
    pub async fn turn(&self, payload: &Value) -> Option<Turn<'_>> {
        let bytes = size(payload);
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting_bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let mut turn = Turn { lane: self, bytes, turn: None };
        if waiting >= WAITING || waiting_bytes >= WAITING_BYTES {
            return None;
        }
        turn.turn = Some(self.turn.acquire().await.ok()?);
        Some(turn)
    }

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
    pub fn is_new(&self, facts: &Value) -> bool {
        let hash: [u8; 32] = Sha256::digest(facts.to_string()).into();
        let mut told = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        told.replace(hash) != Some(hash)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.lane.waiting.fetch_sub(1, Ordering::Relaxed);
        self.lane.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.turn.take();
    }
}

/// The bytes of a value as JSON.
fn size(value: &Value) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Neither counting nor a value can fail.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}
