//! The scanner: one pass over text that is known to be UTF-8, without a tree.

use std::borrow::Cow;
use std::collections::HashSet;

use super::text::plain_length;
use super::{JsonError, Rules, Value};

/// Reads what is all of `bytes` but for white space around it.
#[inline]
pub(super) fn read_whole<'a>(
    bytes: &'a [u8],
    rules: Rules,
    read: impl FnOnce(&mut Scanner<'a>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    let text =
        core::str::from_utf8(bytes).map_err(|error| JsonError { position: error.valid_up_to() })?;
    let mut scanner = Scanner::new(text, rules);
    scanner.skip_space();
    read(&mut scanner)?;
    scanner.skip_space();
    if scanner.position == text.len() { Ok(()) } else { Err(scanner.error()) }
}

/// Walks over text that is known to be UTF-8.
pub(super) struct Scanner<'a> {
    text: &'a str,
    position: usize,
    rules: Rules,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str, rules: Rules) -> Scanner<'a> {
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
    pub(super) fn array(
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
    pub(super) fn object(
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
