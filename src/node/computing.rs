//! What functions that run in the node itself compute with: its processors, and the memory that they may take in all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::{cell::Cell, sync::Arc};

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// What all runs share.
pub struct Computing {
    /// One permit a processor.
    processors: Semaphore,
    count: u32,
    memory: Arc<Memory>,
}

struct Memory {
    /// In bytes.
    limit: usize,
    held: AtomicUsize,
}

/// The bytes that one run holds; given back with it.
pub struct Held {
    memory: Arc<Memory>,
    bytes: Cell<usize>,
}

impl Computing {
    /// With so many bytes of memory.
    pub fn with_memory(limit: usize) -> Self {
        let count = std::thread::available_parallelism().map_or(2, usize::from);
        let count = u32::try_from(count).unwrap_or(u32::MAX).min(1_000);
        let memory = Arc::new(Memory { limit, held: AtomicUsize::new(0) });
        Computing { processors: Semaphore::new(count as usize), count, memory }
    }

    /// A processor; with `alone` all of them, so that nothing else is computed meanwhile.
    pub async fn turn(&self, alone: bool) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.processors.acquire_many(if alone { self.count } else { 1 }).await
    }

    /// For a run that holds nothing yet.
    pub fn hold_nothing(&self) -> Held {
        Held { memory: self.memory.clone(), bytes: Cell::new(0) }
    }
}

impl Held {
    /// Whether there is room for so many bytes of this run in all, beside what the others hold.
    pub fn hold(&self, bytes: usize) -> bool {
        let before = self.bytes.get();
        let has_room = self.memory.held.fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| {
            let held = held.saturating_sub(before).saturating_add(bytes);
            (bytes <= before || held <= self.memory.limit).then_some(held)
        });
        if has_room.is_ok() {
            self.bytes.set(bytes);
        }
        has_room.is_ok()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.hold(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_runs_hold_in_all_is_bounded_and_given_back() {
        let computing = Computing::with_memory(100);
        let (one, other) = (computing.hold_nothing(), computing.hold_nothing());
        assert!(one.hold(60) && !other.hold(50) && other.hold(40));
        assert!(one.hold(10) && other.hold(90));
        drop(other);
        assert!(!one.hold(101) && one.hold(100));
    }

    #[tokio::test]
    async fn who_computes_alone_waits_for_the_others_and_they_for_it() {
        let computing = Computing::with_memory(100);
        let other = computing.turn(false).await.unwrap();
        let mut alone = std::pin::pin!(computing.turn(true));
        assert!(futures::poll!(&mut alone).is_pending());
        drop(other);
        let alone = alone.await.unwrap();
        assert!(futures::poll!(std::pin::pin!(computing.turn(false))).is_pending());
        drop(alone);
        drop(computing.turn(false).await.unwrap());
    }
}
