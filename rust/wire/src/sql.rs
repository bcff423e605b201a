//! Rows as multi-row INSERT statements for MySQL and MariaDB, any text safe.
//!
//! The texts are meant for a session with the character set utf8mb4 and without the SQL mode
//! `NO_BACKSLASH_ESCAPES`; whoever opens the connection sets both.

use std::collections::BTreeMap;

use viabtc_engine::decimal::{write_plain, write_stripped};

use crate::rows::{Family, Field, Row};

/// Size from which a statement is ended and a new one begun: far below any `max_allowed_packet`, and so
/// large that more would not be faster.
const STATEMENT_BYTES: usize = 256 << 10;

/// Collects rows into one statement per table.
#[derive(Debug, Default)]
pub struct Inserts {
    open: BTreeMap<(Family, u8), Vec<u8>>,
    full: Vec<Vec<u8>>,
    rows: usize,
}

impl Inserts {
    /// Adds a row.
    pub fn push(&mut self, row: Row<'_>) {
        let statement = self.open.entry((row.family, row.shard)).or_default();
        if statement.is_empty() {
            write_head(row.family, row.shard, statement);
        } else {
            statement.extend_from_slice(b", ");
        }
        write_row(row.fields, statement);
        self.rows += 1;
        if statement.len() >= STATEMENT_BYTES {
            self.full.push(std::mem::take(statement));
        }
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The statements. Rows of one table stand in the order in which they were added.
    pub fn finish(self) -> Vec<Vec<u8>> {
        let mut statements = self.full;
        statements.extend(self.open.into_values().filter(|statement| !statement.is_empty()));
        statements
    }
}

fn write_head(family: Family, shard: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(b"INSERT INTO `");
    out.extend_from_slice(family.name().as_bytes());
    out.push(b'_');
    write_plain(i128::from(shard), 0, out);
    out.extend_from_slice(b"` (");
    for (index, column) in family.columns().iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"`" } else { b", `" });
        out.extend_from_slice(column.as_bytes());
        out.push(b'`');
    }
    out.extend_from_slice(b") VALUES ");
}

/// Appends `(value, value, ...)`.
pub fn write_row(fields: &[Field<'_>], out: &mut Vec<u8>) {
    out.push(b'(');
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        match field {
            Field::Auto => out.extend_from_slice(b"NULL"),
            Field::Integer(number) => write_plain(i128::from(*number), 0, out),
            Field::Time(microseconds) => write_plain(i128::from(*microseconds), 6, out),
            Field::Decimal(value) => write_stripped(value.coefficient, value.scale, out),
            Field::Text(text) => write_text(text, out),
        }
    }
    out.push(b')');
}

/// Appends a string literal.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'\'');
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        let escape = match byte {
            0 => b'0',
            b'\n' => b'n',
            b'\r' => b'r',
            // Control-Z ends input on some systems when a dump is read back.
            0x1a => b'Z',
            b'\'' | b'\\' => byte,
            _ => continue,
        };
        out.extend_from_slice(&bytes[copied..index]);
        out.extend_from_slice(&[b'\\', escape]);
        copied = index + 1;
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;
    use viabtc_engine::Decimal;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn literals_cannot_be_left() {
        let written = text(|out| write_text("a'b\\c\0d\ne\rf\u{1a}g\"h\u{e9}\u{4e2d}", out));
        assert_eq!(written, "'a\\'b\\\\c\\0d\\ne\\rf\\Zg\"h\u{e9}\u{4e2d}'");
        assert_eq!(text(|out| write_text("\\", out)), "'\\\\'");
        assert_eq!(
            text(|out| write_text("\\'; DROP TABLE x; --", out)),
            "'\\\\\\'; DROP TABLE x; --'"
        );
    }

    #[test]
    fn values_are_plain() {
        let fields = [
            Field::Auto,
            Field::Integer(u64::MAX),
            Field::Time(1_795_429_650_455_000),
            Field::Decimal(Decimal { coefficient: -100, scale: 8 }),
            Field::Text(""),
        ];
        let written = text(|out| write_row(&fields, out));
        assert_eq!(written, "(NULL, 18446744073709551615, 1795429650.455000, -0.000001, '')");
    }

    #[test]
    fn a_table_has_one_statement_until_it_is_full() {
        let detail = "x".repeat(STATEMENT_BYTES / 2);
        let fields = [Field::Text(&detail)];
        let row = |shard| Row { family: Family::BalanceHistory, shard, fields: &fields };
        let mut inserts = Inserts::default();
        for shard in [7, 7, 8, 7] {
            inserts.push(row(shard));
        }
        assert_eq!(inserts.rows(), 4);
        let statements = inserts.finish();
        let heads: Vec<_> = statements.iter().map(|text| &text[..32]).collect();
        assert_eq!(
            heads,
            [
                &b"INSERT INTO `balance_history_7` "[..],
                &b"INSERT INTO `balance_history_7` "[..],
                &b"INSERT INTO `balance_history_8` "[..],
            ]
        );
    }
}
