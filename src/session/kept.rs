use std::{sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::Instant};

use crate::protocol::client::ClientError;

/// How long what is old serves before the hub is asked again, after it did not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Something that was asked of the hub and is believed for a while.
pub struct Kept<T>(Mutex<Option<(Instant, Arc<T>)>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Kept(Mutex::new(None))
    }
}

impl<T> Kept<T> {
    /// Forgets it: the next who needs it asks.
    pub async fn forget(&self) {
        *self.0.lock().await = None;
    }

    /// What is kept, unless it is older than `lifetime`; then it is asked for again. Those who ask together wait for
    /// one answer. While the hub is away, what is old has to do.
    pub async fn get(
        &self,
        lifetime: Duration,
        ask: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<Arc<T>, ClientError> {
        let mut kept = self.0.lock().await;
        if let Some((_, value)) = kept.as_ref().filter(|(since, _)| since.elapsed() < lifetime) {
            return Ok(value.clone());
        }
        match (ask.await, kept.as_ref()) {
            (Ok(value), _) => {
                let value = Arc::new(value);
                *kept = Some((Instant::now(), value.clone()));
                Ok(value)
            }
            (Err(error), Some((_, old))) if error.is_temporary() => {
                let old = old.clone();
                // Not asked for again at once: a hub that hangs would hold up every request.
                let since = Instant::now().checked_sub(lifetime.saturating_sub(PATIENCE)).unwrap_or_else(Instant::now);
                *kept = Some((since, old.clone()));
                Ok(old)
            }
            (Err(error), _) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_kept_is_asked_for_again_when_it_is_old_and_serves_while_the_hub_is_away() {
        let kept = Kept::default();
        let hour = Duration::from_secs(3600);
        assert_eq!(*kept.get(hour, async { Ok(1) }).await.unwrap(), 1);
        assert_eq!(*kept.get(hour, async { Ok(2) }).await.unwrap(), 1);
        assert_eq!(*kept.get(Duration::ZERO, async { Ok(3) }).await.unwrap(), 3);
        assert_eq!(*kept.get(Duration::ZERO, async { Err(ClientError::Timeout) }).await.unwrap(), 3);
        assert!(matches!(
            kept.get(Duration::ZERO, async { Err(ClientError::SignedOut) }).await,
            Err(ClientError::SignedOut)
        ));
    }
}
