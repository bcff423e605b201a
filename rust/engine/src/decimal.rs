//! Decimal numbers: fixed-scale integers for balances, prices and amounts, and [`Decimal`] where the
//! scale varies (fees). Every cut is toward zero, at 34 significant digits or at a stated scale.
//!
//! Source: spec of the number rules, matchengine section 1.

use alloc::vec::Vec;
use core::cmp::Ordering;

/// Significant digits kept by parsing, a multiplication or an addition.
pub const DIGITS_MAX: u32 = 34;

/// Largest value that is parsed: below 10^22, which is what the tables hold.
const VALUE_DIGITS_MAX: i64 = 22;

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

/// Why a text is not a number that can be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParseError {
    /// Not a finite decimal in plain or exponent notation.
    Syntax,
    /// 10^22 or more.
    TooLarge,
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

/// Parses `text` into units of 10^-scale: the value is cut to 34 significant digits, then to `scale`.
/// A value below 10^22 whose units do not fit saturates; no balance can cover it.
///
/// # Errors
/// See [`ParseError`].
pub fn parse_fixed(text: &str, scale: u8) -> Result<i128, ParseError> {
    if let Some((coefficient, decimals)) = scan_short(text.as_bytes())
        && let Some(shift) = scale.checked_sub(decimals)
        && let Some(factor) = POWERS_OF_TEN.get(usize::from(shift))
        && let Ok(factor) = u64::try_from(*factor)
    {
        return Ok((u128::from(coefficient) * u128::from(factor)) as i128);
    }
    let (coefficient, exponent, is_negative) = scan(text)?;
    let shift = exponent + i64::from(scale);
    let units = if shift >= 0 {
        let factor = POWERS_OF_TEN.get(usize::try_from(shift).unwrap_or(usize::MAX)).copied();
        factor
            .and_then(|factor| coefficient.checked_mul(factor))
            .filter(|units| *units <= i128::MAX as u128)
            .unwrap_or(if coefficient == 0 { 0 } else { i128::MAX as u128 })
    } else {
        let divisor = POWERS_OF_TEN.get(usize::try_from(-shift).unwrap_or(usize::MAX)).copied();
        divisor.map_or(0, |divisor| coefficient / divisor)
    };
    Ok(signed(units, is_negative))
}

fn signed(magnitude: u128, is_negative: bool) -> i128 {
    if is_negative { -(magnitude as i128) } else { magnitude as i128 }
}

/// Most bytes of a text whose digits 64 bits always hold.
const SHORT: usize = 19;

/// As [`scan`], of digits with at most one point and nothing else, which nearly every number is; the
/// coefficient and its decimals. `None` for all other texts.
#[inline]
fn scan_short(bytes: &[u8]) -> Option<(u64, u8)> {
    if bytes.len() > SHORT {
        return None;
    }
    let (mut coefficient, mut digits, mut whole) = (0u64, 0u8, None);
    for &byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            coefficient = coefficient * 10 + u64::from(digit);
            digits += 1;
        } else if byte == b'.' && whole.is_none() {
            whole = Some(digits);
        } else {
            return None;
        }
    }
    (digits > 0).then_some((coefficient, digits - whole.unwrap_or(digits)))
}

/// Coefficient of at most 34 digits, exponent of ten, sign.
fn scan(text: &str) -> Result<(u128, i64, bool), ParseError> {
    let mut bytes = text.as_bytes();
    let is_negative = match bytes.first() {
        Some(b'-') => {
            bytes = &bytes[1..];
            true
        }
        Some(b'+') => {
            bytes = &bytes[1..];
            false
        }
        _ => false,
    };
    /// Digits that 64 bits always hold.
    const NARROW_DIGITS: u32 = 19;
    let (mut coefficient, mut kept, mut exponent) = (0u128, 0u32, 0i64);
    let (mut digits, mut has_point, mut position) = (0usize, false, 0usize);
    let mut narrow = 0u64;
    while let Some(&byte) = bytes.get(position) {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                if kept < NARROW_DIGITS {
                    narrow = narrow * 10 + u64::from(byte - b'0');
                    coefficient = u128::from(narrow);
                    kept += u32::from(narrow != 0);
                    exponent -= i64::from(has_point);
                } else if kept < DIGITS_MAX {
                    coefficient = coefficient * 10 + u128::from(byte - b'0');
                    kept += u32::from(coefficient != 0);
                    exponent -= i64::from(has_point);
                } else {
                    exponent += i64::from(!has_point);
                }
            }
            b'.' if !has_point => has_point = true,
            _ => break,
        }
        position += 1;
    }
    if digits == 0 {
        return Err(ParseError::Syntax);
    }
    if position < bytes.len() {
        exponent = exponent.saturating_add(scan_exponent(&bytes[position..])?);
    }
    if coefficient != 0 && i64::from(kept).saturating_add(exponent) > VALUE_DIGITS_MAX {
        return Err(ParseError::TooLarge);
    }
    Ok((coefficient, if coefficient == 0 { exponent.min(0) } else { exponent }, is_negative))
}

fn scan_exponent(bytes: &[u8]) -> Result<i64, ParseError> {
    let [b'e' | b'E', rest @ ..] = bytes else { return Err(ParseError::Syntax) };
    let (is_negative, digits) = match rest {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return Err(ParseError::Syntax);
    }
    let mut value = 0i64;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return Err(ParseError::Syntax);
        }
        value = value.saturating_mul(10).saturating_add(i64::from(byte - b'0'));
    }
    // Far beyond any table either way; halved so that later sums cannot overflow.
    let value = value.min(i64::MAX / 4);
    Ok(if is_negative { -value } else { value })
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

/// Appends `coefficient x 10^-scale` in plain notation with exactly `scale` decimals.
pub fn write_plain(coefficient: i128, scale: u8, out: &mut Vec<u8>) {
    write_digits(coefficient, scale, false, out);
}

/// Appends it in plain notation without trailing zeros; zero is `0`.
pub fn write_stripped(coefficient: i128, scale: u8, out: &mut Vec<u8>) {
    write_digits(coefficient, scale, true, out);
}

/// Most decimals of nearly every number; its text is put together in a buffer that is quickly made.
const SCALE_USUAL: usize = 40;

/// Room for all digits of 128 bits with [`SCALE_USUAL`] decimals, and for those of any scale.
const ROOM_USUAL: usize = 48;
const ROOM: usize = 257;

/// Digits that are copied at once: as many bytes always are a few stores, a copy of some of them is a call.
const COPIED: usize = 16;

fn write_digits(coefficient: i128, scale: u8, is_stripped: bool, out: &mut Vec<u8>) {
    if is_stripped && coefficient == 0 {
        out.push(b'0');
    } else if usize::from(scale) <= SCALE_USUAL {
        write_digits_in::<{ ROOM_USUAL + COPIED }>(coefficient, scale, is_stripped, out);
    } else {
        write_digits_in::<{ ROOM + COPIED }>(coefficient, scale, is_stripped, out);
    }
}

/// Appends the first `length` of `digits`.
#[inline]
fn append(digits: &[u8], length: usize, out: &mut Vec<u8>) {
    match digits.first_chunk::<COPIED>() {
        Some(chunk) if length <= COPIED => {
            out.extend_from_slice(chunk);
            out.truncate(out.len() - (COPIED - length));
        }
        _ => out.extend_from_slice(&digits[..length]),
    }
}

/// Two digits of each number below 100.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < pairs.len() {
        pairs[number] = [b'0' + number as u8 / 10, b'0' + number as u8 % 10];
        number += 1;
    }
    pairs
};

/// Puts the digits of `number` before `end`, where zeros are; where they begin.
#[inline]
fn put_digits(mut number: u64, digits: &mut [u8], mut end: usize) -> usize {
    while number >= 100 {
        end -= 2;
        digits[end..end + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
        number /= 100;
    }
    if number >= 10 {
        end -= 2;
        digits[end..end + 2].copy_from_slice(&PAIRS[number as usize]);
    } else if number > 0 {
        end -= 1;
        digits[end] = b'0' + number as u8;
    }
    end
}

#[inline]
fn write_digits_in<const LENGTH: usize>(
    coefficient: i128,
    scale: u8,
    is_stripped: bool,
    out: &mut Vec<u8>,
) {
    /// Digits of one 64-bit part of a longer number.
    const PART_DIGITS: usize = 18;
    const PART: u128 = 10u128.pow(PART_DIGITS as u32);
    let scale = usize::from(scale);
    // What stands behind the digits is only there to be copied along.
    let mut digits = [b'0'; LENGTH];
    let mut end = LENGTH - COPIED;
    let point = end - scale;
    let mut magnitude = coefficient.unsigned_abs();
    let mut part_end = end;
    while magnitude > u128::from(u64::MAX) {
        let rest = magnitude / PART;
        put_digits((magnitude - rest * PART) as u64, &mut digits, part_end);
        part_end -= PART_DIGITS;
        magnitude = rest;
    }
    let start = put_digits(magnitude as u64, &mut digits, part_end).min(point - 1);
    if is_stripped {
        while end > point && digits[end - 1] == b'0' {
            end -= 1;
        }
    }
    if coefficient < 0 {
        out.push(b'-');
    }
    append(&digits[start..], point - start, out);
    if end > point {
        // The digit before the point is written and makes room for it.
        digits[point - 1] = b'.';
        append(&digits[point - 1..], end - (point - 1), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn plain(coefficient: i128, scale: u8) -> String {
        let mut out = Vec::new();
        write_plain(coefficient, scale, &mut out);
        String::from_utf8(out).expect("digits")
    }

    fn stripped(coefficient: i128, scale: u8) -> String {
        let mut out = Vec::new();
        write_stripped(coefficient, scale, &mut out);
        String::from_utf8(out).expect("digits")
    }

    #[test]
    fn texts_of_the_grammar_are_cut_to_the_scale() {
        for (text, scale, units) in [
            ("1", 8, 100_000_000),
            ("+1.", 2, 100),
            (".5", 2, 50),
            ("1E1", 2, 1000),
            ("1e-8", 8, 1),
            ("1e-9", 8, 0),
            ("-0.129", 2, -12),
            ("-0", 2, 0),
            ("1e-999999999999999999999", 8, 0),
            ("0e999999", 8, 0),
            ("00012.50", 1, 125),
        ] {
            assert_eq!(parse_fixed(text, scale), Ok(units), "{text}");
        }
    }

    #[test]
    fn what_is_no_finite_plain_number_is_refused() {
        for text in [
            "", " 1", "1 ", "1e", "e1", "0x10", "1_000", "NaN", "nan123", "sNaN", "Infinity",
            "-inf", ".", "+", "1.2.3", "１",
        ] {
            assert_eq!(parse_fixed(text, 8), Err(ParseError::Syntax), "{text}");
        }
        for text in ["1e22", "10000000000000000000000", "1e999999", "1e99999999999999999999"] {
            assert_eq!(parse_fixed(text, 8), Err(ParseError::TooLarge), "{text}");
        }
        assert_eq!(
            parse_fixed("9999999999999999999999", 8),
            Ok(999_999_999_999_999_999_999_900_000_000)
        );
        assert_eq!(parse_fixed("9999999999999999999999", 20), Ok(i128::MAX));
    }

    #[test]
    fn digits_beyond_34_are_cut() {
        let text = "1.2345678901234567890123456789012349";
        assert_eq!(
            Decimal::parse(text).map(|d| (d.coefficient, d.scale)),
            Ok((1_234_567_890_123_456_789_012_345_678_901_234, 33))
        );
    }

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

    /// Against the integers' own text, around every power of ten and of two.
    #[test]
    fn digits_are_those_of_the_integers() {
        let mut values = Vec::from([0, 1, 9, 10, 99, 100, i128::MAX, i128::MIN]);
        for exponent in 1..=38 {
            let power = power_of_ten(exponent);
            values.extend([power - 1, power, power + 1, -power, power / 7 * 3]);
        }
        for bit in 1..127 {
            values.extend([(1i128 << bit) - 1, 1 << bit, -(1 << bit)]);
        }
        for &value in &values {
            assert_eq!(plain(value, 0), alloc::format!("{value}"));
            for scale in [1, 8, 40, 41, u8::MAX] {
                let text = plain(value, scale);
                let (whole, decimals) = text.split_once('.').expect("there are decimals");
                assert_eq!(decimals.len(), usize::from(scale), "{value} {scale}");
                let sign = if value < 0 { "-" } else { "" };
                let digits = alloc::format!("{}{decimals}", whole.trim_start_matches('-'));
                let digits = digits.trim_start_matches('0');
                let expected = alloc::format!("{}", value.unsigned_abs());
                assert_eq!(digits, expected.trim_start_matches('0'), "{value} {scale}");
                assert!(text.starts_with(sign), "{value} {scale}");
            }
        }
    }

    #[test]
    fn long_texts_are_read_digit_by_digit() {
        for digits in 1..=34 {
            let text = "9".repeat(digits);
            let scale = digits.saturating_sub(22) as u8;
            let (whole, decimals) = text.split_at(digits - usize::from(scale));
            let value = alloc::format!("{whole}.{decimals}");
            assert_eq!(parse_fixed(&value, scale), Ok(power_of_ten(digits as u32) - 1), "{value}");
        }
    }

    /// A sign leads around the way that short texts take.
    #[test]
    fn short_texts_are_read_as_all_others() {
        for text in
            ["", ".", "0", "7.", ".5", "00.10", "1..2", "12a", "1234567890123456789", "9.999"]
        {
            let signed = alloc::format!("+{text}");
            for scale in [0, 1, 2, 8, 18, 19, 20, 38] {
                assert_eq!(parse_fixed(text, scale), parse_fixed(&signed, scale), "{text} {scale}");
            }
        }
        for point in 0..=18 {
            let mut text = String::from("123456789012345678");
            text.insert(point, '.');
            let signed = alloc::format!("+{text}");
            for scale in 0..=38 {
                assert_eq!(
                    parse_fixed(&text, scale),
                    parse_fixed(&signed, scale),
                    "{text} {scale}"
                );
            }
        }
    }

    #[test]
    fn texts_are_plain() {
        assert_eq!(plain(0, 8), "0.00000000");
        assert_eq!(plain(1, 8), "0.00000001");
        assert_eq!(plain(-12_345_678, 8), "-0.12345678");
        assert_eq!(plain(i128::MAX, 0), "170141183460469231731687303715884105727");
        assert_eq!(stripped(0, 8), "0");
        assert_eq!(stripped(150_000_000, 8), "1.5");
        assert_eq!(stripped(100, 0), "100");
        assert_eq!(stripped(10_000_000_000_000_000_000_000, 20), "100");
        assert_eq!(stripped(-10, 20), "-0.0000000000000000001");
    }
}
