//! The benchmark's structures, byte by byte: little endian, natural alignment.
//!
//! | structure | bytes | fields |
//! | --- | ---: | --- |
//! | [`NewOrder`] | 32 | order id, sequence number, price, quantity, side, ioc, 2 padding |
//! | [`Cancel`] | 16 | order id, sequence number |
//! | [`Modify`] | 32 | order id, sequence number, new price, new quantity, side, 3 padding |
//! | [`Tagged`] | 40 | type (0 new, 1 cancel, 2 modify), 7 padding, one of the above |
//! | [`Report`] | 64 | type, side, 6 padding, sequence number, order id, price, quantity, 4 padding, maker, taker, 8 padding |
//! | [`Transport`] | 40 | create, push, drain, flush, destroy |

use std::ffi::{c_int, c_void};

/// Value of a side: buy.
pub const BUY: u8 = 0;

/// Value of a side: sell.
pub const SELL: u8 = 1;

/// Tag of a [`NewOrder`].
pub const TYPE_NEW: u8 = 0;

/// Tag of a [`Cancel`].
pub const TYPE_CANCEL: u8 = 1;

/// Tag of a [`Modify`].
pub const TYPE_MODIFY: u8 = 2;

/// What a report says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum ReportType {
    /// A new order was taken.
    OrderAck = 0,
    /// Two orders met.
    Trade = 1,
    /// An order was taken out, or the rest of an immediate one dropped.
    CancelAck = 2,
    /// An order was put in anew.
    ModifyAck = 3,
    /// No such order rests.
    CancelReject = 4,
    /// No such order rests.
    ModifyReject = 5,
}

/// A new limit order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct NewOrder {
    /// Identity; no resting order has it.
    pub order_id: u64,
    /// Of the message.
    pub sequence_number: u64,
    /// Limit.
    pub price_ticks: i64,
    /// Amount.
    pub quantity: u32,
    /// [`BUY`] or [`SELL`].
    pub side: u8,
    /// Not 0: what is not filled at once is dropped.
    pub ioc: u8,
    /// Nothing.
    pub padding: [u8; 2],
}

/// Takes an order out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Cancel {
    /// Which.
    pub order_id: u64,
    /// Of the message.
    pub sequence_number: u64,
}

/// Takes an order out and puts it in anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Modify {
    /// Which.
    pub order_id: u64,
    /// Of the message.
    pub sequence_number: u64,
    /// Limit from now on.
    pub new_price_ticks: i64,
    /// Amount from now on.
    pub new_quantity: u32,
    /// The order's.
    pub side: u8,
    /// Nothing.
    pub padding: [u8; 3],
}

/// The body of a [`Tagged`] message.
#[derive(Clone, Copy)]
#[repr(C)]
pub union Body {
    /// With [`TYPE_NEW`].
    pub new: NewOrder,
    /// With [`TYPE_CANCEL`].
    pub cancel: Cancel,
    /// With [`TYPE_MODIFY`].
    pub modify: Modify,
}

/// A message of any type.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Tagged {
    /// Says which body it has.
    pub tag: u8,
    /// Nothing.
    pub padding: [u8; 7],
    /// The message.
    pub body: Body,
}

/// What the engine says about a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Report {
    /// What it says.
    pub report_type: ReportType,
    /// Of the order; 0 where no order is meant.
    pub side: u8,
    /// Nothing.
    pub padding: [u8; 6],
    /// Of the message.
    pub sequence_number: u64,
    /// Of the order; of the taker in a trade.
    pub order_id: u64,
    /// Of the order; of the maker in a trade.
    pub price_ticks: i64,
    /// Amount.
    pub quantity: u32,
    /// Nothing.
    pub padding_quantity: u32,
    /// In a trade: the resting order.
    pub maker_order_id: u64,
    /// In a trade: the incoming order.
    pub taker_order_id: u64,
    /// Nothing.
    pub padding_end: u64,
}

/// Where reports go: a bounded queue of the benchmark's.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Transport {
    /// Makes a queue with room for this many reports.
    pub create: unsafe extern "C" fn(capacity: u32) -> *mut c_void,
    /// Appends a report: 1, or 0 when the queue is full.
    pub push: unsafe extern "C" fn(queue: *mut c_void, report: *const Report) -> c_int,
    /// Takes at most `max` reports; how many.
    pub drain: unsafe extern "C" fn(queue: *mut c_void, out: *mut Report, max: u32) -> u32,
    /// Makes what was pushed visible to the reader.
    pub flush: unsafe extern "C" fn(queue: *mut c_void),
    /// Ends a queue.
    pub destroy: unsafe extern "C" fn(queue: *mut c_void),
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::{offset_of, size_of};

    #[test]
    fn structures_have_the_sizes_of_the_drawing() {
        let rows = include_str!("layout.rs").lines().filter_map(|line| {
            let mut cells = line.strip_prefix("//! | [`")?.split('|');
            let name = cells.next()?.trim().strip_suffix("`]")?.to_owned();
            Some((name, cells.next()?.trim().parse().ok()?))
        });
        let drawn: Vec<(String, usize)> = rows.collect();
        let real = [
            ("NewOrder", size_of::<NewOrder>()),
            ("Cancel", size_of::<Cancel>()),
            ("Modify", size_of::<Modify>()),
            ("Tagged", size_of::<Tagged>()),
            ("Report", size_of::<Report>()),
            ("Transport", size_of::<Transport>()),
        ];
        assert_eq!(drawn, real.map(|(name, size)| (name.to_owned(), size)));
        assert_eq!(offset_of!(NewOrder, side), 28);
        assert_eq!(offset_of!(Modify, side), 28);
        assert_eq!(offset_of!(Tagged, body), 8);
        assert_eq!(offset_of!(Report, maker_order_id), 40);
    }
}
