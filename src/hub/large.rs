//! Large bodies and answers: one is in memory at a time. The others wait in files, whose size in all is bounded, too.

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

use super::HubError;

/// The turn to be in memory.
pub static MEMORY: Semaphore = Semaphore::const_new(1);
/// The room in files for all together, in KiB.
const ROOM: usize = 2 * 1024 * 1024;
static ROOM_LEFT: Semaphore = Semaphore::const_new(ROOM);

/// The room that so many bytes take, as it is counted.
fn counted(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024).min(ROOM)).unwrap_or(u32::MAX)
}

/// Waits for the room of so many bytes.
pub async fn room(bytes: usize) -> Result<SemaphorePermit<'static>, HubError> {
    ROOM_LEFT.acquire_many(counted(bytes)).await.map_err(closed)
}

/// More room for somebody who cannot wait.
pub fn more_room(bytes: usize) -> Result<SemaphorePermit<'static>, HubError> {
    ROOM_LEFT.try_acquire_many(counted(bytes)).map_err(|_| HubError::Busy)
}

/// Nobody closes a semaphore here.
pub fn closed(error: AcquireError) -> HubError {
    HubError::Internal(error.to_string())
}
