//! Counts different people exactly, in eight bytes for each.

use super::sketch::Sketch;

/// How many are gathered at least before they are looked for among those who are known.
const GATHERED: usize = 1 << 16;

/// People by their keys, each once, with a sketch of them.
#[derive(Default)]
pub struct Distinct {
    /// In order.
    known: Vec<u64>,
    gathered: Vec<u64>,
    sketch: Sketch,
}

impl Distinct {
    /// Adds somebody, who may be there already.
    pub fn add(&mut self, key: u64) {
        // Rows of one person often stand together.
        if self.gathered.last() == Some(&key) {
            return;
        }
        self.gathered.push(key);
        // The more are known, the more are looked for at once: each is moved a few times only.
        if self.gathered.len() >= GATHERED.max(self.known.len() / 4) {
            self.settle();
        }
    }

    /// Looks for those gathered among those who are known.
    pub fn settle(&mut self) {
        self.gathered.sort_unstable();
        self.gathered.dedup();
        let mut before = 0;
        let known = &self.known;
        self.gathered.retain(|key| {
            before += known[before..].iter().take_while(|other| *other < key).count();
            known.get(before) != Some(key)
        });
        for key in &self.gathered {
            self.sketch.add(*key);
        }
        // From the end, so that nothing needs a second place.
        let (mut old, mut new) = (self.known.len(), self.gathered.len());
        self.known.resize(old + new, 0);
        while new > 0 {
            let key = self.gathered[new - 1];
            if old > 0 && self.known[old - 1] > key {
                self.known[old + new - 1] = self.known[old - 1];
                old -= 1;
            } else {
                self.known[old + new - 1] = key;
                new -= 1;
            }
        }
        self.gathered.clear();
    }

    /// How many there are, once they are settled.
    pub fn count(&self) -> u64 {
        self.known.len() as u64
    }

    /// The sketch of those who are settled.
    pub fn sketch(&self) -> &Sketch {
        &self.sketch
    }

    /// How many are here or among the others, and the sketch of them, once both are settled.
    pub fn with(&self, others: &Distinct) -> (u64, Sketch) {
        let (mut count, mut sketch) = (self.count(), self.sketch.clone());
        for key in others.known.iter().filter(|key| self.known.binary_search(key).is_err()) {
            count += 1;
            sketch.add(*key);
        }
        (count, sketch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_counted_once_whatever_the_order() {
        let mut distinct = Distinct::default();
        let spread = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for round in 0..3 {
            for number in 0..200_000 {
                distinct.add(spread((number * 7 + round) % 200_000));
            }
        }
        distinct.settle();
        assert_eq!(distinct.count(), 200_000);
        let mut once = Sketch::default();
        (0..200_000).for_each(|number| once.add(spread(number)));
        assert!(distinct.sketch == once);
        let mut some = Distinct::default();
        (0..1_000).for_each(|number| some.add(spread(number)));
        some.settle();
        let (count, sketch) = some.with(&distinct);
        assert!((count, sketch) == (200_000, once));
        let mut nobody = Distinct::default();
        nobody.settle();
        assert_eq!((nobody.count(), nobody.with(&nobody).0), (0, 0));
    }
}
