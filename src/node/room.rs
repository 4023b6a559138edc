//! How many runs a node takes at once: what they hold in memory, for each user and in all.

use std::collections::{HashMap, HashSet};

use crate::protocol::{payload, wire::v4};

/// What the runs of one user that are under way, or wait, may hold in memory, in bytes as they come; …
const HELD_OF_USER: usize = 4 * 1024 * 1024;
/// … and all of them. One that is larger is taken alone.
const HELD_OF_ALL: usize = 16 * 1024 * 1024;
/// What a run holds beside its texts, in bytes; …
const HELD_BESIDE: usize = 20 * 1024;
/// … for each value of its arguments, which are there as they are reviewed and as they are run; …
const HELD_BY_VALUE: usize = 2 * 120;
/// … and for the arguments of the task whose central function asks.
const HELD_BY_PARENT: usize = 16 * 1024;

/// Whose run it is, of those who begin tasks, and how much memory it holds.
pub type Held = (Option<i64>, usize);

/// Who began the task of a run, and how much it holds.
pub fn held_by(run: &v4::Run) -> Held {
    let texts = [&run.input, &run.log].into_iter().flatten().map(String::len).sum::<usize>();
    let Some(v4::RunTask::Task(task)) = &run.task else { return (None, HELD_BESIDE + texts) };
    let databases = task
        .databases
        .iter()
        .map(|database| database.label.len() + database.parameters.as_ref().map_or(0, String::len));
    let of_task = task.name.len() + task.image.len() + task.description.as_ref().map_or(0, String::len);
    let user = task.init_user.as_ref().map(|link| link.id);
    let values = run.input.as_deref().map_or(0, payload::most_values);
    let of_parent = task.parent.as_ref().map_or(0, |_| HELD_BY_PARENT);
    (user, HELD_BESIDE + texts + of_task + databases.sum::<usize>() + values * HELD_BY_VALUE + of_parent)
}

/// The room for runs beside others.
#[derive(Default)]
pub struct Room {
    under_way: HashSet<i64>,
    of_all: usize,
    of_users: HashMap<Option<i64>, usize>,
    /// What those hold that were looked at before and not taken.
    weights: HashMap<i64, Held>,
}

impl Room {
    /// The room beside those under way, who hold so much.
    pub fn beside<'a>(
        under_way: HashSet<i64>,
        held: impl Iterator<Item = &'a Held>,
        weights: HashMap<i64, Held>,
    ) -> Room {
        let mut room = Room { under_way, weights, ..Room::default() };
        for (user, bytes) in held {
            room.of_all += bytes;
            *room.of_users.entry(*user).or_default() += bytes;
        }
        room
    }

    fn fits(&self, (user, bytes): Held) -> bool {
        let fits = |held: usize, most: usize| held == 0 || held + bytes <= most;
        fits(self.of_users.get(&user).copied().unwrap_or_default(), HELD_OF_USER) && fits(self.of_all, HELD_OF_ALL)
    }

    /// Whether a run can be taken of which it is not known what it asks for, unless it was looked at before.
    pub fn may_take(&self, id: i64, user: Option<i64>) -> bool {
        self.fits(self.weights.get(&id).copied().unwrap_or((user, HELD_BESIDE)))
    }

    /// Whether a run is taken, too: then less room is left. One that is under way is there already.
    pub fn takes(&mut self, run: &v4::Run) -> bool {
        if self.under_way.contains(&run.id) {
            return false;
        }
        let (user, bytes) = held_by(run);
        let has_room = self.fits((user, bytes));
        if has_room {
            self.of_all += bytes;
            *self.of_users.entry(user).or_default() += bytes;
        } else {
            self.weights.insert(run.id, (user, bytes));
        }
        has_room
    }

    /// What is known of those that are open still.
    pub fn into_weights(mut self, open: &[i64]) -> HashMap<i64, Held> {
        let open: HashSet<i64> = open.iter().copied().collect();
        self.weights.retain(|id, _| open.contains(id));
        self.weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn runs_of_a_user_hold_so_much_and_those_of_others_go_on() {
        let run = |id: i64, user: i64, length: usize| -> v4::Run {
            serde_json::from_value(serde_json::json!({
                "id": id, "status": "pending", "input": "x".repeat(length), "log": "l".repeat(length),
                "task": {"id": 1, "name": "t", "image": "i", "status": "pending", "init_user": {"id": user, "link": "", "methods": []}}
            }))
            .unwrap()
        };
        let held = RefCell::new(HashMap::<i64, Held>::new());
        let room = || Room::beside(HashSet::new(), held.borrow().values(), HashMap::new());
        let take = |run: v4::Run| {
            let fits = room().takes(&run);
            if fits {
                held.borrow_mut().insert(run.id, held_by(&run));
            }
            fits
        };
        let taken = (0..100).filter(|id| take(run(*id, 7, 180_000))).count();
        // Of a log only the end is there.
        assert_eq!(taken, 17);
        assert!(take(run(200, 8, 1_000)) && !take(run(201, 7, 180_000)));
        held.borrow_mut().remove(&0);
        assert!(take(run(202, 7, 180_000)));
        // What it comes to counts, and not how it is written: 70 objects in 69 places, half a kilobyte as a pickle.
        let pickled = b"\x80\x02}(X\x06\0\0\0methodX\x01\0\0\0fX\x04\0\0\0args](](}X\x01\0\0\0aK\x00sq\x00";
        let pickled = [&pickled[..], &b"h\0".repeat(39), b"eq\x01", &b"h\x01".repeat(24), b"eu."].concat();
        let objects = format!(r#"{{"method":"f","args":[{}0]}}"#, r#"{"":0},"#.repeat(1_100));
        for input in [pickled, objects.into_bytes()] {
            let input = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, input);
            payload::decode_call(&input).unwrap();
            let taken = (1_000..1_100).filter(|id| {
                let mut run = run(*id, 9, 0);
                run.input = Some(input.clone());
                take(run)
            });
            let taken = taken.count();
            assert!(taken <= 2, "{taken}");
            held.borrow_mut().retain(|id, _| *id < 1_000);
        }
        let others = (300..400).filter(|id| take(run(*id, *id, 200_000))).count();
        assert!((50..70).contains(&others), "{others}");
    }
}
