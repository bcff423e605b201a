//! JSON text as the original's parser accepts it, read without building a tree, and the pieces that
//! replies are written with.
//!
//! Accepted is strict UTF-8 JSON with integers of 64 bits, finite reals, no `\u0000`, no lone surrogate,
//! and at most [`DEPTH_MAX`] levels. Of duplicate keys the last value counts, in the place of the first.

use std::borrow::Cow;
use std::collections::HashMap;

mod numbers;
mod scan;
mod text;
mod write;

pub use numbers::{write_integer, write_real, write_seconds};
use scan::{Scanner, read_whole};
pub use text::write_string;
pub use write::{
    separate, write_array, write_indented, write_members, write_sorted, write_sorted_members,
    write_value,
};

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
    let mut elements = Vec::with_capacity(8);
    read_whole(bytes, Rules::ORIGINAL, |scanner| {
        scanner.array(1, &mut |value| elements.push(value)).map(drop)
    })?;
    Ok(elements)
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
    read_whole(bytes, rules, |scanner| scanner.object(1, visit).map(drop))
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

#[cfg(test)]
mod tests;
