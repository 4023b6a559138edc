//! Whether one part, or a few of them, make most of a sum.

/// What parts of both signs leave by chance is seldom a smaller part of the root of their squares.
const BY_CHANCE: f64 = 0.001;

/// A sum that is less beside the root of its parts' squares is what rounding leaves.
const ROUNDING: f64 = 1e-12;

/// The parts of a sum: rows, or what the rows of each person come to.
#[derive(Default)]
pub struct Dominance {
    sum: f64,
    /// Without signs.
    amount: f64,
    squares: f64,
    /// The powers of three, and of six.
    cubes: f64,
    sixths: f64,
    /// The part that is farthest from nothing, …
    largest: f64,
    /// … and how many are as far.
    as_large: u64,
    /// So many parts are few.
    few: usize,
    /// Those that are farthest from nothing, and one more, the nearest first.
    farthest: Vec<f64>,
}

/// What a few may make of all amounts at most, or the others are nothing beside them: the (n, k) rule of statistical offices
/// (Hundepool et al., "Statistical Disclosure Control", 2012, section 4.2.1). Rounding is nothing, too: what somebody's decimals
/// come to is not quite the same of another number of them.
const NEARLY_ALL: f64 = 0.99;
/// Nor may a few be so many times as far from nothing as all others: what these leave of a sum by chance hides nobody then.
const FAR: f64 = 20.0;

impl Dominance {
    /// Which also looks whether so many parts, or fewer, make nearly all.
    pub fn of(few: usize) -> Self {
        Dominance { few, ..Dominance::default() }
    }

    /// Another part.
    pub fn see(&mut self, part: f64) {
        self.see_times(part, 1);
    }

    /// So many parts that are the same.
    pub fn see_times(&mut self, part: f64, times: u64) {
        self.sum += part * times as f64;
        self.amount += part.abs() * times as f64;
        self.squares += part * part * times as f64;
        self.cubes += part.powi(3) * times as f64;
        self.sixths += part.powi(6) * times as f64;
        if part.abs() > self.largest.abs() {
            (self.largest, self.as_large) = (part, 0);
        }
        self.as_large += if part.abs() == self.largest.abs() { times } else { 0 };
        let most = if self.few == 0 { 0 } else { self.few + 1 };
        let times = usize::try_from(times).unwrap_or(usize::MAX).min(most);
        for _ in 0..times {
            let is_full = self.farthest.len() == most;
            if is_full && self.farthest.first().is_none_or(|nearest| part.abs() <= nearest.abs()) {
                break;
            }
            if is_full {
                self.farthest.remove(0);
            }
            let place = self.farthest.partition_point(|other| other.abs() < part.abs());
            self.farthest.insert(place, part);
        }
    }

    /// Of so many parts a few make nearly all, or are far from all others: how many may not do so.
    pub fn few(&self, all: u64) -> Option<u64> {
        let few = self.few_of(all);
        let farthest: Vec<f64> = self.farthest.iter().rev().map(|part| part.abs()).take(few + 1).collect();
        let of_few: f64 = farthest.iter().take(few).sum();
        let are_nearly_all = of_few > self.amount * NEARLY_ALL || of_few.is_infinite();
        let are_far = farthest.windows(2).any(|pair| pair[0] >= pair[1] * FAR && pair[0] > 0.0);
        (of_few > 0.0 && (are_nearly_all || are_far)).then_some(self.few as u64)
    }

    /// Of so many parts all but a few make up for one another, each for another one: how many may not be left.
    pub fn few_left(&self, all: u64) -> Option<u64> {
        let (mut sum, mut squares, mut cubes, mut sixths) = (self.sum, self.squares, self.cubes, self.sixths);
        let is_nothing = |left: f64, spread: f64| left.abs() <= spread.max(0.0).sqrt() * BY_CHANCE;
        let is_left = self.farthest.iter().rev().zip(self.farthest.iter().rev().skip(1)).take(self.few_of(all)).any(
            |(part, next)| {
                sum -= part;
                squares -= part * part;
                cubes -= part.powi(3);
                sixths -= part.powi(6);
                // By chance the sum of many can be nothing, but seldom that of their powers of three, too.
                part.abs() > next.abs() && *next != 0.0 && is_nothing(sum, squares) && is_nothing(cubes, sixths)
            },
        );
        // Nothing is left where these few make up for one another, too.
        (is_left && self.sum.abs() > self.squares.sqrt() * ROUNDING).then_some(self.few as u64)
    }

    /// How many of so many parts are few: not most of them.
    fn few_of(&self, all: u64) -> usize {
        self.few.min(usize::try_from(all / 2).unwrap_or(usize::MAX))
    }

    /// The share of all amounts that the largest part has, if nobody has as much.
    pub fn largest_part(&self) -> Option<f64> {
        let largest = self.largest.abs();
        (largest > 0.0 && self.as_large == 1 && self.amount.is_finite()).then(|| largest / self.amount)
    }

    /// The share of the sum that the largest part has, if there is one. Where parts have different signs others can make
    /// up for one another: then it also counts how little is left of all others.
    pub fn largest_share(&self) -> Option<f64> {
        let largest = self.largest.abs();
        if largest.is_infinite() {
            // Whatever the others are, it tells of this one.
            return Some(1.0);
        }
        if largest == 0.0 || !self.amount.is_finite() {
            return None;
        }
        let of_amount = largest / self.amount;
        if self.as_large > 1 {
            // What is left of the others tells of nobody alone.
            return Some(of_amount);
        }
        let others = (self.sum - self.largest).abs();
        // Values around a middle make up for one another by chance, which nobody knows beforehand.
        let spread = (self.squares - largest * largest).max(0.0).sqrt();
        if others > spread * BY_CHANCE {
            return Some(of_amount);
        }
        Some(of_amount.max(largest / (largest + others)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::sketch::mix;

    fn share(parts: impl IntoIterator<Item = f64>) -> Option<f64> {
        let mut dominance = Dominance::default();
        parts.into_iter().for_each(|part| dominance.see(part));
        dominance.largest_share()
    }

    #[test]
    fn the_share_of_the_largest_part_is_exact() {
        assert_eq!(share([1.0, 2.0, 3.0, 4.0]), Some(0.4));
        assert_eq!(share([-1.0, -2.0, -3.0, -4.0]), Some(0.4));
        assert_eq!((share([]), share([0.0, -0.0]), share([1.0, f64::NEG_INFINITY])), (None, None, Some(1.0)));
        assert_eq!(share([1e308, 1e308]), None);
    }

    #[test]
    fn few_that_make_nearly_all_are_found_beside_what_is_nearly_nothing() {
        let few = |parts: &[f64]| {
            let mut dominance = Dominance::of(4);
            parts.iter().for_each(|part| dominance.see(*part));
            dominance.few(parts.len() as u64)
        };
        let rounding = (0..60).map(|number| f64::from(number % 7) * 1e-9).collect::<Vec<_>>();
        let with = |others: &[f64]| few(&[&rounding, others].concat());
        assert_eq!((with(&[0.1]), with(&[-0.1, 0.1, 0.2, 5.0]), with(&[f64::INFINITY])), (Some(4), Some(4), Some(4)));
        assert_eq!((with(&[0.1; 5]), with(&[]), few(&[0.0; 60]), few(&[1.0; 7])), (None, None, None, None));
        // What others leave is not nothing, but hides nobody.
        let ratios: Vec<f64> = (0..60).map(|number| f64::from(number * 7 % 9 - 4) / 100.0).collect();
        let beside = |others: &[f64]| few(&[&ratios, others].concat());
        assert_eq!(
            (beside(&[1.0]), beside(&[1.0; 3]), beside(&[1.0; 5]), beside(&[0.3])),
            (Some(4), Some(4), None, None)
        );
        // What is told of by few is told of by more: that a station counts more people as few weakens nothing.
        for parts in [vec![1.0, 2.0], vec![0.5; 4], vec![100.0], vec![-3.0, 3.0]] {
            let all = [&rounding[..15], &parts].concat();
            for few in parts.len()..40 {
                let mut dominance = Dominance::of(few);
                all.iter().for_each(|part| dominance.see(*part));
                assert_eq!(dominance.few(all.len() as u64), Some(few as u64), "{parts:?}");
            }
        }
        // Each of a few that are seen together counts.
        let mut together = Dominance::of(4);
        together.see_times(0.0, 50);
        together.see_times(1.0, 3);
        assert_eq!(together.few(53), Some(4));
        together.see_times(1.0, 2);
        assert_eq!(together.few(55), None);
    }

    #[test]
    fn others_that_make_up_for_one_another_hide_no_few() {
        let left = |parts: &[f64]| {
            let mut dominance = Dominance::of(4);
            let bills = (0..30).map(|number| f64::from(number * 100_000 / 29 + 10_000) / 100.0);
            let parts: Vec<f64> = bills.flat_map(|bill| [bill, -bill]).chain(parts.iter().copied()).collect();
            parts.iter().for_each(|part| dominance.see(*part));
            dominance.few_left(parts.len() as u64)
        };
        for few in [&[4_711.5, 4_711.5, 0.0][..], &[4_711.5, 3_333.25], &[1_200.0, -1_300.0, 1_400.0, 1_500.0]] {
            assert_eq!(left(few), Some(4), "{few:?}");
        }
        assert_eq!((left(&[1_200.0; 5]), left(&[]), left(&[0.0])), (None, None, None));
        // Changes of a score are nothing in all for one column of many.
        let refused = (0..1_000_u64).filter(|column| {
            let mut dominance = Dominance::of(4);
            let score = |row: u64| (mix(column * 1_000 + row) % 4 + mix(column * 1_000 + row + 500) % 4) as f64 - 3.0;
            (0..60).for_each(|row| dominance.see(score(row)));
            dominance.few_left(60).is_some()
        });
        assert!(refused.count() < 10);
    }

    #[test]
    fn others_that_make_up_for_one_another_hide_nobody() {
        let bills = (0..20).flat_map(|_| [1_000.0, -1_000.0]);
        assert_eq!(share(bills.clone().chain([4_711.5])), Some(1.0));
        assert_eq!(share([0.0, 0.0, 7.0]), Some(1.0));
        // Differences from a mean: the sum is near nothing, and tells of nobody.
        let differences = (-50..=50).map(f64::from);
        assert!(share(differences).unwrap() < 0.6);
    }
}
