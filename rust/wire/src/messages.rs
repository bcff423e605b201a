//! Payloads of the topics `balances`, `orders` and `deals`: rendered from the engine's events, one JSON
//! text a message, byte for byte the original's but for plain notation.
//!
//! Every message has a number, dense in its topic from 1, that travels in a record header: a consumer
//! drops repeats and notices gaps by it.

use viabtc_engine::decimal::write_plain;
use viabtc_engine::{BalanceUpdated, Config, Deal, Event, OrderEvent, Side};

use crate::json::{write_integer, write_seconds, write_string};
use crate::reply::write_order;

/// A topic of the matching engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Topic {
    /// Accepted `balance.update`s.
    Balances,
    /// What happened to orders.
    Orders,
    /// Deals.
    Deals,
}

impl Topic {
    /// All of them, in the order in which the original drains them.
    pub const ALL: [Topic; 3] = [Topic::Balances, Topic::Orders, Topic::Deals];

    /// The topic's name.
    pub const fn name(self) -> &'static str {
        match self {
            Topic::Balances => "balances",
            Topic::Orders => "orders",
            Topic::Deals => "deals",
        }
    }
}

/// The topic that tells of `event`, and the message's number there.
pub fn place(event: &Event) -> (Topic, u64) {
    match event {
        Event::BalanceUpdated(update) => (Topic::Balances, update.number),
        Event::Order(event) => (Topic::Orders, event.number),
        Event::Deal(deal) => (Topic::Deals, deal.id.0),
    }
}

/// Appends the payload that tells of `event`.
pub fn write_message(event: &Event, config: &Config, out: &mut Vec<u8>) {
    match event {
        Event::BalanceUpdated(update) => write_balance(update, config, out),
        Event::Order(event) => write_order_event(event, config, out),
        Event::Deal(deal) => write_deal(deal, config, out),
    }
}

/// `[time, user_id, asset, business, change]`
fn write_balance(update: &BalanceUpdated, config: &Config, out: &mut Vec<u8>) {
    let asset = &config.assets[usize::from(update.asset.0)];
    out.push(b'[');
    write_seconds(update.time.0, out);
    write_next_integer(i64::from(update.user.0), out);
    write_next_text(&asset.name, out);
    write_next_text(&update.reason, out);
    write_next_number(update.change, asset.show_scale, out);
    out.push(b']');
}

/// `{"event": 1 put | 2 update | 3 finish, "order": {...}, "stock": ..., "money": ...}`
fn write_order_event(event: &OrderEvent, config: &Config, out: &mut Vec<u8>) {
    let market = &config.markets[usize::from(event.order.market.0)];
    out.extend_from_slice(b"{\"event\": ");
    write_integer(event.change as i64, out);
    out.extend_from_slice(b", \"order\": ");
    write_order(&event.order, config, out);
    out.extend_from_slice(b", \"stock\": ");
    write_string(&config.assets[usize::from(market.base.0)].name, out);
    out.extend_from_slice(b", \"money\": ");
    write_string(&config.assets[usize::from(market.quote.0)].name, out);
    out.push(b'}');
}

/// `[time, market, ask_order_id, bid_order_id, ask_user_id, bid_user_id, price, amount, ask_fee, bid_fee,
/// side, deal_id, stock, money]`; side is the taker's.
fn write_deal(deal: &Deal, config: &Config, out: &mut Vec<u8>) {
    let market = &config.markets[usize::from(deal.market.0)];
    out.push(b'[');
    write_seconds(deal.time.0, out);
    write_next_text(&market.name, out);
    write_next_integer(deal.ask.order.0.cast_signed(), out);
    write_next_integer(deal.bid.order.0.cast_signed(), out);
    write_next_integer(i64::from(deal.ask.user.0), out);
    write_next_integer(i64::from(deal.bid.user.0), out);
    write_next_number(deal.price, market.quote_scale, out);
    write_next_number(deal.amount, market.base_scale, out);
    write_next_number(deal.ask.fee.coefficient, deal.ask.fee.scale, out);
    write_next_number(deal.bid.fee.coefficient, deal.bid.fee.scale, out);
    write_next_integer(if deal.taker == Side::Ask { 1 } else { 2 }, out);
    write_next_integer(deal.id.0.cast_signed(), out);
    write_next_text(&config.assets[usize::from(market.base.0)].name, out);
    write_next_text(&config.assets[usize::from(market.quote.0)].name, out);
    out.push(b']');
}

fn write_next_integer(number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(b", ");
    write_integer(number, out);
}

fn write_next_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b", ");
    write_string(text, out);
}

/// All decimals are kept.
fn write_next_number(units: i128, scale: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(b", \"");
    write_plain(units, scale, out);
    out.push(b'"');
}

/// How far a consumer is in a topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TopicPosition {
    /// Of the last message that was read.
    pub offset: Option<i64>,
    /// Of the last message, if it had a number: an engine that takes over from an original numbers its
    /// messages from 1 again.
    pub number: Option<u64>,
}

/// What a message is to a consumer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// The next one.
    New,
    /// It took effect before.
    Repeated,
    /// New, and so many messages before it never came.
    AfterGap(u64),
}

impl TopicPosition {
    /// Moves behind a message and says what it is. Numbers decide; offsets do so for messages of an
    /// original, which have none.
    pub fn arrive(&mut self, offset: i64, number: Option<u64>) -> Arrival {
        let last = self.offset.replace(offset);
        let Some(number) = number else {
            if last.is_some_and(|last| offset <= last) {
                return Arrival::Repeated;
            }
            self.number = None;
            return Arrival::New;
        };
        let Some(last) = self.number else {
            self.number = Some(number);
            return Arrival::New;
        };
        if number <= last {
            return Arrival::Repeated;
        }
        self.number = Some(number);
        match number - last - 1 {
            0 => Arrival::New,
            missing => Arrival::AfterGap(missing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_decide_and_offsets_where_there_are_none() {
        let mut position = TopicPosition::default();
        for (offset, number, arrival) in [
            (5, None, Arrival::New),
            (5, None, Arrival::Repeated),
            (6, Some(10), Arrival::New),
            (7, Some(11), Arrival::New),
            // A publisher that was not sure sends again, at new offsets.
            (8, Some(10), Arrival::Repeated),
            (9, Some(11), Arrival::Repeated),
            (10, Some(12), Arrival::New),
            // The topic lost its end, and what was lost comes again.
            (8, Some(12), Arrival::Repeated),
            (9, Some(13), Arrival::New),
            (10, Some(16), Arrival::AfterGap(2)),
            // An original took over.
            (11, None, Arrival::New),
            (3, None, Arrival::Repeated),
            (12, None, Arrival::New),
            // One of ours took over from it, and numbers its messages from the beginning.
            (13, Some(1), Arrival::New),
            (14, Some(2), Arrival::New),
            (15, Some(1), Arrival::Repeated),
        ] {
            assert_eq!(position.arrive(offset, number), arrival, "{offset} {number:?}");
        }
        assert_eq!(position, TopicPosition { offset: Some(15), number: Some(2) });
    }
}
