//! A sum as two numbers: what plain addition gives, and what it lost.

/// `sum` + `lost`, where `sum` has gone through plain additions only: infinities, NaN and overflow are what they would be
/// without the correction, which is worth nothing once `sum` is not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Twofold {
    pub(super) sum: f64,
    pub(super) lost: f64,
}

impl Twofold {
    /// Adds a number and what it is short of already.
    #[inline(always)]
    pub(super) fn add(&mut self, term: Twofold) {
        let (sum, lost) = two_sum(self.sum, term.sum);
        *self = Twofold { sum, lost: self.lost + (lost + term.lost) };
    }

    /// The nearest `f64`.
    pub(super) fn value(self) -> f64 {
        if self.sum.is_finite() { self.sum + self.lost } else { self.sum }
    }

    /// Divides by `divisor`, to about half a unit in the last place.
    pub(super) fn over(self, divisor: f64) -> f64 {
        // The sum first made the best that f64 can be, then one correction by the remainder of the division.
        let (sum, lost) = if self.sum.is_finite() { two_sum(self.sum, self.lost) } else { (self.sum, 0.0) };
        let quotient = sum / divisor;
        let rest = (-quotient).mul_add(divisor, sum) + lost;
        if rest.is_finite() { quotient + rest / divisor } else { quotient }
    }

    /// The square root, to about half a unit in the last place.
    pub(super) fn sqrt(self) -> f64 {
        let (sum, lost) = two_sum(self.sum, self.lost);
        let root = sum.sqrt();
        if root == 0.0 {
            return root;
        }
        // One step of Newton's method on the exact remainder.
        root + ((-root).mul_add(root, sum) + lost) / (2.0 * root)
    }
}

/// The rounded sum and its exact error, in whichever order of size they come (Knuth, The Art of Computer Programming, vol. 2,
/// 4.2.2, theorem B).
#[inline(always)]
pub(super) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost() {
        let mut total = Twofold::default();
        for term in [1e16, 1.0, 1.0, 1.0, -1e16] {
            total.add(Twofold { sum: term, lost: 0.0 });
        }
        assert_eq!(total.value(), 3.0);
        assert_eq!(total.over(4.0), 0.75);
        assert_eq!(Twofold { sum: 2.0, lost: 0.0 }.sqrt(), std::f64::consts::SQRT_2);
    }

    #[test]
    fn specials_are_those_of_plain_addition() {
        for (terms, want) in [
            ([f64::INFINITY, 1.0], f64::INFINITY),
            ([f64::INFINITY, f64::NEG_INFINITY], f64::NAN),
            ([f64::MAX, f64::MAX], f64::INFINITY),
            ([f64::NAN, 1.0], f64::NAN),
        ] {
            let mut total = Twofold::default();
            terms.into_iter().for_each(|term| total.add(Twofold { sum: term, lost: 0.0 }));
            assert_eq!(total.value().to_bits() << 1, want.to_bits() << 1, "{terms:?}");
            assert_eq!(total.over(2.0).to_bits() << 1, want.to_bits() << 1, "{terms:?}");
        }
    }
}
