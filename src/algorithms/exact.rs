//! Sums that lose no digits: what is checked of them has to be as exact as what is told.

use super::{column::Number, sketch::mix};

/// A number as the sum of two floats, of which the second has what the first has no digits for: 106 bits in all (Dekker, "A
/// floating-point technique for extending the available precision", 1971).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Exact {
    high: f64,
    low: f64,
}

/// From here on not every whole number is exact.
pub const EXACT_WHOLE: f64 = (1_u128 << 100) as f64;

/// The largest power of ten that a float holds.
const EXACT_POWER: i32 = 22;

impl Exact {
    /// The nearest float.
    pub fn to_f64(self) -> f64 {
        self.high
    }

    /// Which one is larger; those that are no numbers have a place, too.
    pub fn total_cmp(&self, other: &Exact) -> std::cmp::Ordering {
        self.high.total_cmp(&other.high).then(self.low.total_cmp(&other.low))
    }

    /// Tells different numbers apart.
    pub fn bits(self) -> u64 {
        // There are two zeros.
        let bits = |part: f64| if part == 0.0 { 0 } else { part.to_bits() };
        bits(self.high) ^ bits(self.low).rotate_left(32).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    pub fn is_whole(self) -> bool {
        self.high.fract() == 0.0 && self.low.fract() == 0.0
    }

    /// A whole number.
    fn whole(value: i128) -> Exact {
        let high = value as f64;
        Exact { high, low: (value - high as i128) as f64 }
    }

    /// One of so many parts.
    pub fn divided(self, parts: f64) -> Exact {
        let high = self.high / parts;
        if !high.is_finite() {
            return Exact { high, low: 0.0 };
        }
        let rest = self + Exact { high, low: 0.0 }.times(-parts);
        Exact::sum(high, rest.high / parts)
    }

    /// With the decimal point so many places further to the left, or to the right below 0.
    fn moved(self, places: i32) -> Exact {
        match places {
            ..0 => self.times(10_f64.powi(-places)),
            0..=EXACT_POWER => self.divided(10_f64.powi(places)),
            _ => self.divided(10_f64.powi(EXACT_POWER)).moved(places - EXACT_POWER),
        }
    }

    /// Without so many times a value.
    pub fn minus(self, value: Exact, times: u32) -> Exact {
        self + value.times(-f64::from(times))
    }

    fn times(self, factor: f64) -> Exact {
        let product = self.high * factor;
        if !product.is_finite() {
            return Exact { high: product, low: 0.0 };
        }
        // What the product lost, and what stands behind.
        Exact::sum(product, self.high.mul_add(factor, -product) + self.low * factor)
    }

    /// Tells different parts apart: those of whole numbers exactly, others by 90 bits or so.
    pub fn part_bits(self, parts: u32) -> u64 {
        if let Some(whole) = self.to_whole() {
            let divisor = greatest_common_divisor(whole.unsigned_abs(), u128::from(parts));
            let (numerator, denominator) = (whole / divisor as i128, u128::from(parts) / divisor);
            return mix(numerator as u64 ^ mix((numerator >> 64) as u64 ^ mix(denominator as u64)));
        }
        let high = self.high / f64::from(parts);
        let rest = self.minus(Exact { high, low: 0.0 }, parts);
        // Without the last bits, which hang on how it was computed.
        let low = (rest.high / f64::from(parts)).to_bits() & !0xffff;
        mix(high.to_bits() ^ mix(low))
    }

    /// As a whole number, if it is one.
    fn to_whole(self) -> Option<i128> {
        (self.is_whole() && self.high.abs() < EXACT_WHOLE).then(|| self.high as i128 + self.low as i128)
    }

    fn sum(one: f64, other: f64) -> Exact {
        let high = one + other;
        if !high.is_finite() {
            return Exact { high, low: 0.0 };
        }
        let of_other = high - one;
        Exact { high, low: (one - (high - of_other)) + (other - of_other) }
    }
}

fn greatest_common_divisor(one: u128, other: u128) -> u128 {
    let (mut one, mut other) = (one, other);
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one.max(1)
}

impl From<Number> for Exact {
    fn from(number: Number) -> Exact {
        match number {
            Number::Float(value) => Exact { high: value, low: 0.0 },
            // A float holds it.
            Number::Integer(value) if value.unsigned_abs() <= 1 << 53 => Exact { high: value as f64, low: 0.0 },
            Number::Integer(value) => Exact::whole(value.into()),
            Number::Boolean(value) => Exact { high: f64::from(u8::from(value)), low: 0.0 },
            Number::Decimal { parts, scale } => Exact::whole(parts).moved(scale.into()),
        }
    }
}

impl std::ops::Add for Exact {
    type Output = Exact;

    fn add(self, other: Exact) -> Exact {
        let (high, low) = (Exact::sum(self.high, other.high), Exact::sum(self.low, other.low));
        let first = Exact::sum(high.high, high.low + low.high);
        Exact::sum(first.high, first.low + low.low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_beside_what_is_large() {
        let of = |values: &[f64]| {
            values.iter().fold(Exact::default(), |sum, value| sum + Exact::from(Number::Float(*value)))
        };
        assert_eq!(of(&[1e16, 0.1, -1e16, 0.2]).to_f64(), of(&[0.1, 0.2]).to_f64());
        assert_eq!(of(&[9e10, 47.5, -9e10]).to_f64(), 47.5);
        assert_eq!(of(&[1e308, 1e308]).to_f64(), f64::INFINITY);
        let whole = |values: &[i64]| {
            values.iter().fold(Exact::default(), |sum, value| sum + Exact::from(Number::Integer(*value)))
        };
        let (one, other) = (i64::MAX, i64::MAX - 1);
        assert_ne!(whole(&[one, one]).bits(), whole(&[one, other]).bits());
        assert_eq!(whole(&[one, other]).bits(), whole(&[other, one]).bits());
        assert_eq!(whole(&[one, one, -one, -one]), Exact::default());
        assert!(whole(&[one, other]).is_whole() && !of(&[0.5]).is_whole());
        let offset = 1_700_000_000.5;
        assert_eq!(of(&[offset, offset + 1.0]).minus(of(&[offset]), 2).to_f64(), 1.0);
        // Means: the same of other numbers of values, and one in twelve more beside a large offset.
        let mean = |values: &[i64]| whole(values).part_bits(u32::try_from(values.len()).unwrap());
        let far = 10_000_000_000_000_000;
        assert_eq!(mean(&[far, far + 2]), mean(&[far, far, far, far + 2, far + 2, far + 2]));
        assert_ne!(mean(&[far; 12]), mean(&[[far; 11].as_slice(), &[far + 1]].concat()));
        // A whole number is the same with whatever decimals it is written.
        for scale in [0, 2, 22, 23, 25, 30, 36] {
            let parts = 100 * 10_i128.pow(scale as u32);
            assert_eq!(Exact::from(Number::Decimal { parts, scale }), whole(&[100]), "{scale}");
            let next = Exact::from(Number::Decimal { parts: parts + 1, scale }).minus(whole(&[100]), 1).to_f64();
            assert!((next - 10_f64.powi(-i32::from(scale))).abs() < next.abs() * 1e-3 || scale > 28, "{scale}: {next}");
        }
        let mean = |values: &[f64]| of(values).part_bits(u32::try_from(values.len()).unwrap());
        assert_eq!(mean(&[0.5; 3]), mean(&[0.5; 7]));
        assert_ne!(mean(&[1e15 + 0.5; 12]), mean(&[[1e15 + 0.5; 11].as_slice(), &[1e15 + 1.5]].concat()));
    }
}
