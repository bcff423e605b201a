//! Strings: which bytes stand for themselves, and how the others are escaped.

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
pub(super) fn plain_length(bytes: &[u8]) -> usize {
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
pub(super) fn write_narrow_string(text: &str, out: &mut Vec<u8>) {
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
