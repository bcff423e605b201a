//! Numbers as the original prints them: integers, reals, and times in seconds.

use viabtc_engine::decimal::write_plain;

/// Appends an integer.
pub fn write_integer(number: i64, out: &mut Vec<u8>) {
    write_plain(i128::from(number), 0, out);
}
/// Significant digits of a real: C's `%.17g`.
const REAL_DIGITS: i32 = 17;

/// Appends a real as C's `%.17g` does, with `.0` when it would look like an integer and the exponent
/// without `+` and leading zeros.
pub fn write_real(number: f64, out: &mut Vec<u8>) {
    let scientific = format!("{number:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("the form has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is an integer");
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits: String = mantissa.chars().filter(|character| *character != '.').collect();
    let digits = digits.trim_end_matches('0');
    out.extend_from_slice(sign.as_bytes());
    if !(-4..REAL_DIGITS).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        out.extend_from_slice(first.as_bytes());
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest.as_bytes());
        }
        out.push(b'e');
        write_integer(i64::from(exponent), out);
        return;
    }
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-exponent - 1) as usize, b'0');
        out.extend_from_slice(digits.as_bytes());
        return;
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        out.extend_from_slice(digits.as_bytes());
        out.resize(out.len() + whole - digits.len().max(1), b'0');
        if digits.is_empty() {
            out.push(b'0');
        }
        out.extend_from_slice(b".0");
    } else {
        out.extend_from_slice(&digits.as_bytes()[..whole]);
        out.push(b'.');
        out.extend_from_slice(&digits.as_bytes()[whole..]);
    }
}

/// Appends a time in microseconds as the original prints it: seconds as a double, by [`write_real`].
pub fn write_seconds(microseconds: i64, out: &mut Vec<u8>) {
    // Source: ut_misc.c, current_timestamp adds the two parts as doubles.
    let whole = microseconds.div_euclid(1_000_000);
    let seconds = whole as f64 + microseconds.rem_euclid(1_000_000) as f64 / 1e6;
    // From 2^30 to 2^31 (2004 to 2038) a double holds 22 binary places, and 17 digits leave 7 decimals.
    if !(f64::from(1 << 30)..2_147_483_648.0).contains(&seconds) || seconds < 1e9 {
        return write_real(seconds, out);
    }
    const PLACES: u32 = 22;
    const HALF: u64 = 1 << (PLACES - 1);
    const DECIMALS: u64 = 10_000_000;
    let scaled = (seconds * f64::from(1 << PLACES)) as u64;
    let mut whole = scaled >> PLACES;
    let product = (scaled & ((1 << PLACES) - 1)) * DECIMALS;
    let (mut fraction, rest) = (product >> PLACES, product & ((1 << PLACES) - 1));
    if rest > HALF || (rest == HALF && fraction % 2 == 1) {
        fraction += 1;
    }
    if fraction == DECIMALS {
        whole += 1;
        fraction = 0;
    }
    let mut decimals = 7;
    while decimals > 1 && fraction.is_multiple_of(10) {
        fraction /= 10;
        decimals -= 1;
    }
    write_plain(i128::from(whole * 10u64.pow(decimals) + fraction), decimals as u8, out);
}
