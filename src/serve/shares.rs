//! How much each may have at once, so that nobody takes what others need.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many places for each: for each caller, for each address.
pub struct Shares<K> {
    places_each: usize,
    waiting_each: usize,
    shares: Mutex<HashMap<K, Weak<Share>>>,
}

/// What one of them has.
struct Share {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A place that somebody has until this is dropped.
pub struct Place {
    // Before its share, which is remembered as long as somebody has a place.
    _permit: OwnedSemaphorePermit,
    _share: Arc<Share>,
}

/// There is no place, and as many wait for one as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many wait for a place")]
pub struct NoPlace;

/// One who waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// Nobody waits for a place.
    pub fn without_queue(places_each: usize) -> Self {
        Shares::with_queue(places_each, 0)
    }

    /// So many of each may wait for a place.
    pub fn with_queue(places_each: usize, waiting_each: usize) -> Self {
        Shares { places_each, waiting_each, shares: Mutex::default() }
    }

    /// Waits for a place.
    pub async fn place(&self, of: &K) -> Result<Place, NoPlace> {
        let share = self.of(of);
        if let Ok(permit) = share.places.clone().try_acquire_owned() {
            return Ok(Place { _permit: permit, _share: share });
        }
        let before = share.waiting.fetch_add(1, Ordering::AcqRel);
        let waiting = Waiting(&share.waiting);
        if before >= self.waiting_each {
            return Err(NoPlace);
        }
        let permit = share.places.clone().acquire_owned().await.map_err(|_| NoPlace)?;
        drop(waiting);
        Ok(Place { _permit: permit, _share: share })
    }

    /// A place, if one is free.
    pub fn free_place(&self, of: &K) -> Option<Place> {
        let share = self.of(of);
        let permit = share.places.clone().try_acquire_owned().ok()?;
        Some(Place { _permit: permit, _share: share })
    }

    fn of(&self, of: &K) -> Arc<Share> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(of).and_then(Weak::upgrade) {
            return share;
        }
        // Now and then, so that this does not look at all of them each time.
        if shares.len() == shares.capacity() {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let places = Arc::new(Semaphore::new(self.places_each));
        let share = Arc::new(Share { places, waiting: AtomicUsize::new(0) });
        shares.insert(of.clone(), Arc::downgrade(&share));
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::poll;
    use std::pin::pin;

    #[tokio::test]
    async fn each_has_places_of_their_own_and_nobody_at_rest_is_remembered() {
        let shares = Shares::with_queue(2, 1);
        let taken = [shares.place(&1).await.unwrap(), shares.free_place(&1).unwrap()];
        assert!(shares.free_place(&1).is_none() && shares.free_place(&2).is_some());
        // One waits, and no more.
        let mut waits = pin!(shares.place(&1));
        assert!(poll!(&mut waits).is_pending());
        assert!(matches!(shares.place(&1).await, Err(NoPlace)));
        drop(taken);
        drop(waits.await.unwrap());
        assert!(shares.free_place(&1).is_some());
        for other in 0..10_000 {
            assert!(shares.free_place(&other).is_some());
        }
        assert!(shares.shares.lock().unwrap().len() < 100);
    }
}
