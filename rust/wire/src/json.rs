//! JSON text as the original's parser accepts it, read without building a tree, and the pieces that
//! replies are written with.
//!
//! Accepted is strict UTF-8 JSON with integers of 64 bits, finite reals, no `\u0000`, no lone surrogate,
//! and at most [`DEPTH_MAX`] levels. Of duplicate keys the last value counts, in the place of the first.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use viabtc_engine::decimal::write_plain;

/// Deepest nesting; the outermost array is level 1. Bounds the recursion.
pub const DEPTH_MAX: usize = 128;

/// How much less than all that JSON allows is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Deepest nesting; the outermost object or array is level 1.
    pub depth_max: usize,
    /// Whether an object that names a member twice is refused; otherwise its last value counts.
    pub has_unique_keys: bool,
}

impl Rules {
    /// Those of the original's ports.
    pub const ORIGINAL: Rules = Rules { depth_max: DEPTH_MAX, has_unique_keys: false };
}

/// Not JSON as described above: the position of the first byte that cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("malformed JSON at byte {position}")]
pub struct JsonError {
    /// Offset from the start of the text.
    pub position: usize,
}

/// One value; containers stay text.
#[derive(Clone, PartialEq, Debug)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number without point and exponent.
    Integer(i64),
    /// Any other number.
    Real(f64),
    /// Unescaped.
    Text(Cow<'a, str>),
    /// The array's validated text.
    Array(&'a str),
    /// The object's validated text.
    Object(&'a str),
}

/// Reads an array, which must be all there is; its elements in order.
///
/// # Errors
/// When `bytes` is not a JSON array.
pub fn read_array(bytes: &[u8]) -> Result<Vec<Value<'_>>, JsonError> {
    let text =
        core::str::from_utf8(bytes).map_err(|error| JsonError { position: error.valid_up_to() })?;
    let mut scanner = Scanner::new(text, Rules::ORIGINAL);
    scanner.skip_space();
    if scanner.peek() != Some(b'[') {
        return Err(scanner.error());
    }
    let mut elements = Vec::with_capacity(8);
    scanner.array(1, &mut |value| elements.push(value))?;
    scanner.skip_space();
    if scanner.position == text.len() { Ok(elements) } else { Err(scanner.error()) }
}

/// Reads an object, which must be all there is; `visit` gets its members in order, duplicates included
/// where the rules allow them.
///
/// # Errors
/// When `bytes` is not a JSON object.
pub fn scan_object<'a>(
    bytes: &'a [u8],
    rules: Rules,
    visit: &mut dyn FnMut(Cow<'a, str>, Value<'a>),
) -> Result<(), JsonError> {
    let text =
        core::str::from_utf8(bytes).map_err(|error| JsonError { position: error.valid_up_to() })?;
    let mut scanner = Scanner::new(text, rules);
    scanner.skip_space();
    scanner.object(1, visit)?;
    scanner.skip_space();
    if scanner.position == text.len() { Ok(()) } else { Err(scanner.error()) }
}

/// Appends the one-line form of a value that [`read_array`] gave, with characters beyond U+FFFF escaped
/// as surrogate pairs: the tables of the history database hold three-byte characters at most.
pub fn write_value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Integer(number) => write_integer(*number, out),
        Value::Real(number) => write_real(*number, out),
        Value::Text(text) => write_narrow_string(text, out),
        Value::Array(text) => {
            out.push(b'[');
            let mut scanner = Scanner::new(text, Rules::ORIGINAL);
            let mut is_first = true;
            let validated = scanner.array(1, &mut |element| {
                separate(&mut is_first, out);
                write_value(&element, out);
            });
            validated.expect("the text was validated");
            out.push(b']');
        }
        Value::Object(text) => write_members(&read_object(text), out),
    }
}

/// Appends the one-line form of an array's text, as [`write_value`] does.
///
/// # Errors
/// When `bytes` is not a JSON array.
pub fn write_array(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
    let values = read_array(bytes)?;
    out.push(b'[');
    let mut is_first = true;
    for value in &values {
        separate(&mut is_first, out);
        write_value(value, out);
    }
    out.push(b']');
    Ok(())
}

/// The members of an object that [`read_array`] gave, duplicates resolved.
pub fn read_object<'a>(text: &'a str) -> Vec<(Cow<'a, str>, Value<'a>)> {
    let mut members: Vec<(Cow<'a, str>, Value<'a>)> = Vec::new();
    let mut places: HashMap<Cow<'a, str>, usize> = HashMap::new();
    let mut scanner = Scanner::new(text, Rules::ORIGINAL);
    let validated = scanner.object(1, &mut |key, value| match places.get(&key) {
        Some(&place) => members[place].1 = value,
        None => {
            places.insert(key.clone(), members.len());
            members.push((key, value));
        }
    });
    validated.expect("the text was validated");
    members
}

/// Appends an object of `members` in their order, as [`write_value`] does.
pub fn write_members(members: &[(Cow<'_, str>, Value<'_>)], out: &mut Vec<u8>) {
    out.push(b'{');
    let mut is_first = true;
    for (key, value) in members {
        separate(&mut is_first, out);
        write_narrow_string(key, out);
        out.extend_from_slice(b": ");
        write_value(value, out);
    }
    out.push(b'}');
}

/// As [`write_value`], with the keys of every object in the order of their bytes.
pub fn write_sorted(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Array(text) => {
            out.push(b'[');
            let mut scanner = Scanner::new(text, Rules::ORIGINAL);
            let mut is_first = true;
            let validated = scanner.array(1, &mut |element| {
                separate(&mut is_first, out);
                write_sorted(&element, out);
            });
            validated.expect("the text was validated");
            out.push(b']');
        }
        Value::Object(text) => write_sorted_members(read_object(text), out),
        _ => write_value(value, out),
    }
}

/// Appends an object of `members`, all sorted as [`write_sorted`] does.
pub fn write_sorted_members(mut members: Vec<(Cow<'_, str>, Value<'_>)>, out: &mut Vec<u8>) {
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    out.push(b'{');
    let mut is_first = true;
    for (key, value) in &members {
        separate(&mut is_first, out);
        write_narrow_string(key, out);
        out.extend_from_slice(b": ");
        write_sorted(value, out);
    }
    out.push(b'}');
}

/// Appends `, ` except the first time.
pub fn separate(is_first: &mut bool, out: &mut Vec<u8>) {
    if !core::mem::take(is_first) {
        out.extend_from_slice(b", ");
    }
}

/// Appends an integer.
pub fn write_integer(number: i64, out: &mut Vec<u8>) {
    write_plain(i128::from(number), 0, out);
}

/// Appends `text` in quotes: quotes, backslashes and controls escaped, all else as it is.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut bytes = text.as_bytes();
    loop {
        let (plain, rest) = bytes.split_at(plain_length(bytes));
        out.extend_from_slice(plain);
        let Some((special, rest)) = rest.split_first() else { break };
        write_escape(*special, out);
        bytes = rest;
    }
    out.push(b'"');
}

/// How many bytes stand before the first quote, backslash or control; eight are looked at together.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    const EACH: u64 = u64::MAX / 0xff;
    // The highest bit of each byte below `limit`, and perhaps of bytes behind such a one.
    let below = |word: u64, limit: u64| word.wrapping_sub(EACH * limit) & !word & (EACH << 7);
    let mut length = 0;
    while let Some(chunk) = bytes[length..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let special = below(word, 0x20)
            | below(word ^ (EACH * u64::from(b'"')), 1)
            | below(word ^ (EACH * u64::from(b'\\')), 1);
        if special != 0 {
            return length + (special.trailing_zeros() / 8) as usize;
        }
        length += chunk.len();
    }
    let rest = &bytes[length..];
    let special = rest.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'));
    length + special.unwrap_or(rest.len())
}

/// As [`write_string`], with characters beyond U+FFFF as surrogate pairs.
fn write_narrow_string(text: &str, out: &mut Vec<u8>) {
    if text.bytes().all(|byte| byte < 0xf0) {
        return write_string(text, out);
    }
    out.push(b'"');
    for character in text.chars() {
        let mut units = [0u16; 2];
        match character {
            '\0'..='\u{1f}' | '"' | '\\' => write_escape(character as u8, out),
            '\u{10000}'.. => {
                for unit in character.encode_utf16(&mut units) {
                    write_unit(*unit, out);
                }
            }
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => return write_unit(u16::from(byte), out),
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn write_unit(unit: u16, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |shift: u16| HEX[usize::from(unit >> shift & 15)];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
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

/// Appends `compact` (a text that this crate wrote) indented by four spaces a level, as the original's
/// `debug` does.
pub fn write_indented(compact: &[u8], out: &mut Vec<u8>) {
    let new_line = |depth: usize, out: &mut Vec<u8>| {
        out.push(b'\n');
        out.resize(out.len() + 4 * depth, b' ');
    };
    let (mut depth, mut index, mut is_text) = (0, 0, false);
    while let Some(&byte) = compact.get(index) {
        index += 1;
        match byte {
            b'\\' if is_text => {
                out.push(byte);
                out.extend(compact.get(index));
                index += 1;
                continue;
            }
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'[' | b'{' => {
                out.push(byte);
                if matches!(compact.get(index), Some(b']' | b'}')) {
                    out.push(compact[index]);
                    index += 1;
                } else {
                    depth += 1;
                    new_line(depth, out);
                }
                continue;
            }
            b']' | b'}' => {
                depth -= 1;
                new_line(depth, out);
            }
            b',' => {
                out.push(byte);
                new_line(depth, out);
                index += 1;
                continue;
            }
            _ => {}
        }
        out.push(byte);
    }
}

/// Walks over text that is known to be UTF-8.
struct Scanner<'a> {
    text: &'a str,
    position: usize,
    rules: Rules,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str, rules: Rules) -> Scanner<'a> {
        Scanner { text, position: 0, rules }
    }

    fn error(&self) -> JsonError {
        JsonError { position: self.position }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.position += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.error());
        }
        self.position += 1;
        Ok(())
    }

    /// Reads an array at level `depth`; the position is at its bracket.
    fn array(
        &mut self,
        depth: usize,
        visit: &mut dyn FnMut(Value<'a>),
    ) -> Result<&'a str, JsonError> {
        let start = self.position;
        if depth > self.rules.depth_max {
            return Err(self.error());
        }
        self.expect(b'[')?;
        self.skip_space();
        if self.peek() != Some(b']') {
            loop {
                visit(self.value(depth)?);
                self.skip_space();
                if self.peek() != Some(b',') {
                    break;
                }
                self.position += 1;
            }
        }
        self.expect(b']')?;
        Ok(&self.text[start..self.position])
    }

    /// Reads an object at level `depth`; the position is at its brace.
    fn object(
        &mut self,
        depth: usize,
        visit: &mut dyn FnMut(Cow<'a, str>, Value<'a>),
    ) -> Result<&'a str, JsonError> {
        let start = self.position;
        if depth > self.rules.depth_max {
            return Err(self.error());
        }
        let mut seen = self.rules.has_unique_keys.then(HashSet::new);
        self.expect(b'{')?;
        self.skip_space();
        if self.peek() != Some(b'}') {
            loop {
                self.skip_space();
                let key = self.string()?;
                if seen.as_mut().is_some_and(|seen| !seen.insert(key.clone())) {
                    return Err(self.error());
                }
                self.skip_space();
                self.expect(b':')?;
                let value = self.value(depth)?;
                visit(key, value);
                self.skip_space();
                if self.peek() != Some(b',') {
                    break;
                }
                self.position += 1;
            }
        }
        self.expect(b'}')?;
        Ok(&self.text[start..self.position])
    }

    /// Reads a value inside a container at level `depth`.
    fn value(&mut self, depth: usize) -> Result<Value<'a>, JsonError> {
        self.skip_space();
        match self.peek() {
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'[') => self.array(depth + 1, &mut |_| {}).map(Value::Array),
            Some(b'{') => self.object(depth + 1, &mut |_, _| {}).map(Value::Object),
            Some(b'n') => self.word("null", Value::Null),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            _ => Err(self.error()),
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, JsonError> {
        if !self.text[self.position..].starts_with(word) {
            return Err(self.error());
        }
        self.position += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Result<Value<'a>, JsonError> {
        let start = self.position;
        if self.peek() == Some(b'-') {
            self.position += 1;
        }
        let first = self.position;
        self.digits()?;
        if self.text.as_bytes()[first] == b'0' && self.position > first + 1 {
            self.position = first + 1;
            return Err(self.error());
        }
        let mut is_real = false;
        if self.peek() == Some(b'.') {
            is_real = true;
            self.position += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            is_real = true;
            self.position += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.position += 1;
            }
            self.digits()?;
        }
        let text = &self.text[start..self.position];
        let refused = JsonError { position: start };
        if !is_real {
            return text.parse().map(Value::Integer).map_err(|_| refused);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Real(number)),
            _ => Err(refused),
        }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.position;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.position += 1;
        }
        if self.position == start { Err(self.error()) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.expect(b'"')?;
        let start = self.position;
        self.position += plain_length(&self.text.as_bytes()[start..]);
        match self.peek() {
            Some(b'"') => {
                let text = &self.text[start..self.position];
                self.position += 1;
                Ok(Cow::Borrowed(text))
            }
            Some(b'\\') => self.escaped_string(start).map(Cow::Owned),
            _ => Err(self.error()),
        }
    }

    /// Goes on at the first backslash of a string that began at `start`.
    fn escaped_string(&mut self, start: usize) -> Result<String, JsonError> {
        let mut unescaped = self.text[start..self.position].to_owned();
        let mut copied = self.position;
        loop {
            match self.peek() {
                Some(b'"') => {
                    unescaped.push_str(&self.text[copied..self.position]);
                    self.position += 1;
                    return Ok(unescaped);
                }
                Some(b'\\') => {
                    unescaped.push_str(&self.text[copied..self.position]);
                    self.position += 1;
                    unescaped.push(self.escape()?);
                    copied = self.position;
                }
                Some(0x20..) => self.position += 1,
                _ => return Err(self.error()),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let character = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.position += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.error()),
        };
        self.position += 1;
        Ok(character)
    }

    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let refused = self.error();
        let first = self.hexadecimal()?;
        let code = match first {
            0xd800..=0xdbff => {
                if !self.text[self.position..].starts_with("\\u") {
                    return Err(refused);
                }
                self.position += 2;
                match self.hexadecimal()? {
                    second @ 0xdc00..=0xdfff => {
                        0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                    }
                    _ => return Err(refused),
                }
            }
            code => code,
        };
        char::from_u32(code).filter(|character| *character != '\0').ok_or(refused)
    }

    fn hexadecimal(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code << 4 | digit.ok_or(self.error())?;
            self.position += 1;
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests;
