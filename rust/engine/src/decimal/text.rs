//! Numbers as texts: parsing plain and exponent notation, writing plain notation.

use alloc::vec::Vec;

use super::{DIGITS_MAX, POWERS_OF_TEN};

/// Largest value that is parsed: below 10^22, which is what the tables hold.
const VALUE_DIGITS_MAX: i64 = 22;

/// Why a text is not a number that can be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParseError {
    /// Not a finite decimal in plain or exponent notation.
    Syntax,
    /// 10^22 or more.
    TooLarge,
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

pub(super) fn signed(magnitude: u128, is_negative: bool) -> i128 {
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
pub(super) fn scan(text: &str) -> Result<(u128, i64, bool), ParseError> {
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
    use super::super::{Decimal, power_of_ten};
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

    #[test]
    fn digits_beyond_34_are_cut() {
        let text = "1.2345678901234567890123456789012349";
        assert_eq!(
            Decimal::parse(text).map(|d| (d.coefficient, d.scale)),
            Ok((1_234_567_890_123_456_789_012_345_678_901_234, 33))
        );
    }
}
