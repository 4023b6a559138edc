//! What is large, bodies and answers: one is in memory at a time, the others wait in files, which have their room, too.

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

use super::HubError;

/// The turn to be in memory.
pub static MEMORY: Semaphore = Semaphore::const_new(1);
/// The room in files for all together, in KiB.
const ROOM: usize = 2 * 1024 * 1024;
static ROOM_LEFT: Semaphore = Semaphore::const_new(ROOM);

/// Waits for the room of so many bytes.
pub async fn room(bytes: usize) -> Result<SemaphorePermit<'static>, HubError> {
    let kibibytes = bytes.div_ceil(1024).min(ROOM);
    ROOM_LEFT.acquire_many(u32::try_from(kibibytes).unwrap_or(u32::MAX)).await.map_err(closed)
}

/// Nobody closes a semaphore here.
pub fn closed(error: AcquireError) -> HubError {
    HubError::Internal(error.to_string())
}
