//! Passwords are hashed and compared with Argon2id, which takes 19 MiB and much of a processor: only who has a turn does it.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicUsize, Ordering},
};

use argon2::{
    Argon2, PasswordHash, PasswordHasher, PasswordVerifier,
    password_hash::{SaltString, rand_core::OsRng},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};

use super::HubError;
use crate::serve::{Place, Shares};

/// So many of one address, or of one user, may wait for their turn, …
const WAITING_EACH: usize = 40;
/// … and so many strangers in all: some seconds' work.
const WAITING_STRANGERS: usize = 100;

/// Who wants a turn.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    /// Somebody at this address of whom nothing is known yet.
    Stranger(String),
    /// A user who is signed in, or was in this browser before.
    Known(i64),
}

/// Whose turn it is.
pub struct Hashing {
    /// Each has one turn at a time: who sends many holds up nobody else.
    each: Shares<Who>,
    strangers: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// A place that no stranger takes.
    known: Arc<Semaphore>,
}

/// For one password.
pub struct Turn {
    _permit: OwnedSemaphorePermit,
    _place: Place,
}

/// A stranger who waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Hashing {
    /// For so many strangers at a time.
    pub fn new(strangers: usize) -> Hashing {
        Hashing {
            each: Shares::with_queue(1, WAITING_EACH),
            strangers: Arc::new(Semaphore::new(strangers)),
            waiting: AtomicUsize::new(0),
            known: Arc::new(Semaphore::new(1)),
        }
    }

    /// Waits for a turn; an error if too many do.
    pub async fn turn(&self, who: Who) -> Result<Turn, HubError> {
        let _waiting = match who {
            Who::Known(_) => None,
            Who::Stranger(_) => {
                let waiting = Waiting(&self.waiting);
                if self.waiting.fetch_add(1, Ordering::AcqRel) >= WAITING_STRANGERS {
                    return Err(HubError::Crowded);
                }
                Some(waiting)
            }
        };
        let lane = if matches!(who, Who::Known(_)) { &self.known } else { &self.strangers };
        let place = self.each.place(&who).await.map_err(|_| HubError::Crowded)?;
        let permit = lane.clone().acquire_owned().await.map_err(|error| HubError::Internal(error.to_string()))?;
        Ok(Turn { _permit: permit, _place: place })
    }
}

/// A hash that no password has, to spend the same time on users who do not exist.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash(&SecretString::from("")).unwrap_or_default());

fn hash(password: &SecretString) -> Result<String, HubError> {
    let salt = SaltString::generate(&mut OsRng);
    Argon2::default()
        .hash_password(password.expose_secret().as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| HubError::Internal(error.to_string()))
}

impl Turn {
    /// The hash of a password.
    pub async fn hash(self, password: SecretString) -> Result<String, HubError> {
        self.spend(move || hash(&password)).await
    }

    /// Whether this is the password of the hash. Without a hash the answer is no, after the same time.
    pub async fn verify(self, password: SecretString, expected: Option<String>) -> Result<bool, HubError> {
        self.spend(move || {
            let known = expected.is_some();
            let text = expected.unwrap_or_else(|| NOBODY.clone());
            let hash = PasswordHash::new(&text).map_err(|error| HubError::Internal(error.to_string()))?;
            let right = Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash).is_ok();
            Ok(right && known)
        })
        .await
    }

    /// Runs the work on a thread of its own. The thread keeps the turn until it ends, even if nobody waits any more.
    async fn spend<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T, HubError> + Send + 'static,
    ) -> Result<T, HubError> {
        let work = move || {
            let _turn = self;
            work()
        };
        spawn_blocking(work).await.map_err(|error| HubError::Internal(error.to_string()))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, future::join_all};

    fn stranger(number: usize) -> Who {
        Who::Stranger(format!("192.0.2.{number}"))
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let hashing = Hashing::new(1);
        let hash = hashing.turn(Who::Known(1)).await.unwrap().hash("right".into()).await.unwrap();
        for (password, expected, fits) in
            [("right", Some(&hash), true), ("wrong", Some(&hash), false), ("", None, false), ("right", None, false)]
        {
            let turn = hashing.turn(stranger(1)).await.unwrap();
            assert_eq!(turn.verify(password.into(), expected.cloned()).await.unwrap(), fits, "{password}");
        }
    }

    #[tokio::test]
    async fn some_strangers_wait_and_no_one_who_is_known_waits_behind_them() {
        let hashing = Hashing::new(1);
        let first = hashing.turn(stranger(0)).await.unwrap();
        let all: Vec<_> = (1..200).map(async |number| hashing.turn(stranger(number)).await.is_ok()).collect();
        let mut all = Box::pin(join_all(all));
        assert!(all.as_mut().now_or_never().is_none());
        // One more is refused at once, and somebody known is not.
        assert!(matches!(hashing.turn(stranger(200)).now_or_never(), Some(Err(HubError::Crowded))));
        let known = hashing.turn(Who::Known(1)).now_or_never().unwrap().unwrap();
        assert!(hashing.turn(Who::Known(2)).now_or_never().is_none());
        drop((first, known));
        let waited = all.await.into_iter().filter(|is_turn| *is_turn).count();
        assert_eq!(waited, WAITING_STRANGERS);
        assert!(hashing.turn(stranger(0)).now_or_never().is_some());
    }

    #[tokio::test]
    async fn many_of_one_wait_behind_each_other() {
        let hashing = Hashing::new(2);
        let mut flood = Vec::new();
        let first = hashing.turn(stranger(1)).await.unwrap();
        for number in 0..100 {
            let mut turn = Box::pin(hashing.turn(stranger(1)));
            let answer = turn.as_mut().now_or_never();
            assert_eq!(matches!(answer, Some(Err(HubError::Crowded))), number >= WAITING_EACH);
            if answer.is_none() {
                flood.push(turn);
            }
        }
        // The other place is free.
        assert!(hashing.turn(stranger(2)).now_or_never().is_some_and(|turn| turn.is_ok()));
        drop(first);
    }
}
