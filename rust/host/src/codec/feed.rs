//! Feed records: the events of one command, and what they belong to.

use viabtc_engine::event::OrderChange;
use viabtc_engine::{
    AssetId, BalanceUpdated, Deal, DealId, DealSide, Event, MarketId, Order, OrderEvent, OrderId,
    OrderKind, Time, UserId,
};
use viabtc_wire::changes::{is_once, is_own};

use super::fields::{
    read_decimal, read_side, read_source, read_version, write_decimal, write_source,
};
use super::{CodecError, VERSION, VERSION_ONCE, VERSION_OWN};
use crate::bytes::{Reader, Writer};

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
pub(super) const fn feed_version(command: u32) -> u8 {
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
