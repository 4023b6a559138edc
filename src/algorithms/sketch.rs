//! Of whom an answer tells, so that two answers can be compared without keeping any name: an
//! invertible Bloom lookup table of keyed hashes (Eppstein et al., "What's the difference? Efficient set reconciliation
//! without prior context", SIGCOMM 2011). Its size does not grow with what is in it.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// Cells of each of the parts. Every key is counted once in each part.
const CELLS: usize = 64;
/// Each part has cells of its own, so that one key is never in a cell twice.
const PARTS: usize = 4;
/// The bytes of a cell: count, sum of keys, sum of checks.
const CELL_BYTES: usize = 8 + 16 + 8;

/// The secret of a node with which identifiers become keys. Without it nobody can try them against a sketch.
#[derive(Clone, Copy)]
pub struct SketchKey {
    first: u64,
    second: u64,
}

impl SketchKey {
    /// From random bytes that the node keeps.
    pub fn new(secret: [u8; 16]) -> Self {
        let number = u128::from_le_bytes(secret);
        // The two halves.
        SketchKey { first: number as u64, second: (number >> 64) as u64 }
    }

    /// The key of an identifier.
    pub fn key(&self, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.first, self.second);
        hasher.write(bytes);
        hasher.finish()
    }
}

/// A set of keys, in a size of its own.
#[derive(Clone, PartialEq, Eq)]
pub struct Sketch {
    cells: Vec<Cell>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Cell {
    count: i64,
    /// The keys added up; of a difference, negative where more were taken away. Wraps, as long as both sides do.
    keys: i128,
    checks: u64,
}

/// Who came and who is gone between two sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The keys of those who came, and of those who are gone.
    Known { came: Vec<u64>, gone: Vec<u64> },
    /// More than about 150 in all.
    Many,
}

impl Default for Sketch {
    fn default() -> Self {
        Sketch { cells: vec![Cell::default(); CELLS * PARTS] }
    }
}

/// Spreads the bits of a number over all of its bits.
pub(super) fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    number = (number ^ (number >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ (number >> 33)
}

/// The cells of a key, one in each part.
fn places(key: u64) -> [usize; PARTS] {
    let spread = mix(key ^ 0x9e37_79b9_7f4a_7c15);
    std::array::from_fn(|part| {
        // Six bits choose one of 64 cells.
        let within = (spread >> (part * 8)) as usize % CELLS;
        part * CELLS + within
    })
}

fn check(key: u64) -> u64 {
    mix(key.wrapping_add(0x632b_e59b_d9b4_e019))
}

impl Cell {
    /// Adds a key or takes it away.
    fn count(&mut self, key: u64, adds: bool) {
        let (one, sign, check) = match adds {
            true => (1, 1_i128, check(key)),
            false => (-1, -1, check(key).wrapping_neg()),
        };
        self.count = self.count.wrapping_add(one);
        self.keys = self.keys.wrapping_add(i128::from(key) * sign);
        self.checks = self.checks.wrapping_add(check);
    }
}

impl Sketch {
    /// Adds a key, which is not there yet.
    pub fn add(&mut self, key: u64) {
        for place in places(key) {
            self.cells[place].count(key, true);
        }
    }

    /// Who is in this set and not in the one of before, and the other way round.
    pub fn change_since(&self, before: &Sketch) -> Change {
        let mut cells = self.without(before);
        let (mut came, mut gone) = (Vec::new(), Vec::new());
        // Every key that is found empties cells; a damaged sketch could go on for ever.
        for _ in 0..CELLS * PARTS {
            let Some((key, is_new)) = cells.iter().enumerate().find_map(|(place, cell)| single(place, cell)) else {
                break;
            };
            if is_new {
                came.push(key);
            } else {
                gone.push(key);
            }
            take_away(&mut cells, key, is_new);
        }
        let is_all = cells.iter().all(|cell| *cell == Cell::default());
        if is_all { Change::Known { came, gone } } else { Change::Many }
    }

    fn without(&self, other: &Sketch) -> Vec<Cell> {
        let pairs = self.cells.iter().zip(&other.cells);
        pairs
            .map(|(one, other)| Cell {
                count: one.count.wrapping_sub(other.count),
                keys: one.keys.wrapping_sub(other.keys),
                checks: one.checks.wrapping_sub(other.checks),
            })
            .collect()
    }

    /// For storing.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.cells.len() * CELL_BYTES);
        for cell in &self.cells {
            bytes.extend_from_slice(&cell.count.to_le_bytes());
            bytes.extend_from_slice(&cell.keys.to_le_bytes());
            bytes.extend_from_slice(&cell.checks.to_le_bytes());
        }
        bytes
    }

    /// What was stored; `None` if it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Sketch> {
        if bytes.len() != CELLS * PARTS * CELL_BYTES {
            return None;
        }
        let cell = |bytes: &[u8]| {
            let (count, rest) = bytes.split_first_chunk()?;
            let (keys, rest) = rest.split_first_chunk()?;
            let (checks, _) = rest.split_first_chunk()?;
            Some(Cell {
                count: i64::from_le_bytes(*count),
                keys: i128::from_le_bytes(*keys),
                checks: u64::from_le_bytes(*checks),
            })
        };
        let cells: Option<Vec<Cell>> = bytes.chunks(CELL_BYTES).map(cell).collect();
        Some(Sketch { cells: cells? })
    }
}

fn take_away(cells: &mut [Cell], key: u64, is_new: bool) {
    for place in places(key) {
        cells[place].count(key, !is_new);
    }
}

/// The one key in a cell, and whether it came; `None` if there are several or none.
fn single(place: usize, cell: &Cell) -> Option<(u64, bool)> {
    let is_new = match cell.count {
        1 => true,
        -1 => false,
        _ => return None,
    };
    let key = u64::try_from(cell.keys.checked_mul(i128::from(cell.count))?).ok()?;
    let mut one = Cell::default();
    one.count(key, is_new);
    (places(key).contains(&place) && one == *cell).then_some((key, is_new))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u64) -> u64 {
        SketchKey::new([7; 16]).key(&id.to_le_bytes())
    }

    fn sketch(ids: impl IntoIterator<Item = u64>) -> Sketch {
        let mut sketch = Sketch::default();
        ids.into_iter().for_each(|id| sketch.add(key(id)));
        sketch
    }

    /// How many came and are gone; `None` if they are many.
    fn counts(now: &Sketch, before: &Sketch) -> Option<(usize, usize)> {
        match now.change_since(before) {
            Change::Known { came, gone } => Some((came.len(), gone.len())),
            Change::Many => None,
        }
    }

    #[test]
    fn who_comes_and_goes_is_counted_exactly_whatever_the_sizes() {
        let many = sketch(0..100_000);
        for (now, expected) in [
            (sketch(0..100_000), Some((0, 0))),
            (sketch(0..100_001), Some((1, 0))),
            (sketch(3..100_000), Some((0, 3))),
            // One leaves and another one comes: the number of people is the same.
            (sketch(1..100_001), Some((1, 1))),
            (sketch(40..100_050), Some((50, 40))),
            (sketch(0..50_000), None),
        ] {
            assert_eq!(counts(&now, &many), expected);
            assert_eq!(counts(&many, &now), expected.map(|(came, gone)| (gone, came)));
        }
        let Change::Known { mut came, .. } = sketch(0..100_002).change_since(&many) else { panic!("two came") };
        came.sort_unstable();
        let mut expected = [key(100_000), key(100_001)];
        expected.sort_unstable();
        assert_eq!(came, expected);
    }

    #[test]
    fn a_damaged_sketch_is_no_reason_to_panic() {
        for damage in [0x80, 0xff, 0x01] {
            let damaged = Sketch::from_bytes(&vec![damage; 8_192]).unwrap();
            assert_ne!(counts(&damaged, &sketch(0..10)), Some((0, 0)));
            let _ = sketch(0..10).change_since(&damaged);
        }
    }

    #[test]
    fn a_hundred_changes_are_told_apart() {
        for round in 0..2_000_u64 {
            let begin = round * 1_000;
            let (before, now) = (sketch(begin..begin + 200), sketch(begin + 4..begin + 296));
            assert_eq!(counts(&now, &before), Some((96, 4)), "{round}");
        }
    }

    #[test]
    fn what_is_stored_has_one_size_and_no_identifier() {
        let (few, many) = (sketch(0..10), sketch(0..100_000));
        assert_eq!(few.to_bytes().len(), many.to_bytes().len());
        assert_eq!(few.to_bytes().len(), 8_192);
        assert!(Sketch::from_bytes(&many.to_bytes()).unwrap() == many);
        assert!(Sketch::from_bytes(&[0; 12]).is_none());
        let other_key = SketchKey::new([8; 16]);
        assert_ne!(other_key.key(b"P101"), SketchKey::new([7; 16]).key(b"P101"));
    }
}
