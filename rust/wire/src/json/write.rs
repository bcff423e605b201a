//! Values that were read, written again in the original's forms: on one line, sorted, indented.

use std::borrow::Cow;

use super::numbers::{write_integer, write_real};
use super::scan::Scanner;
use super::text::write_narrow_string;
use super::{JsonError, Rules, Value, read_array, read_object};

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
        Value::Array(text) => write_elements(text, write_value, out),
        Value::Object(text) => write_members(&read_object(text), out),
    }
}

/// Appends the one-line form of an array's text, as [`write_value`] does.
///
/// # Errors
/// When `bytes` is not a JSON array; nothing is appended then.
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

/// Appends an object of `members` in their order, as [`write_value`] does.
pub fn write_members(members: &[(Cow<'_, str>, Value<'_>)], out: &mut Vec<u8>) {
    write_pairs(members, write_value, out);
}

/// As [`write_value`], with the keys of every object in the order of their bytes.
pub fn write_sorted(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Array(text) => write_elements(text, write_sorted, out),
        Value::Object(text) => write_sorted_members(read_object(text), out),
        _ => write_value(value, out),
    }
}

/// Appends an object of `members`, all sorted as [`write_sorted`] does.
pub fn write_sorted_members(mut members: Vec<(Cow<'_, str>, Value<'_>)>, out: &mut Vec<u8>) {
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    write_pairs(&members, write_sorted, out);
}

/// Appends the array that `text` holds, each element by `write_element`.
fn write_elements(text: &str, write_element: fn(&Value<'_>, &mut Vec<u8>), out: &mut Vec<u8>) {
    out.push(b'[');
    let mut is_first = true;
    let validated = Scanner::new(text, Rules::ORIGINAL).array(1, &mut |element| {
        separate(&mut is_first, out);
        write_element(&element, out);
    });
    validated.expect("the text was validated");
    out.push(b']');
}

/// Appends an object of `members` in their order, each value by `write_member`.
fn write_pairs(
    members: &[(Cow<'_, str>, Value<'_>)],
    write_member: fn(&Value<'_>, &mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    out.push(b'{');
    let mut is_first = true;
    for (key, value) in members {
        separate(&mut is_first, out);
        write_narrow_string(key, out);
        out.extend_from_slice(b": ");
        write_member(value, out);
    }
    out.push(b'}');
}

/// Appends `, ` except the first time.
pub fn separate(is_first: &mut bool, out: &mut Vec<u8>) {
    if !core::mem::take(is_first) {
        out.extend_from_slice(b", ");
    }
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
