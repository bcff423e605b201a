//! Decimal numbers: fixed-scale integers for balances, prices and amounts, and [`Decimal`] where the
//! scale varies (fees). Every cut is toward zero, at 34 significant digits or at a stated scale.
//!
//! Source: spec of the number rules, matchengine section 1.

mod text;

use core::cmp::Ordering;

pub use text::{ParseError, parse_fixed, write_plain, write_stripped};
use text::{scan, signed};

/// Significant digits kept by parsing, a multiplication or an addition.
pub const DIGITS_MAX: u32 = 34;

const fn powers_of_ten() -> [u128; 39] {
    let mut powers = [1u128; 39];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
}

static POWERS_OF_TEN: [u128; 39] = powers_of_ten();

/// 10^exponent for exponents up to 38.
pub fn power_of_ten(exponent: u32) -> i128 {
    POWERS_OF_TEN[exponent as usize] as i128
}

/// `a x b`, or `None` when 128 bits do not hold it; fast when neither is negative and one is below 2^64.
#[inline]
pub(crate) fn checked_times(a: i128, b: i128) -> Option<i128> {
    let (wide, narrow) = if b >> 64 == 0 { (a, b) } else { (b, a) };
    if narrow >> 64 != 0 || wide < 0 {
        return checked_times_any(a, b);
    }
    let low = u128::from(wide as u64) * u128::from(narrow as u64);
    let high = ((wide >> 64) as u64).checked_mul(narrow as u64)?;
    let product = low.checked_add(u128::from(high) << 64)?;
    i128::try_from(product).ok()
}

/// Apart, so that what is nearly always the case stays short.
#[cold]
fn checked_times_any(a: i128, b: i128) -> Option<i128> {
    a.checked_mul(b)
}

/// As [`checked_times`], for factors whose bounds were checked.
///
/// # Panics
/// When 128 bits do not hold the product.
#[inline]
pub(crate) fn times(a: i128, b: i128) -> i128 {
    checked_times(a, b).expect("products of checked amounts fit 128 bits")
}

/// `coefficient x 10^-scale`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Decimal {
    /// At most [`DIGITS_MAX`] digits.
    pub coefficient: i128,
    /// Digits after the point.
    pub scale: u8,
}

impl Decimal {
    /// Zero without decimals.
    pub const ZERO: Decimal = Decimal { coefficient: 0, scale: 0 };

    /// Parses with all decimals given, at most 38.
    ///
    /// # Errors
    /// See [`ParseError`]; more than 38 decimals are a syntax error.
    pub fn parse(text: &str) -> Result<Decimal, ParseError> {
        let (coefficient, exponent, is_negative) = scan(text)?;
        let value = signed(coefficient, is_negative);
        if exponent >= 0 {
            let factor = power_of_ten(exponent as u32);
            return Ok(Decimal {
                coefficient: value.checked_mul(factor).ok_or(ParseError::TooLarge)?,
                scale: 0,
            });
        }
        match u8::try_from(-exponent) {
            Ok(scale) if scale <= 38 => Ok(Decimal { coefficient: value, scale }),
            _ if value == 0 => Ok(Decimal::ZERO),
            _ => Err(ParseError::Syntax),
        }
    }

    /// `a x b`, whose scales add up to `scale`, cut to [`DIGITS_MAX`] digits. A product of 10^34 or more,
    /// beyond all sums of the exchange, is the largest number of that many digits.
    ///
    /// Both factors are non-negative.
    pub fn product(a: i128, b: i128, scale: u8) -> Decimal {
        debug_assert!(a >= 0 && b >= 0, "factors of a product are non-negative");
        if let Some(product) = checked_times(a, b)
            && product < power_of_ten(DIGITS_MAX)
        {
            return Decimal { coefficient: product, scale };
        }
        let mut wide = multiply_wide(a as u128, b as u128);
        let mut scale = scale;
        while wide.0 != 0 || wide.1 >= POWERS_OF_TEN[DIGITS_MAX as usize] {
            let Some(less) = scale.checked_sub(1) else {
                return Decimal { coefficient: power_of_ten(DIGITS_MAX) - 1, scale: 0 };
            };
            (wide, scale) = (divide_wide_by_ten(wide), less);
        }
        Decimal { coefficient: wide.1 as i128, scale }
    }

    /// The sum at the larger scale, cut to [`DIGITS_MAX`] digits.
    #[must_use]
    pub fn plus(self, other: Decimal) -> Decimal {
        if self.coefficient == 0 && self.scale <= other.scale {
            return other;
        }
        if self.scale == other.scale
            && let Some(sum) = self.coefficient.checked_add(other.coefficient)
            && sum.unsigned_abs() < POWERS_OF_TEN[DIGITS_MAX as usize]
        {
            return Decimal { coefficient: sum, scale: self.scale };
        }
        let (mut a, mut b) = (self, other);
        if a.scale < b.scale {
            core::mem::swap(&mut a, &mut b);
        }
        // a has the larger scale; widen b, giving up a's last digits only where 34 do not hold them.
        loop {
            let factor = power_of_ten(u32::from(a.scale - b.scale));
            if let Some(sum) =
                b.coefficient.checked_mul(factor).and_then(|wide| wide.checked_add(a.coefficient))
            {
                let mut sum = Decimal { coefficient: sum, scale: a.scale };
                while sum.coefficient.unsigned_abs() >= POWERS_OF_TEN[DIGITS_MAX as usize]
                    && sum.scale > 0
                {
                    sum = Decimal { coefficient: sum.coefficient / 10, scale: sum.scale - 1 };
                }
                return sum;
            }
            a = Decimal { coefficient: a.coefficient / 10, scale: a.scale - 1 };
        }
    }

    /// The units of 10^-scale in this number, cut toward zero; saturates at the integer's limits.
    #[inline]
    pub fn units_floor(self, scale: u8) -> i128 {
        match scale.cmp(&self.scale) {
            Ordering::Equal => self.coefficient,
            Ordering::Less => self.coefficient / power_of_ten(u32::from(self.scale - scale)),
            Ordering::Greater => {
                let factor = power_of_ten(u32::from(scale - self.scale).min(38));
                let limit = if self.coefficient < 0 { i128::MIN } else { i128::MAX };
                checked_times(self.coefficient, factor).unwrap_or(limit)
            }
        }
    }

    /// As [`Decimal::units_floor`], but a cut remainder counts as one more unit (for non-negative numbers).
    #[inline]
    pub fn units_ceil(self, scale: u8) -> i128 {
        let floor = self.units_floor(scale);
        let is_exact = scale >= self.scale
            || self.coefficient % power_of_ten(u32::from(self.scale - scale)) == 0;
        if is_exact { floor } else { floor + 1 }
    }

    /// Compares values, whatever the scales; both non-negative.
    pub fn compare(self, other: Decimal) -> Ordering {
        if self.scale > other.scale {
            return other.compare(self).reverse();
        }
        let (a, b) = (self.coefficient as u128, other.coefficient as u128);
        match POWERS_OF_TEN.get(usize::from(other.scale - self.scale)) {
            Some(factor) => multiply_wide(a, *factor).cmp(&(0, b)),
            // Widened by 39 digits or more, anything but zero is above all coefficients.
            None if a == 0 => a.cmp(&b),
            None => Ordering::Greater,
        }
    }
}

/// 256-bit product as (high, low).
fn multiply_wide(a: u128, b: u128) -> (u128, u128) {
    const LOW: u128 = u64::MAX as u128;
    let (a_high, a_low) = (a >> 64, a & LOW);
    let (b_high, b_low) = (b >> 64, b & LOW);
    let low = a_low * b_low;
    let middle = a_high * b_low + (low >> 64);
    let (middle_high, middle_low) = (middle >> 64, middle & LOW);
    let cross = a_low * b_high + middle_low;
    (a_high * b_high + middle_high + (cross >> 64), (cross << 64) | (low & LOW))
}

/// (high, low) / 10, by long division over 64-bit digits.
fn divide_wide_by_ten((high, low): (u128, u128)) -> (u128, u128) {
    const LOW: u128 = u64::MAX as u128;
    let mut remainder = 0u128;
    let mut quotients = [0u128; 4];
    for (quotient, digit) in
        quotients.iter_mut().zip([high >> 64, high & LOW, low >> 64, low & LOW])
    {
        let value = (remainder << 64) | digit;
        *quotient = value / 10;
        remainder = value % 10;
    }
    ((quotients[0] << 64) | quotients[1], (quotients[2] << 64) | quotients[3])
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn products_beyond_34_digits_lose_their_last_decimals() {
        let a = power_of_ten(33) + 7;
        assert_eq!(Decimal::product(a, 25, 24), Decimal { coefficient: a * 25 / 10, scale: 23 });
        let wide = Decimal::product(power_of_ten(33) + 1, power_of_ten(12), 40);
        assert_eq!(wide, Decimal { coefficient: power_of_ten(33) + 1, scale: 28 });
    }

    #[test]
    fn a_product_beyond_34_digits_before_the_point_is_the_largest_number() {
        let largest = Decimal { coefficient: power_of_ten(DIGITS_MAX) - 1, scale: 0 };
        assert_eq!(Decimal::product(power_of_ten(30), power_of_ten(30), 25), largest);
        let fits = Decimal { coefficient: power_of_ten(33), scale: 0 };
        assert_eq!(Decimal::product(power_of_ten(30), power_of_ten(30), 27), fits);
    }

    #[test]
    fn values_compare_whatever_their_scales() {
        let one = Decimal { coefficient: 1, scale: 0 };
        for scale in 1..=38 {
            let same = Decimal { coefficient: power_of_ten(u32::from(scale)), scale };
            assert_eq!((one.compare(same), same.compare(one)), (Ordering::Equal, Ordering::Equal));
        }
        let tiny = Decimal { coefficient: i128::MAX, scale: 40 };
        assert_eq!((one.compare(tiny), tiny.compare(one)), (Ordering::Greater, Ordering::Less));
        let zero = Decimal::ZERO;
        assert_eq!((zero.compare(tiny), tiny.compare(zero)), (Ordering::Less, Ordering::Greater));
        assert_eq!(zero.compare(Decimal { coefficient: 0, scale: 40 }), Ordering::Equal);
    }

    #[test]
    fn products_are_those_of_the_integers() {
        let mut values = Vec::from([0, 1, -1, i128::MAX, i128::MIN]);
        for bit in [1, 31, 32, 62, 63, 64, 65, 96, 126] {
            values.extend([1i128 << bit, (1i128 << bit) - 1, -(1i128 << bit), (1i128 << bit) + 1]);
        }
        for &a in &values {
            for &b in &values {
                assert_eq!(checked_times(a, b), a.checked_mul(b), "{a} x {b}");
            }
        }
    }

    #[test]
    fn sums_take_the_larger_scale() {
        let sum = Decimal { coefficient: 15, scale: 1 }.plus(Decimal { coefficient: 25, scale: 3 });
        assert_eq!(sum, Decimal { coefficient: 1525, scale: 3 });
        let cut = Decimal { coefficient: power_of_ten(33), scale: 0 }
            .plus(Decimal { coefficient: 19, scale: 2 });
        assert_eq!(cut, Decimal { coefficient: power_of_ten(33), scale: 0 });
    }

    #[test]
    fn units_round_as_named() {
        let fee = Decimal { coefficient: 1_001, scale: 3 };
        assert_eq!((fee.units_floor(2), fee.units_ceil(2)), (100, 101));
        assert_eq!((fee.units_floor(4), fee.units_ceil(4)), (10_010, 10_010));
        assert_eq!(fee.compare(Decimal { coefficient: 10_010, scale: 4 }), Ordering::Equal);
        assert_eq!(fee.compare(Decimal { coefficient: 2, scale: 0 }), Ordering::Less);
    }
}
