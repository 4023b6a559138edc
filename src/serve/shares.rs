//! How much each may have at once, so that nobody takes what others need.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// So many places for each: for each caller, for each address.
pub struct Shares<K> {
    places_each: usize,
    places: Mutex<HashMap<K, Weak<Semaphore>>>,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    pub fn new(places_each: usize) -> Self {
        Shares { places_each, places: Mutex::default() }
    }

    /// Waits for a place.
    pub async fn place(&self, of: &K) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.of(of).acquire_owned().await
    }

    /// A place, if one is free.
    pub fn free_place(&self, of: &K) -> Option<OwnedSemaphorePermit> {
        self.of(of).try_acquire_owned().ok()
    }

    fn of(&self, of: &K) -> Arc<Semaphore> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(of).and_then(Weak::upgrade) {
            return place;
        }
        // Now and then, so that this does not look at all of them each time.
        if places.len() == places.capacity() {
            places.retain(|_, place| place.strong_count() > 0);
        }
        let place = Arc::new(Semaphore::new(self.places_each));
        places.insert(of.clone(), Arc::downgrade(&place));
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_has_places_of_their_own_and_nobody_at_rest_is_remembered() {
        let shares = Shares::new(2);
        let taken = [shares.place(&1).await.unwrap(), shares.free_place(&1).unwrap()];
        assert!(shares.free_place(&1).is_none() && shares.free_place(&2).is_some());
        drop(taken);
        assert!(shares.free_place(&1).is_some());
        for other in 0..10_000 {
            assert!(shares.free_place(&other).is_some());
        }
        assert!(shares.places.lock().unwrap().len() < 100);
    }
}
