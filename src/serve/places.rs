//! The places of connections: how many there may be, of one address and in all, and which of them gives way.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::client_address::ClientAddress;

/// The most connections at once. One address may have a quarter of them.
pub(super) const CONNECTIONS: usize = 10_000;
/// The most of them over which nothing is worked on: they are silent, a request or the rest of one is still to come over
/// them, or it waits for its turn. When there are more, the oldest one ends of the address that has most.
const AT_REST: usize = 2_000;
/// The most of them whose answer waits for its reader: each holds what it has read ahead, and a piece of the answer. The
/// same then.
const UNREAD: usize = 1_000;

/// The most of them over which the rest of a body is still to come: each holds headers, and what has come.
const HALF_BODIES: usize = 500;

/// Connections of this machine with itself, such as a portal's with the hub beside it, give way after all others: so many.
const OF_ITSELF: usize = 64;

/// The places of connections.
pub(super) struct Places {
    all: Arc<Semaphore>,
    /// How many an address may have, but for proxies that others come by.
    of_address: usize,
    trusted_proxies: Vec<IpNet>,
    /// How many there may be of each kind.
    most: [usize; KINDS],
    taken: Mutex<Taken>,
}

/// Why a connection can give way.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Nothing is worked on.
    AtRest,
    /// Its answer waits until its reader takes more of it.
    Unread,
    /// The rest of a body is awaited.
    HalfBody,
}

const KINDS: usize = 3;

#[derive(Default)]
struct Taken {
    by_address: HashMap<IpAddr, usize>,
    /// By [`Kind`].
    can_give_way: [Oldest; KINDS],
    last: u64,
}

/// Whose a connection is: whether it is one of [`OF_ITSELF`], and its address.
type Peer = (bool, IpAddr);

/// Connections that can give way, by their numbers.
#[derive(Default)]
struct Oldest {
    all: HashMap<u64, (Peer, CancellationToken)>,
    by_peer: HashMap<Peer, BTreeSet<u64>>,
    /// Addresses: that with most connections first, and of those with as many that whose oldest one is older. Who has just
    /// come is the last of them, but for this machine itself.
    order: BTreeSet<(bool, Reverse<usize>, u64, IpAddr)>,
}

/// One less of an address.
fn less(counts: &mut HashMap<IpAddr, usize>, address: IpAddr) {
    if let Some(count) = counts.get_mut(&address) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&address);
        }
    }
}

impl Oldest {
    fn add(&mut self, number: u64, peer: Peer, ended: CancellationToken) {
        self.all.insert(number, (peer, ended));
        self.change(peer, |numbers| numbers.insert(number));
    }

    fn remove(&mut self, number: u64) -> Option<CancellationToken> {
        let (peer, ended) = self.all.remove(&number)?;
        self.change(peer, |numbers| numbers.remove(&number));
        Some(ended)
    }

    /// Changes the connections of an address, and its place among others.
    fn change(&mut self, peer: Peer, change: impl FnOnce(&mut BTreeSet<u64>) -> bool) {
        let (is_own, address) = peer;
        let place =
            |numbers: &BTreeSet<u64>| numbers.first().map(|first| (is_own, Reverse(numbers.len()), *first, address));
        let numbers = self.by_peer.entry(peer).or_default();
        if let Some(before) = place(numbers) {
            self.order.remove(&before);
        }
        change(numbers);
        match place(numbers) {
            Some(now) => drop(self.order.insert(now)),
            None => drop(self.by_peer.remove(&peer)),
        }
    }

    /// Ends the oldest one of the address that has most; whether there is one.
    fn give_way(&mut self) -> bool {
        let oldest = self.order.first().map(|(_, _, oldest, _)| *oldest);
        let ended = oldest.and_then(|number| self.remove(number));
        ended.map(|ended| ended.cancel()).is_some()
    }
}

impl Places {
    pub(super) fn new(connections: usize, trusted_proxies: &[IpNet]) -> Places {
        Places {
            all: Arc::new(Semaphore::new(connections)),
            of_address: connections.div_ceil(4),
            trusted_proxies: trusted_proxies.to_vec(),
            most: [
                AT_REST.min(connections.div_ceil(2)),
                UNREAD.min(connections.div_ceil(4)),
                HALF_BODIES.min(connections.div_ceil(4)),
            ],
            taken: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there may be one more connection. Where there may not, one at rest gives way.
    pub(super) async fn free(&self) -> Option<OwnedSemaphorePermit> {
        if self.all.available_permits() == 0 {
            let [at_rest, unread, _] = &mut self.lock().can_give_way;
            if !at_rest.give_way() {
                unread.give_way();
            }
        }
        self.all.clone().acquire_owned().await.ok()
    }

    /// A connection that was accepted at this address of ours; `None` if its address has too many.
    pub(super) fn take(
        self: &Arc<Self>,
        one: OwnedSemaphorePermit,
        peer: SocketAddr,
        at: Option<SocketAddr>,
    ) -> Option<Arc<Connection>> {
        let address = ClientAddress(peer.ip()).network();
        let is_proxy = self.trusted_proxies.iter().any(|proxy| proxy.contains(&peer.ip().to_canonical()));
        let is_own = {
            let mut taken = self.lock();
            let count = taken.by_address.entry(address).or_default();
            if *count >= self.of_address && !is_proxy {
                return None;
            }
            *count += 1;
            *count <= OF_ITSELF && at.is_some_and(|at| at.ip() == peer.ip())
        };
        let connection = Connection {
            places: self.clone(),
            _one: one,
            address,
            is_own,
            ended: CancellationToken::new(),
            rest: Mutex::default(),
        };
        connection.rest();
        Some(Arc::new(connection))
    }
}

/// A connection, which has its place until this is dropped. In the extensions of its requests.
pub(super) struct Connection {
    places: Arc<Places>,
    _one: OwnedSemaphorePermit,
    address: IpAddr,
    is_own: bool,
    /// When it has to give way.
    pub(super) ended: CancellationToken,
    rest: Mutex<Rest>,
}

/// Whether nothing is worked on.
#[derive(Default)]
struct Rest {
    /// Since when the request is awaited, among all that were: that of somebody who sends it bit by bit stays old.
    number: Option<u64>,
    /// By [`Kind`].
    can_give_way: [bool; KINDS],
}

impl Connection {
    fn lock(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it can give way for this reason.
    fn mark(&self, kind: Kind, can_give_way: bool) {
        let (kind, mut rest) = (kind as usize, self.lock());
        if rest.can_give_way[kind] == can_give_way {
            return;
        }
        rest.can_give_way[kind] = can_give_way;
        let mut taken = self.places.lock();
        let number = *rest.number.get_or_insert_with(|| {
            taken.last += 1;
            taken.last
        });
        let oldest = &mut taken.can_give_way[kind];
        if !can_give_way {
            oldest.remove(number);
            return;
        }
        oldest.add(number, (self.is_own, self.address), self.ended.clone());
        if oldest.all.len() > self.places.most[kind] {
            oldest.give_way();
        }
    }

    /// Something that came over it is worked on: it does not give way.
    pub(super) fn work(&self) {
        self.mark(Kind::AtRest, false);
    }

    /// An answer was sent: the next request is awaited from now on.
    pub(super) fn begin_anew(&self) {
        self.work();
        {
            let mut rest = self.lock();
            // One that can give way for another reason keeps its number until that is over.
            if rest.can_give_way == [false; KINDS] {
                rest.number = None;
            }
        }
        self.rest();
    }

    /// Nothing is worked on: a request is awaited.
    pub(super) fn rest(&self) {
        self.mark(Kind::AtRest, true);
    }

    /// Its answer waits for its reader, or does not any more.
    pub(super) fn is_unread(&self, is_unread: bool) {
        self.mark(Kind::Unread, is_unread);
    }

    /// The rest of a request's body is awaited, or is not any more.
    pub(super) fn awaits_body(&self, awaits: bool) {
        self.mark(Kind::HalfBody, awaits);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for kind in [Kind::AtRest, Kind::Unread, Kind::HalfBody] {
            self.mark(kind, false);
        }
        less(&mut self.places.lock().by_address, self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_one_of_the_address_that_has_most_gives_way() {
        let mut oldest = Oldest::default();
        // The fifth is this machine itself.
        let address = |number: u8| (number == 5, IpAddr::from([192, 0, 2, number]));
        let ended: Vec<CancellationToken> = [1, 5, 2, 3, 5, 2, 3, 4]
            .into_iter()
            .zip(1..)
            .map(|(of, number)| {
                let ended = CancellationToken::new();
                oldest.add(number, address(of), ended.clone());
                ended
            })
            .collect();
        let mut order = Vec::new();
        while oldest.give_way() {
            let now = (1..).zip(&ended).filter(|(number, one)| one.is_cancelled() && !order.contains(number));
            order.extend(now.map(|(number, _)| number).collect::<Vec<u64>>());
        }
        // Those of the two that have two, and then by age: the one that came last is the last.
        assert_eq!(order, [3, 4, 1, 6, 7, 8, 2, 5]);
        assert!(oldest.all.is_empty() && oldest.by_peer.is_empty() && oldest.order.is_empty());
    }
}
