//! Sums that lose no digits: what is checked of them has to be as exact as what is told.

use super::column::Number;

/// A number as the sum of two floats, of which the second has what the first has no digits for: 106 bits in all (Dekker, "A
/// floating-point technique for extending the available precision", 1971).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Exact {
    high: f64,
    low: f64,
}

/// From here on not every whole number is exact.
pub const EXACT_WHOLE: f64 = (1_u128 << 100) as f64;

impl Exact {
    /// The nearest float.
    pub fn to_f64(self) -> f64 {
        self.high
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

    /// Without so many times a value.
    pub fn minus(self, value: f64, times: u32) -> Exact {
        let times = f64::from(times);
        let product = value * times;
        // What the product lost.
        let lost = value.mul_add(times, -product);
        self + Exact::sum(-product, -lost)
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

impl From<Number> for Exact {
    fn from(number: Number) -> Exact {
        match number {
            Number::Float(value) => Exact { high: value, low: 0.0 },
            // A float holds it.
            Number::Integer(value) if value.unsigned_abs() <= 1 << 53 => Exact { high: value as f64, low: 0.0 },
            Number::Integer(value) => {
                let high = value as f64;
                Exact { high, low: (i128::from(value) - high as i128) as f64 }
            }
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
        assert_eq!(of(&[offset, offset + 1.0]).minus(offset, 2).to_f64(), 1.0);
    }
}
