//! How much of what a node tells of itself a page shows: it can be megabytes.

/// Bytes of one node's labels, columns or policies.
const ROOM: usize = 20_000;
/// So many names of a list are read by anybody.
const NAMES: usize = 50;
/// Bytes of one name, and of a policy, which can be an expression or a list.
const NAME: usize = 200;
const POLICY: usize = 1_000;

/// What is left of the room of a page for one node.
pub struct Room(usize);

impl Room {
    /// All of it.
    pub fn new() -> Room {
        Room(ROOM)
    }

    fn text(&mut self, text: &str, limit: usize) -> String {
        let shown = &text[..text.floor_char_boundary(limit.min(self.0))];
        self.0 -= shown.len();
        if shown.len() < text.len() { format!("{shown}…") } else { shown.to_owned() }
    }

    fn list(&mut self, items: &[String], limit: usize) -> (Vec<String>, usize) {
        let mut shown = Vec::new();
        for item in items {
            if self.0 == 0 {
                break;
            }
            shown.push(self.text(item, limit));
        }
        let more = items.len() - shown.len();
        (shown, more)
    }

    /// A name, cut where it is too long to be one; empty once there is no room.
    pub fn name(&mut self, name: &str) -> String {
        self.text(name, NAME)
    }

    /// As many names as there is room for, and how many more there are: "age, sex and 90 more".
    pub fn names(&mut self, names: &[String]) -> String {
        let rest = names.len().saturating_sub(NAMES);
        let (shown, more) = self.list(&names[..names.len() - rest], NAME);
        match more + rest {
            0 => shown.join(", "),
            more => format!("{} and {more} more", shown.join(", ")),
        }
    }

    /// As many policies as there is room for; the last one says how many more there are.
    pub fn policies(&mut self, policies: &[String]) -> Vec<String> {
        let (mut shown, more) = self.list(policies, POLICY);
        if more > 0 {
            shown.push(format!("and {more} more"));
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_shown_whole_and_of_the_rest_it_is_said_how_much_there_is() {
        let names = |count: usize, length: usize| vec!["ä".repeat(length / 2); count];
        assert_eq!(Room::new().names(&["age".into(), "sex".into()]), "age, sex");
        let shown = Room::new().policies(&names(10_000, 100));
        assert_eq!((shown.len(), shown[200].as_str()), (201, "and 9800 more"));
        let mut room = Room::new();
        assert_eq!(room.name(&names(1, 5_000)[0]).len(), NAME + "…".len());
        assert!(room.names(&names(10_000, 100)).ends_with(" and 9950 more"));
        for _ in 0..3 {
            room.names(&names(50, 100));
        }
        assert_eq!(room.name("left"), "…");
    }
}
