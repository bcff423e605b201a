//! Commands and events as the bytes of journal and feed records, versioned.
//!
//! A journal record's payload is the decoded command followed by the parameters' JSON text as the client
//! sent it: replay needs no JSON and does not depend on today's configuration, and the operation log can
//! show the text. A feed record's payload is the command number, that text, and the events.
//!
//! Commands of our own kinds are written in version 2, orders that take effect once in version 3, all others
//! in version 1 as ever: a build that does not know them says so, and reads a journal without them.

use viabtc_engine::{
    AssetId, CancelOrder, Change, Command, MarketId, OrderId, PlaceLimit, PlaceMarket, PlaceOnce,
    UpdateBalance, UserId,
};
use viabtc_wire::changes::{PUT_LIMIT_ONCE, PUT_MARKET_ONCE};

use crate::bytes::{Reader, Writer};

mod changes;
mod feed;
mod fields;

pub(crate) use changes::{read_asset, read_market, write_asset, write_market};
use changes::{read_change, write_change};
pub use feed::{FeedEntry, Origin, read_feed_entry, write_feed_entry};
use fields::{read_side, read_source, read_version, write_source};

/// First byte of payloads that hold nothing which only a later version has.
pub const VERSION: u8 = 1;

/// First byte of commands of our own kinds, in the journal and in the feed.
pub const VERSION_OWN: u8 = 2;

/// First byte of orders that take effect once, in the journal and in the feed; what follows is as in version 1.
pub const VERSION_ONCE: u8 = 3;

/// Bytes that no writer of this version made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CodecError {
    /// The payload ends inside a field.
    #[error("the record ends inside a field")]
    Short,
    /// Written by a version that this build does not read.
    #[error("format version {0} is not readable by this build, which reads versions 1 to 3")]
    Version(u8),
    /// A field holds a value outside its range.
    #[error("field out of range: {0}")]
    Value(&'static str),
}

/// Appends `command`, then `params`.
pub fn write_command(command: &Command, params: &[u8], out: &mut Vec<u8>) {
    let mut writer = Writer(out);
    writer.u8(match command {
        Command::Change(_) => VERSION_OWN,
        Command::PlaceOnce(_) => VERSION_ONCE,
        _ => VERSION,
    });
    match command {
        Command::Change(change) => write_change(&mut writer, change),
        Command::UpdateBalance(update) => {
            writer.u8(1);
            writer.u32(update.user.0);
            writer.u16(update.asset.0);
            writer.bytes(update.reason.as_bytes());
            writer.u64(update.reason_id);
            writer.i128(update.change);
            writer.bytes(update.detail.as_bytes());
        }
        Command::PlaceLimit(order) => write_limit(&mut writer, order),
        Command::PlaceMarket(order) => write_market_order(&mut writer, order),
        Command::PlaceOnce(place) => match &**place {
            PlaceOnce::Limit(order) => write_limit(&mut writer, order),
            PlaceOnce::Market(order) => write_market_order(&mut writer, order),
        },
        Command::CancelOrder(cancel) => {
            writer.u8(4);
            writer.u32(cancel.user.0);
            writer.u16(cancel.market.0);
            writer.u64(cancel.order.0);
        }
    }
    out.extend_from_slice(params);
}

fn write_limit(writer: &mut Writer<'_>, order: &PlaceLimit) {
    writer.u8(2);
    writer.u32(order.user.0);
    writer.u16(order.market.0);
    writer.u8(order.side as u8);
    writer.i128(order.amount);
    writer.i128(order.price);
    writer.u64(order.taker_fee_rate);
    writer.u64(order.maker_fee_rate);
    write_source(writer, &order.source);
}

fn write_market_order(writer: &mut Writer<'_>, order: &PlaceMarket) {
    writer.u8(3);
    writer.u32(order.user.0);
    writer.u16(order.market.0);
    writer.u8(order.side as u8);
    writer.i128(order.amount);
    writer.u64(order.taker_fee_rate);
    write_source(writer, &order.source);
}

/// The command of a journal record, and the parameters' text behind it.
///
/// # Errors
/// When the payload was not made by [`write_command`] of this version.
pub fn read_command(payload: &[u8]) -> Result<(Command, &[u8]), CodecError> {
    let mut reader = Reader(payload);
    let version = read_version(&mut reader)?;
    if version == VERSION_OWN {
        let change = read_change(&mut reader)?;
        return Ok((Command::Change(Box::new(change)), reader.0));
    }
    let command = match reader.u8()? {
        1 => Command::UpdateBalance(UpdateBalance {
            user: UserId(reader.u32()?),
            asset: AssetId(reader.u16()?),
            reason: reader.text()?.into(),
            reason_id: reader.u64()?,
            change: reader.i128()?,
            detail: reader.text()?.into(),
        }),
        2 => Command::PlaceLimit(PlaceLimit {
            user: UserId(reader.u32()?),
            market: MarketId(reader.u16()?),
            side: read_side(&mut reader)?,
            amount: reader.i128()?,
            price: reader.i128()?,
            taker_fee_rate: reader.u64()?,
            maker_fee_rate: reader.u64()?,
            source: read_source(&mut reader)?,
        }),
        3 => Command::PlaceMarket(PlaceMarket {
            user: UserId(reader.u32()?),
            market: MarketId(reader.u16()?),
            side: read_side(&mut reader)?,
            amount: reader.i128()?,
            taker_fee_rate: reader.u64()?,
            source: read_source(&mut reader)?,
        }),
        4 => Command::CancelOrder(CancelOrder {
            user: UserId(reader.u32()?),
            market: MarketId(reader.u16()?),
            order: OrderId(reader.u64()?),
        }),
        _ => return Err(CodecError::Value("command kind")),
    };
    let command = match (version, command) {
        (VERSION_ONCE, Command::PlaceLimit(order)) => PlaceOnce::Limit(order).into(),
        (VERSION_ONCE, Command::PlaceMarket(order)) => PlaceOnce::Market(order).into(),
        (VERSION_ONCE, _) => return Err(CodecError::Value("command that takes effect once")),
        (_, command) => command,
    };
    Ok((command, reader.0))
}

/// The RPC number of a command's method.
pub const fn command_number(command: &Command) -> u32 {
    match command {
        Command::UpdateBalance(_) => 102,
        Command::PlaceLimit(_) => 201,
        Command::PlaceMarket(_) => 202,
        Command::CancelOrder(_) => 204,
        Command::PlaceOnce(place) => match **place {
            PlaceOnce::Limit(_) => PUT_LIMIT_ONCE,
            PlaceOnce::Market(_) => PUT_MARKET_ONCE,
        },
        Command::Change(change) => match **change {
            Change::Halt(_) => 901,
            Change::Resume(_) => 902,
            Change::AddMarket(_) => 903,
            Change::SetMarket(..) => 904,
            Change::AddAsset(_) => 905,
            Change::SetAsset(..) => 906,
        },
    }
}

#[cfg(test)]
mod tests;
