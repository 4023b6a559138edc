//! How many runs a node takes at once: what they hold in memory, for each user and in all.

use std::collections::{HashMap, HashSet};

use crate::protocol::{
    payload,
    status::Status,
    wire::v4::{self, Link},
};

/// What the runs of one user that are under way, or wait, may hold in memory, in bytes as they come; of those of subtasks, for
/// which others wait, as much again.
const HELD_OF_USER: usize = 4 * 1024 * 1024;
/// The same of all users. A run that is larger is taken alone.
const HELD_OF_ALL: usize = 16 * 1024 * 1024;
/// What a run holds beside its texts, in bytes; …
const HELD_BESIDE: usize = 20 * 1024;
/// … for each value of its arguments, which are there as they are reviewed and as they are run; …
const HELD_BY_VALUE: usize = 2 * 120;
/// … and for the arguments of the task whose central function asks.
const HELD_BY_PARENT: usize = 16 * 1024;

/// Whose room a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Whose {
    /// Who began the task.
    pub user: Option<i64>,
    /// Whether it is of a subtask. Its central function waits for it, and would wait for ever if there were no room left but its
    /// own.
    pub is_part: bool,
}

/// Whose room a run takes, and how much of it.
pub type Held = (Whose, usize);

/// How much memory a run holds, and for whom.
pub fn held_by(run: &v4::Run) -> Held {
    let texts = [&run.input, &run.log].into_iter().flatten().map(String::len).sum::<usize>();
    let Some(v4::RunTask::Task(task)) = &run.task else {
        return (Whose { user: None, is_part: false }, HELD_BESIDE + texts);
    };
    let databases = task
        .databases
        .iter()
        .map(|database| database.label.len() + database.parameters.as_ref().map_or(0, String::len));
    let of_task = task.name.len() + task.image.len() + task.description.as_ref().map_or(0, String::len);
    let whose = Whose { user: task.init_user.as_ref().map(|link| link.id), is_part: task.parent.is_some() };
    let values = run.input.as_deref().map_or(0, payload::most_values);
    let of_parent = task.parent.as_ref().map_or(0, |_| HELD_BY_PARENT);
    (whose, HELD_BESIDE + texts + of_task + databases.sum::<usize>() + values * HELD_BY_VALUE + of_parent)
}

/// A run with what is needed to execute it, and no text beside that is not counted.
pub fn trimmed(run: v4::Run) -> v4::Run {
    let id_of = |link: Option<Link>| link.map(|link| Link { id: link.id, link: String::new(), methods: Vec::new() });
    let task = run.task.map(|task| match task {
        v4::RunTask::Link(link) => v4::RunTask::Link(Link { id: link.id, link: String::new(), methods: Vec::new() }),
        v4::RunTask::Task(task) => v4::RunTask::Task(Box::new(v4::Task {
            created_at: None,
            finished_at: None,
            awaits: None,
            collaboration: id_of(task.collaboration),
            study: id_of(task.study),
            parent: id_of(task.parent),
            children: String::new(),
            init_org: id_of(task.init_org),
            init_user: id_of(task.init_user),
            algorithm_store: id_of(task.algorithm_store),
            runs: v4::Included::default(),
            results: v4::Included::default(),
            status: Status::Pending,
            ..*task
        })),
    });
    v4::Run {
        id: run.id,
        input: run.input,
        log: run.log,
        status: Status::Pending,
        task,
        organization: id_of(run.organization),
        assigned_at: None,
        started_at: None,
        finished_at: None,
        cleanup_at: None,
        blob_storage_used: false,
        results: None,
        node: None,
        ports: Vec::new(),
        review: None,
    }
}

/// The room for runs beside others.
#[derive(Default)]
pub struct Room {
    under_way: HashSet<i64>,
    /// Of whole tasks, and of subtasks.
    of_all: [usize; 2],
    of_users: HashMap<Whose, usize>,
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
        held.for_each(|held| room.take(*held));
        room
    }

    fn take(&mut self, (whose, bytes): Held) {
        self.of_all[usize::from(whose.is_part)] += bytes;
        *self.of_users.entry(whose).or_default() += bytes;
    }

    fn fits(&self, (whose, bytes): Held) -> bool {
        let fits = |held: usize, most: usize| held == 0 || held + bytes <= most;
        fits(self.of_users.get(&whose).copied().unwrap_or_default(), HELD_OF_USER)
            && fits(self.of_all[usize::from(whose.is_part)], HELD_OF_ALL)
    }

    /// Whether a run can be taken of which it is not known what it asks for, unless it was looked at before.
    pub fn may_take(&self, id: i64, whose: Whose) -> bool {
        self.fits(self.weights.get(&id).copied().unwrap_or((whose, HELD_BESIDE)))
    }

    /// Whether a run is taken, too: then less room is left. One that is under way is there already.
    pub fn takes(&mut self, run: &v4::Run) -> bool {
        if self.under_way.contains(&run.id) {
            return false;
        }
        let held = held_by(run);
        let has_room = self.fits(held);
        if has_room {
            self.take(held);
        } else {
            self.weights.insert(run.id, held);
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
        // Who waits for a subtask leaves it room.
        let mut part = run(250, 7, 100);
        if let Some(v4::RunTask::Task(task)) = &mut part.task {
            task.parent = Some(Link { id: 1, link: String::new(), methods: Vec::new() });
        }
        assert!(take(part));
        let others = (300..400).filter(|id| take(run(*id, *id, 200_000))).count();
        assert!((50..70).contains(&others), "{others}");
    }

    #[test]
    fn of_a_run_nothing_is_kept_that_is_not_counted() {
        let long = "x".repeat(100_000);
        let link = serde_json::json!({"id": 2, "link": long, "methods": [long]});
        let run: v4::Run = serde_json::from_value(serde_json::json!({
            "id": 1, "status": long, "input": "e30=", "log": null, "assigned_at": long, "started_at": long,
            "finished_at": long, "cleanup_at": long, "organization": link, "results": link, "ports": [long],
            "node": {"id": 1, "name": long, "ip": long, "status": long},
            "task": {"id": 3, "name": "t", "image": "i", "description": "d", "status": long, "created_at": long,
                "finished_at": long, "collaboration": link, "study": link, "parent": link, "children": long,
                "init_org": link, "init_user": link, "algorithm_store": link, "runs": long, "results": long,
                "databases": [{"label": "default", "parameters": "{}"}]}
        }))
        .unwrap();
        let trimmed = trimmed(run.clone());
        let text = serde_json::to_string(&trimmed).unwrap();
        assert!(text.len() < 2_000, "{text:.3000}");
        assert_eq!(held_by(&trimmed), held_by(&run));
        assert!(text.contains("\"e30=\"") && text.contains("\"default\""));
    }
}
