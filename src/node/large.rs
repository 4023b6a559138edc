//! Large results: one is in memory at a time, from when it is read or made until it is kept or sent. The others wait in
//! files.

use tokio::sync::{Semaphore, SemaphorePermit};

/// From so many bytes on a result is large.
const LARGE: usize = 1024 * 1024;
static TURNS: Semaphore = Semaphore::const_new(1);

/// The turn of something large to be in memory.
pub type Turn = SemaphorePermit<'static>;

/// Waits for the turn of so many bytes; few need none.
pub async fn turn_of(bytes: usize) -> Option<Turn> {
    match bytes < LARGE {
        true => None,
        // Nobody closes it.
        false => TURNS.acquire().await.ok(),
    }
}
