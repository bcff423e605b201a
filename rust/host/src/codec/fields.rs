//! Fields that commands, changes and events share.

use viabtc_engine::{Decimal, Side, Source};

use super::{CodecError, VERSION, VERSION_ONCE, VERSION_OWN};
use crate::bytes::{Reader, Writer};

/// Length byte of a source that the client left out: an empty one is another thing.
const SOURCE_ABSENT: u8 = u8::MAX;

pub(super) fn write_decimal(writer: &mut Writer<'_>, decimal: Decimal) {
    writer.i128(decimal.coefficient);
    writer.u8(decimal.scale);
}

pub(super) fn read_decimal(reader: &mut Reader<'_>) -> Result<Decimal, CodecError> {
    Ok(Decimal { coefficient: reader.i128()?, scale: reader.u8()? })
}

pub(super) fn write_source(writer: &mut Writer<'_>, source: &Source) {
    match source.as_str() {
        Some(text) => {
            writer.u8(text.len() as u8);
            writer.0.extend_from_slice(text.as_bytes());
        }
        None => writer.u8(SOURCE_ABSENT),
    }
}

pub(super) fn read_source(reader: &mut Reader<'_>) -> Result<Source, CodecError> {
    let length = reader.u8()?;
    if length == SOURCE_ABSENT {
        return Ok(Source::ABSENT);
    }
    let (text, rest) = reader.0.split_at_checked(usize::from(length)).ok_or(CodecError::Short)?;
    reader.0 = rest;
    core::str::from_utf8(text).ok().and_then(Source::new).ok_or(CodecError::Value("source"))
}

pub(super) fn read_side(reader: &mut Reader<'_>) -> Result<Side, CodecError> {
    match reader.u8()? {
        1 => Ok(Side::Ask),
        2 => Ok(Side::Bid),
        _ => Err(CodecError::Value("side")),
    }
}

pub(super) fn read_version(reader: &mut Reader<'_>) -> Result<u8, CodecError> {
    match reader.u8()? {
        version @ (VERSION | VERSION_OWN | VERSION_ONCE) => Ok(version),
        other => Err(CodecError::Version(other)),
    }
}
