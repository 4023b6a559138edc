//! How much each caller may have at once, so that nobody takes what others need.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::permission::Caller;

/// So many places for each caller.
pub struct PerCaller {
    permits: usize,
    places: Mutex<HashMap<String, Weak<Semaphore>>>,
}

impl PerCaller {
    pub fn new(permits: usize) -> Self {
        PerCaller { permits, places: Mutex::default() }
    }

    /// Waits for a place of the caller.
    pub async fn place(&self, caller: &Caller) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.of(&caller.authority.actor).acquire_owned().await
    }

    /// A place of the caller, if one is free.
    pub fn free_place(&self, caller: &Caller) -> Option<OwnedSemaphorePermit> {
        self.of(&caller.authority.actor).try_acquire_owned().ok()
    }

    fn of(&self, actor: &str) -> Arc<Semaphore> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(actor).and_then(Weak::upgrade) {
            return place;
        }
        places.retain(|_, place| place.strong_count() > 0);
        let place = Arc::new(Semaphore::new(self.permits));
        places.insert(actor.to_owned(), Arc::downgrade(&place));
        place
    }
}
