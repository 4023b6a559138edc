//! Which program computes for a node. Two with the key of one node would compute each of its runs twice, so one of them
//! has the place, and the other is refused whatever it asks.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{
    HubError, events,
    permission::{Caller, CallerKind},
    server::HubState,
    store::Store,
};

/// For how long a station has its place that is neither connected nor asks for anything; it asks each minute.
const LEASE: Duration = Duration::from_secs(150);
/// How often it is noted that a second program was refused, which may ask again and again.
const SECOND_PAUSE: Duration = Duration::from_secs(30);

/// Who has the place of each node.
#[derive(Default)]
pub struct Programs(Mutex<HashMap<i64, Holder>>);

/// A program with the key of a node, by what its tokens say.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// That of the node's tokens. A new API key begins a new one, so that the old key has no place.
    pub epoch: i64,
    /// Each sign-in begins one.
    pub family: Uuid,
    /// Official nodes have none: they have a place only as long as they are connected.
    pub station: Option<Uuid>,
}

impl Program {
    fn is_of(&self, station: Option<Uuid>) -> bool {
        station.is_some() && self.station == station
    }
}

/// The program that has the place of a node.
struct Holder {
    program: Program,
    connections: usize,
    seen: Instant,
    /// When it was noted that another one was refused.
    second_noted: Option<Instant>,
}

impl Holder {
    fn new(program: Program) -> Holder {
        Holder { program, connections: 0, seen: Instant::now(), second_noted: None }
    }

    fn is_there(&self) -> bool {
        self.connections > 0 || self.program.station.is_some() && self.seen.elapsed() < LEASE
    }
}

impl Programs {
    /// With those that had a place when the hub ended: they have it until they have had the time to come again.
    pub async fn of(store: &Store) -> Result<Programs, HubError> {
        let rows: Vec<(i64, String, String, i64)> = sqlx::query_as(
            "SELECT id, program_family, program_station, token_epoch FROM node WHERE program_family IS NOT NULL",
        )
        .fetch_all(store.reader())
        .await?;
        let holders = rows.into_iter().filter_map(|(id, family, station, epoch)| {
            let (family, station) = (family.parse().ok()?, Some(station.parse().ok()?));
            Some((id, Holder::new(Program { epoch, family, station })))
        });
        Ok(Programs(Mutex::new(holders.collect())))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Holder>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a program may sign in: nobody else has the node's place.
    pub fn may_sign_in(&self, node_id: i64, epoch: i64, station: Option<Uuid>) -> bool {
        match self.lock().get(&node_id) {
            Some(holder) if holder.program.epoch == epoch && holder.is_there() => holder.program.is_of(station),
            _ => true,
        }
    }

    /// Gives a program the place of its node, unless another has it; a station that `signs_in` takes that of itself.
    fn take(&self, node_id: i64, program: Program, signs_in: bool) -> Taken {
        let mut holders = self.lock();
        let before = holders.get_mut(&node_id).filter(|holder| holder.program.epoch == program.epoch);
        match before {
            Some(holder) if holder.program.family == program.family => {
                holder.seen = Instant::now();
                return Taken::Held;
            }
            Some(holder) if holder.is_there() && !(signs_in && holder.program.is_of(program.station)) => {
                return Taken::ByAnother;
            }
            _ => {}
        }
        // Connections of the one before are its own, and end.
        holders.insert(node_id, Holder::new(program));
        Taken::Anew
    }

    /// Whether it is time to note that a second program was refused.
    fn notes_second(&self, node_id: i64) -> bool {
        let mut holders = self.lock();
        let Some(holder) = holders.get_mut(&node_id) else { return true };
        let is_time = holder.second_noted.is_none_or(|noted| noted.elapsed() >= SECOND_PAUSE);
        if is_time {
            holder.second_noted = Some(Instant::now());
        }
        is_time
    }

    /// Notes one more connection of the program that has the place; whether it is the first. `None` if it does not have it.
    pub fn connected(&self, node_id: i64, family: Uuid) -> Option<bool> {
        let mut holders = self.lock();
        let holder = holders.get_mut(&node_id).filter(|holder| holder.program.family == family)?;
        holder.connections += 1;
        Some(holder.connections == 1)
    }

    /// Notes one connection less; whether it was the last. Who `said_goodbye` needs the place no more.
    pub fn disconnected(&self, node_id: i64, family: Uuid, said_goodbye: bool) -> bool {
        let mut holders = self.lock();
        let Some(holder) = holders.get_mut(&node_id).filter(|holder| holder.program.family == family) else {
            return false;
        };
        holder.connections = holder.connections.saturating_sub(1);
        holder.seen = Instant::now();
        if holder.connections > 0 {
            return false;
        }
        if said_goodbye || holder.program.station.is_none() {
            holders.remove(&node_id);
        }
        true
    }
}

/// Who has a place after a program asked for it.
#[derive(Debug, PartialEq, Eq)]
enum Taken {
    /// The program, as before.
    Held,
    /// The program, from now on.
    Anew,
    ByAnother,
}

/// What a second program with the key of a node is told.
pub const SECOND: &str = "Another program works with the key of this node. Two would compute every run twice: stop one of \
                          them, or register a node of its own";

/// Gives the place of a node to a program that has just signed in.
pub async fn sign_in(hub: &HubState, node_id: i64, program: Program) -> Result<(), HubError> {
    match take(hub, node_id, program, true).await? {
        true => Ok(()),
        false => Err(HubError::Conflict(SECOND.to_owned())),
    }
}

/// An error if another program works with the key of a node that asks for something.
pub async fn require_place(hub: &HubState, caller: &Caller) -> Result<(), HubError> {
    let (Some(claims), CallerKind::Node { id }) = (&caller.claims, &caller.kind) else { return Ok(()) };
    let Some(family) = claims.family else { return Ok(()) };
    let program = Program { epoch: claims.epoch, family, station: claims.station };
    if take(hub, *id, program, false).await? {
        return Ok(());
    }
    Err(second(hub, *id).await?)
}

/// The refusal of a second program, which is noted.
pub async fn second(hub: &HubState, node_id: i64) -> Result<HubError, HubError> {
    if hub.programs.notes_second(node_id) {
        events::note_second(hub, node_id).await?;
    }
    Ok(HubError::Conflict(SECOND.to_owned()))
}

/// Whether a program has the place of its node, now that it asks.
async fn take(hub: &HubState, node_id: i64, program: Program, signs_in: bool) -> Result<bool, HubError> {
    match hub.programs.take(node_id, program, signs_in) {
        Taken::Held => return Ok(true),
        Taken::ByAnother => return Ok(false),
        Taken::Anew => {}
    }
    // Of an official node nothing is kept: it has no place while it is not connected.
    let station = program.station.map(|station| station.to_string());
    let changed = sqlx::query(
        "UPDATE node SET program_family = ?1, program_station = ?2 WHERE id = ?3 AND program_family IS NOT ?1",
    )
    .bind(station.as_ref().map(|_| program.family.to_string()))
    .bind(station)
    .bind(node_id)
    .execute(hub.store.bookkeeping())
    .await?;
    if changed.rows_affected() > 0 {
        // Connections of the one before are looked at, and ended.
        hub.store.forget_authorities();
    }
    Ok(true)
}

/// A program has said goodbye: the hub does not keep its place after a restart either.
pub async fn forget(hub: &HubState, node_id: i64, family: Uuid) -> Result<(), HubError> {
    sqlx::query("UPDATE node SET program_family = NULL, program_station = NULL WHERE id = ? AND program_family = ?")
        .bind(node_id)
        .bind(family.to_string())
        .execute(hub.store.bookkeeping())
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(family: Uuid, station: Option<Uuid>) -> Program {
        Program { epoch: 1, family, station }
    }

    #[test]
    fn one_program_has_the_place_of_a_node_until_it_goes_or_comes_again() {
        let (programs, station, other) = (Programs::default(), Some(Uuid::new_v4()), Some(Uuid::new_v4()));
        let [first, again, second] = [(); 3].map(|()| Uuid::new_v4());
        assert_eq!(programs.take(1, of(first, station), false), Taken::Anew);
        assert_eq!(programs.take(1, of(first, station), false), Taken::Held);
        assert_eq!(programs.take(1, of(second, other), true), Taken::ByAnother, "it is not connected, but works");
        assert!(
            !programs.may_sign_in(1, 1, other)
                && !programs.may_sign_in(1, 1, None)
                && programs.may_sign_in(1, 1, station)
        );
        assert!(programs.notes_second(1) && !programs.notes_second(1), "noted once, and not with each request");
        assert_eq!(programs.connected(1, second), None);
        assert_eq!(programs.connected(1, first), Some(true));
        assert_eq!(programs.take(1, of(again, station), true), Taken::Anew, "it was started anew");
        assert_eq!(
            programs.take(1, of(first, station), false),
            Taken::ByAnother,
            "its copy that goes on does not get the place back"
        );
        assert!(!programs.disconnected(1, first, false), "a connection of before");
        assert_eq!(programs.connected(1, again), Some(true));
        assert!(programs.disconnected(1, again, false));
        assert_eq!(
            programs.take(1, of(second, other), true),
            Taken::ByAnother,
            "the connection is gone, but not the program"
        );
        assert_eq!(programs.connected(1, again), Some(true));
        assert!(programs.disconnected(1, again, true));
        assert_eq!(programs.take(1, of(second, other), false), Taken::Anew, "the first one said goodbye");
    }

    #[test]
    fn an_official_node_has_its_place_as_long_as_it_is_connected() {
        let (programs, first, second) = (Programs::default(), Uuid::new_v4(), Uuid::new_v4());
        assert_eq!(programs.take(1, of(first, None), true), Taken::Anew);
        assert_eq!(programs.connected(1, first), Some(true));
        assert!(!programs.may_sign_in(1, 1, None));
        assert_eq!(programs.take(1, of(second, None), true), Taken::ByAnother);
        assert!(programs.disconnected(1, first, false));
        assert!(programs.may_sign_in(1, 1, None));
        assert_eq!(programs.take(1, of(second, None), true), Taken::Anew);
    }
}
