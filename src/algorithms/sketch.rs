//! Of whom an answer tells and of which values, so that two answers can be compared without keeping any of them: an
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

/// The secret of a node with which identifiers and values become keys. Without it nobody can try them against a sketch.
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

    /// The key of an identifier or a value.
    pub fn key(&self, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.first, self.second);
        hasher.write(bytes);
        hasher.finish()
    }
}

/// A multiset of keys, in a size of its own.
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

/// By how much two sets differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// At least as many as was asked about.
    Enough,
    /// This many, which are fewer.
    Few(u64),
    /// It cannot be told: few, but not how many.
    Unknown,
}

impl Default for Sketch {
    fn default() -> Self {
        Sketch { cells: vec![Cell::default(); CELLS * PARTS] }
    }
}

/// Spreads the bits of a number over all of its bits.
fn mix(mut number: u64) -> u64 {
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

impl Sketch {
    /// Adds a key so many times.
    pub fn add(&mut self, key: u64, times: u32) {
        let check = check(key).wrapping_mul(u64::from(times));
        for place in places(key) {
            let cell = &mut self.cells[place];
            cell.count = cell.count.wrapping_add(i64::from(times));
            cell.keys = cell.keys.wrapping_add(i128::from(key).wrapping_mul(i128::from(times)));
            cell.checks = cell.checks.wrapping_add(check);
        }
    }

    /// Whether at least `least` are in one of two sets only; one that is there several times counts as often.
    pub fn difference(&self, other: &Sketch, least: u64) -> Difference {
        if least == 0 {
            return Difference::Enough;
        }
        let cells = self.without(other);
        let touched = cells.iter().filter(|cell| **cell != Cell::default()).count() as u64;
        // No key touches more than one cell of each part, so fewer keys could not have touched as many.
        if touched > (least - 1).saturating_mul(PARTS as u64) {
            return Difference::Enough;
        }
        match decode(cells) {
            (found, _) if found >= least => Difference::Enough,
            (found, true) => Difference::Few(found),
            _ => Difference::Unknown,
        }
    }

    /// How many are in one of two sets only; `None` if they are too many to tell.
    pub fn changed(&self, other: &Sketch) -> Option<u64> {
        let (found, is_all) = decode(self.without(other));
        is_all.then_some(found)
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

/// Takes out one key after the other: how many there were, and whether nothing is left.
fn decode(mut cells: Vec<Cell>) -> (u64, bool) {
    let mut found = 0_u64;
    // Every key that is found empties cells; a damaged sketch could go on for ever.
    for _ in 0..CELLS * PARTS {
        let Some((key, times)) = cells.iter().enumerate().find_map(|(place, cell)| single(place, cell)) else { break };
        found = found.saturating_add(times.unsigned_abs());
        take_away(&mut cells, key, times);
    }
    (found, cells.iter().all(|cell| *cell == Cell::default()))
}

fn take_away(cells: &mut [Cell], key: u64, times: i64) {
    for place in places(key) {
        let cell = &mut cells[place];
        cell.count = cell.count.wrapping_sub(times);
        cell.keys = cell.keys.wrapping_sub(i128::from(key).wrapping_mul(i128::from(times)));
        cell.checks = cell.checks.wrapping_sub(check(key).wrapping_mul(times as u64));
    }
}

/// The one key in a cell, with how many times; `None` if there are several or none.
fn single(place: usize, cell: &Cell) -> Option<(u64, i64)> {
    let count = i128::from(cell.count);
    // What is damaged divides by nothing or overflows.
    if cell.keys.checked_rem(count)? != 0 {
        return None;
    }
    let key = u64::try_from(cell.keys.checked_div(count)?).ok()?;
    let is_one = places(key).contains(&place) && check(key).wrapping_mul(cell.count as u64) == cell.checks;
    is_one.then_some((key, cell.count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(ids: impl IntoIterator<Item = u64>) -> Sketch {
        let key = SketchKey::new([7; 16]);
        let mut sketch = Sketch::default();
        for id in ids {
            sketch.add(key.key(&id.to_le_bytes()), 1);
        }
        sketch
    }

    #[test]
    fn a_difference_of_few_is_counted_exactly_whatever_the_sizes() {
        let many = sketch(0..100_000);
        for (others, expected) in [
            (sketch(0..100_000), Difference::Few(0)),
            (sketch(0..100_001), Difference::Few(1)),
            (sketch(3..100_000), Difference::Few(3)),
            // One leaves and another one comes: the number of rows is the same.
            (sketch(1..100_001), Difference::Few(2)),
            (sketch(0..100_005), Difference::Enough),
            (sketch(0..50_000), Difference::Enough),
        ] {
            assert_eq!(many.difference(&others, 5), expected);
            assert_eq!(others.difference(&many, 5), expected);
        }
    }

    #[test]
    fn what_is_there_once_more_differs_by_as_often() {
        let one = sketch([1, 2, 2, 3, 3, 3]);
        assert_eq!(one.difference(&sketch([1, 2, 2, 2, 3, 3, 3]), 5), Difference::Few(1));
        assert_eq!(one.difference(&sketch([1, 2, 2]), 5), Difference::Few(3));
        assert_eq!(one.difference(&sketch([2, 3, 1, 3, 2, 3]), 5), Difference::Few(0));
        assert_eq!(one.difference(&sketch([1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 4]), 5), Difference::Enough);
        assert_eq!(one.changed(&sketch([1, 3])), Some(4));
        let mut at_once = Sketch::default();
        at_once.add(SketchKey::new([7; 16]).key(&9_u64.to_le_bytes()), 3);
        assert!(at_once == sketch([9, 9, 9]));
    }

    #[test]
    fn a_damaged_sketch_is_no_reason_to_panic() {
        for damage in [0x80, 0xff, 0x01] {
            let damaged = Sketch::from_bytes(&vec![damage; 8_192]).unwrap();
            assert_ne!(damaged.difference(&sketch(0..10), 50), Difference::Few(0));
            let _ = damaged.changed(&sketch(0..10));
        }
    }

    #[test]
    fn it_is_never_said_that_enough_differ_when_fewer_do() {
        for round in 0..2_000_u64 {
            let begin = round * 1_000;
            let (one, other) = (sketch(begin..begin + 200), sketch(begin + 4..begin + 200));
            assert_ne!(one.difference(&other, 5), Difference::Enough, "{round}");
            let five = one.difference(&sketch(begin + 5..begin + 200), 5);
            assert!(matches!(five, Difference::Enough | Difference::Unknown), "{round}: {five:?}");
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
