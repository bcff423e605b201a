//! Commands and events as the bytes of journal and feed records, versioned.
//!
//! A journal record's payload is the decoded command followed by the parameters' JSON text as the client
//! sent it: replay needs no JSON and does not depend on today's configuration, and the operation log can
//! show the text. A feed record's payload is the command number, that text, and the events.
//!
//! Commands of our own kinds are written in version 2, orders that take effect once in version 3, all others
//! in version 1 as ever: a build that does not know them says so, and reads a journal without them.

use viabtc_engine::event::OrderChange;
use viabtc_engine::{
    AssetId, BalanceUpdated, CancelOrder, Change, Command, Deal, DealId, DealSide, Decimal, Event,
    MarketId, Order, OrderEvent, OrderId, OrderKind, PlaceLimit, PlaceMarket, PlaceOnce, Side,
    Source, Time, UpdateBalance, UserId,
};

use viabtc_wire::changes::{PUT_LIMIT_ONCE, PUT_MARKET_ONCE, is_once, is_own};

use crate::bytes::{Reader, Writer};

mod changes;

pub(crate) use changes::{read_asset, read_market, write_asset, write_market};
use changes::{read_change, write_change};

/// First byte of every payload, but of those that hold what only version 2 has.
pub const VERSION: u8 = 1;

/// First byte of commands of our own kinds, in the journal and in the feed.
pub const VERSION_OWN: u8 = 2;

/// First byte of orders that take effect once, in the journal and in the feed; what follows is as in version 1.
pub const VERSION_ONCE: u8 = 3;

const SOURCE_ABSENT: u8 = u8::MAX;

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

/// What one command did, as the feed carries it.
#[derive(Clone, PartialEq, Debug)]
pub struct FeedEntry<'a> {
    /// Which command, under which configuration.
    pub origin: Origin,
    /// The parameters as the client sent them.
    pub params: &'a [u8],
    /// Oldest first.
    pub events: Vec<Event>,
}

/// What a feed record says of its command beside parameters and events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// RPC number of the command's method.
    pub command: u32,
    /// Its number in the operation log.
    pub operlog_id: u64,
    /// Digest of the configuration that names and scales of the events belong to: [`crate::configs`].
    pub config: u64,
}

/// Appends a feed record's payload.
pub fn write_feed_entry(origin: Origin, params: &[u8], events: &[Event], out: &mut Vec<u8>) {
    let mut writer = Writer(out);
    writer.u8(feed_version(origin.command));
    writer.u32(origin.command);
    writer.u64(origin.operlog_id);
    writer.u64(origin.config);
    writer.bytes(params);
    writer.u32(u32::try_from(events.len()).expect("a command makes fewer than 2^32 events"));
    for event in events {
        write_event(&mut writer, event);
    }
}

/// The version that a command's feed record is written in.
const fn feed_version(command: u32) -> u8 {
    if is_own(command) {
        VERSION_OWN
    } else if is_once(command) {
        VERSION_ONCE
    } else {
        VERSION
    }
}

/// A feed record's payload.
///
/// # Errors
/// When it was not made by [`write_feed_entry`] of this version.
pub fn read_feed_entry(payload: &[u8]) -> Result<FeedEntry<'_>, CodecError> {
    let mut reader = Reader(payload);
    let version = read_version(&mut reader)?;
    let origin =
        Origin { command: reader.u32()?, operlog_id: reader.u64()?, config: reader.u64()? };
    if version != feed_version(origin.command) {
        return Err(CodecError::Value("command of another version"));
    }
    let params = reader.bytes()?;
    let count = reader.u32()? as usize;
    // An event takes more than one byte, which bounds what a damaged count can reserve.
    let mut events = Vec::with_capacity(count.min(reader.0.len()));
    for _ in 0..count {
        events.push(read_event(&mut reader)?);
    }
    Ok(FeedEntry { origin, params, events })
}

fn write_event(writer: &mut Writer<'_>, event: &Event) {
    match event {
        Event::BalanceUpdated(update) => {
            writer.u8(1);
            writer.u64(update.number);
            writer.i64(update.time.0);
            writer.u32(update.user.0);
            writer.u16(update.asset.0);
            writer.bytes(update.reason.as_bytes());
            writer.u64(update.reason_id);
            writer.i128(update.change);
            writer.i128(update.total);
            writer.i128(update.available);
            writer.bytes(update.detail.as_bytes());
        }
        Event::Deal(deal) => {
            writer.u8(2);
            writer.u64(deal.id.0);
            writer.i64(deal.time.0);
            writer.u16(deal.market.0);
            writer.u8(deal.taker as u8);
            writer.i128(deal.price);
            writer.i128(deal.amount);
            writer.i128(deal.turnover);
            write_deal_side(writer, &deal.ask);
            write_deal_side(writer, &deal.bid);
        }
        Event::Order(event) => {
            writer.u8(3);
            writer.u64(event.number);
            writer.u8(event.change as u8);
            writer.u8(u8::from(event.is_recorded));
            write_order(writer, &event.order);
        }
    }
}

fn read_event(reader: &mut Reader<'_>) -> Result<Event, CodecError> {
    Ok(match reader.u8()? {
        1 => Event::BalanceUpdated(Box::new(BalanceUpdated {
            number: reader.u64()?,
            time: Time(reader.i64()?),
            user: UserId(reader.u32()?),
            asset: AssetId(reader.u16()?),
            reason: reader.text()?.into(),
            reason_id: reader.u64()?,
            change: reader.i128()?,
            total: reader.i128()?,
            available: reader.i128()?,
            detail: reader.text()?.into(),
        })),
        2 => Event::Deal(Deal {
            id: DealId(reader.u64()?),
            time: Time(reader.i64()?),
            market: MarketId(reader.u16()?),
            taker: read_side(reader)?,
            price: reader.i128()?,
            amount: reader.i128()?,
            turnover: reader.i128()?,
            ask: read_deal_side(reader)?,
            bid: read_deal_side(reader)?,
        }),
        3 => Event::Order(OrderEvent {
            number: reader.u64()?,
            change: match reader.u8()? {
                1 => OrderChange::Placed,
                2 => OrderChange::Updated,
                3 => OrderChange::Finished,
                _ => return Err(CodecError::Value("order change")),
            },
            is_recorded: reader.u8()? != 0,
            order: read_order(reader)?,
        }),
        _ => return Err(CodecError::Value("event kind")),
    })
}

fn write_deal_side(writer: &mut Writer<'_>, side: &DealSide) {
    writer.u64(side.order.0);
    writer.u32(side.user.0);
    writer.u64(side.fee_rate);
    write_decimal(writer, side.fee);
    writer.i128(side.total_given);
    writer.i128(side.total_received);
    writer.i128(side.total_after_fee);
}

fn read_deal_side(reader: &mut Reader<'_>) -> Result<DealSide, CodecError> {
    Ok(DealSide {
        order: OrderId(reader.u64()?),
        user: UserId(reader.u32()?),
        fee_rate: reader.u64()?,
        fee: read_decimal(reader)?,
        total_given: reader.i128()?,
        total_received: reader.i128()?,
        total_after_fee: reader.i128()?,
    })
}

fn write_order(writer: &mut Writer<'_>, order: &Order) {
    writer.u64(order.id.0);
    writer.u32(order.user.0);
    writer.u16(order.market.0);
    writer.u8(order.kind as u8);
    writer.u8(order.side as u8);
    write_source(writer, &order.source);
    writer.i64(order.created_at.0);
    writer.i64(order.updated_at.0);
    writer.i128(order.price);
    writer.i128(order.amount);
    writer.i128(order.remaining);
    writer.u64(order.taker_fee_rate);
    writer.u64(order.maker_fee_rate);
    writer.i128(order.filled_base);
    writer.i128(order.filled_quote);
    write_decimal(writer, order.fee_paid);
}

fn read_order(reader: &mut Reader<'_>) -> Result<Order, CodecError> {
    Ok(Order {
        id: OrderId(reader.u64()?),
        user: UserId(reader.u32()?),
        market: MarketId(reader.u16()?),
        kind: match reader.u8()? {
            1 => OrderKind::Limit,
            2 => OrderKind::Market,
            _ => return Err(CodecError::Value("order kind")),
        },
        side: read_side(reader)?,
        source: read_source(reader)?,
        created_at: Time(reader.i64()?),
        updated_at: Time(reader.i64()?),
        price: reader.i128()?,
        amount: reader.i128()?,
        remaining: reader.i128()?,
        taker_fee_rate: reader.u64()?,
        maker_fee_rate: reader.u64()?,
        filled_base: reader.i128()?,
        filled_quote: reader.i128()?,
        fee_paid: read_decimal(reader)?,
    })
}

fn write_decimal(writer: &mut Writer<'_>, decimal: Decimal) {
    writer.i128(decimal.coefficient);
    writer.u8(decimal.scale);
}

fn read_decimal(reader: &mut Reader<'_>) -> Result<Decimal, CodecError> {
    Ok(Decimal { coefficient: reader.i128()?, scale: reader.u8()? })
}

fn write_source(writer: &mut Writer<'_>, source: &Source) {
    match source.as_str() {
        Some(text) => {
            writer.u8(text.len() as u8);
            writer.0.extend_from_slice(text.as_bytes());
        }
        None => writer.u8(SOURCE_ABSENT),
    }
}

fn read_source(reader: &mut Reader<'_>) -> Result<Source, CodecError> {
    let length = reader.u8()?;
    if length == SOURCE_ABSENT {
        return Ok(Source::ABSENT);
    }
    let (text, rest) = reader.0.split_at_checked(usize::from(length)).ok_or(CodecError::Short)?;
    reader.0 = rest;
    core::str::from_utf8(text).ok().and_then(Source::new).ok_or(CodecError::Value("source"))
}

fn read_side(reader: &mut Reader<'_>) -> Result<Side, CodecError> {
    match reader.u8()? {
        1 => Ok(Side::Ask),
        2 => Ok(Side::Bid),
        _ => Err(CodecError::Value("side")),
    }
}

fn read_version(reader: &mut Reader<'_>) -> Result<u8, CodecError> {
    match reader.u8()? {
        version @ (VERSION | VERSION_OWN | VERSION_ONCE) => Ok(version),
        other => Err(CodecError::Version(other)),
    }
}

#[cfg(test)]
mod tests {
    use viabtc_engine::{AssetConfig, AssetSettings, MarketConfig, MarketSettings};

    use super::*;

    fn commands() -> Vec<Command> {
        let commands = [
            Command::UpdateBalance(UpdateBalance {
                user: UserId(7),
                asset: AssetId(2),
                reason: "deposit".into(),
                reason_id: u64::MAX >> 1,
                change: -12_345_678,
                detail: r#"{"id": 1}"#.into(),
            }),
            Command::PlaceLimit(PlaceLimit {
                user: UserId(u32::MAX),
                market: MarketId(3),
                side: Side::Bid,
                amount: i128::MAX,
                price: 1,
                taker_fee_rate: 20,
                maker_fee_rate: 10,
                source: Source::new("api").expect("short"),
            }),
            Command::PlaceMarket(PlaceMarket {
                user: UserId(0),
                market: MarketId(0),
                side: Side::Ask,
                amount: 5,
                taker_fee_rate: 0,
                source: Source::ABSENT,
            }),
            Command::CancelOrder(CancelOrder {
                user: UserId(1),
                market: MarketId(1),
                order: OrderId(99),
            }),
        ];
        let once = commands.iter().filter_map(|command| match command {
            Command::PlaceLimit(order) => Some(PlaceOnce::Limit(*order).into()),
            Command::PlaceMarket(order) => Some(PlaceOnce::Market(*order).into()),
            _ => None,
        });
        let changes = changes().map(|change| Command::Change(Box::new(change)));
        commands.iter().cloned().chain(once).chain(changes).collect()
    }

    fn changes() -> [Change; 6] {
        let min_amount = Decimal { coefficient: 1, scale: 3 };
        let asset = AssetConfig { name: "ETH".into(), save_scale: 16, show_scale: 8 };
        let market = MarketConfig {
            name: "ETHBTC".into(),
            base: AssetId(2),
            quote: AssetId(0),
            base_scale: 4,
            quote_scale: 6,
            fee_scale: 4,
            min_amount,
        };
        let asset_settings = AssetSettings { save_scale: 20, show_scale: 10 };
        let settings = MarketSettings { base_scale: 5, quote_scale: 7, fee_scale: 4, min_amount };
        [
            Change::Halt(MarketId(1)),
            Change::Resume(MarketId(1)),
            Change::AddAsset(asset),
            Change::SetAsset(AssetId(2), asset_settings),
            Change::AddMarket(market),
            Change::SetMarket(MarketId(3), settings),
        ]
    }

    /// What other builds wrote is read for ever, and they say what they cannot read.
    #[test]
    fn commands_of_our_own_kinds_have_a_version_of_their_own() {
        for command in commands() {
            let mut payload = Vec::new();
            write_command(&command, b"[]", &mut payload);
            let number = command_number(&command);
            assert_eq!(payload[0], feed_version(number));
            assert_eq!(is_own(number), matches!(command, Command::Change(_)));
            assert_eq!(is_once(number), matches!(command, Command::PlaceOnce(_)));
        }
        let halt = Command::Change(Box::new(Change::Halt(MarketId(0x0102))));
        let mut payload = Vec::new();
        write_command(&halt, b"[]", &mut payload);
        assert_eq!(payload, b"\x02\x01\x02\x01[]");
    }

    #[test]
    fn commands_come_back_with_their_text() {
        for command in commands() {
            let mut payload = Vec::new();
            write_command(&command, b"[1, 2]", &mut payload);
            assert_eq!(read_command(&payload), Ok((command, &b"[1, 2]"[..])));
        }
    }

    #[test]
    fn every_cut_of_a_command_is_an_error_or_loses_only_text() {
        for command in commands() {
            let mut payload = Vec::new();
            write_command(&command, b"", &mut payload);
            for length in 0..payload.len() {
                assert!(read_command(&payload[..length]).is_err(), "{command:?} cut at {length}");
            }
        }
    }

    #[test]
    fn feed_entries_come_back() {
        let order = Order {
            id: OrderId(1),
            user: UserId(2),
            market: MarketId(3),
            kind: OrderKind::Limit,
            side: Side::Ask,
            source: Source::new("").expect("empty"),
            created_at: Time(1),
            updated_at: Time(2),
            price: 10,
            amount: 20,
            remaining: 5,
            taker_fee_rate: 1,
            maker_fee_rate: 2,
            filled_base: 15,
            filled_quote: 150,
            fee_paid: Decimal { coefficient: 3, scale: 20 },
        };
        let side = DealSide {
            order: OrderId(1),
            user: UserId(2),
            fee_rate: 3,
            fee: Decimal { coefficient: 1, scale: 1 },
            total_given: 0,
            total_received: 9,
            total_after_fee: 8,
        };
        let events = vec![
            Event::Deal(Deal {
                id: DealId(4),
                time: Time(5),
                market: MarketId(3),
                taker: Side::Bid,
                price: 10,
                amount: 15,
                turnover: 150,
                ask: side,
                bid: side,
            }),
            Event::Order(OrderEvent {
                number: 9,
                change: OrderChange::Updated,
                order,
                is_recorded: false,
            }),
        ];
        let mut payload = Vec::new();
        let origin = Origin { command: 201, operlog_id: 7, config: u64::MAX };
        write_feed_entry(origin, b"[]", &events, &mut payload);
        let entry = FeedEntry { origin, params: b"[]", events };
        assert_eq!(read_feed_entry(&payload), Ok(entry));
    }
}
