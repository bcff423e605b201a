//! The benchmark's semantics over the engine's book, free of C.

use viabtc_engine::Side;
use viabtc_engine::book::Book;

use crate::layout::{BUY, Cancel, Modify, NewOrder, Report, ReportType, SELL};

/// Keeps a slot of the book within one cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(32))]
pub struct Aligned;

/// Where reports go.
pub trait Outlet {
    /// Takes the next report.
    fn push(&mut self, report: &Report);
}

/// One order book, and where its reports go.
pub struct Matcher<O> {
    book: Book<i64, u64, Aligned>,
    outlet: O,
}

impl<O: Outlet> Matcher<O> {
    /// An empty book.
    pub fn new(outlet: O) -> Matcher<O> {
        Matcher { book: Book::new(), outlet }
    }

    /// Where the reports go.
    pub fn outlet(&mut self) -> &mut O {
        &mut self.outlet
    }

    /// One acknowledgement, a trade per fill; the rest stays or, of an immediate order, is dropped.
    pub fn new_order(&mut self, order: &NewOrder) {
        let &NewOrder { order_id, sequence_number, price_ticks, quantity, side, ioc, .. } = order;
        let mut report = blank(ReportType::OrderAck, sequence_number, order_id);
        (report.side, report.price_ticks, report.quantity) = (side, price_ticks, quantity);
        self.outlet.push(&report);
        let rest = self.take(sequence_number, order_id, side_of(side), price_ticks, quantity);
        if rest == 0 {
            return;
        }
        if ioc == 0 {
            self.book.insert(order_id, side_of(side), price_ticks, u64::from(rest), Aligned);
        } else {
            report.report_type = ReportType::CancelAck;
            report.quantity = rest;
            self.outlet.push(&report);
        }
    }

    /// Takes a resting order out.
    pub fn cancel(&mut self, cancel: &Cancel) {
        let &Cancel { order_id, sequence_number } = cancel;
        let Some(handle) = self.book.find(order_id) else {
            return self.outlet.push(&blank(ReportType::CancelReject, sequence_number, order_id));
        };
        let order = self.book.remove(handle);
        let mut report = blank(ReportType::CancelAck, sequence_number, order_id);
        report.side = code_of(order.side);
        report.price_ticks = order.price;
        report.quantity = quantity_of(order.remaining);
        self.outlet.push(&report);
    }

    /// Takes a resting order out and puts it in anew: it loses its place, and trades when it crosses.
    pub fn modify(&mut self, modify: &Modify) {
        let &Modify { order_id, sequence_number, new_price_ticks, new_quantity, .. } = modify;
        let Some(handle) = self.book.find(order_id) else {
            return self.outlet.push(&blank(ReportType::ModifyReject, sequence_number, order_id));
        };
        let side = self.book.remove(handle).side;
        let mut report = blank(ReportType::ModifyAck, sequence_number, order_id);
        report.side = code_of(side);
        (report.price_ticks, report.quantity) = (new_price_ticks, new_quantity);
        self.outlet.push(&report);
        let rest = self.take(sequence_number, order_id, side, new_price_ticks, new_quantity);
        if rest > 0 {
            self.book.insert(order_id, side, new_price_ticks, u64::from(rest), Aligned);
        }
    }

    /// Best price of a side.
    pub fn best(&self, side: Side) -> Option<i64> {
        self.book.best_price(side)
    }

    /// What rests at a price.
    pub fn depth_at(&self, price: i64, side: u8) -> u64 {
        self.book.total_at(side_of(side), price)
    }

    /// Trades an incoming order against the other side; what is left of it.
    #[inline]
    fn take(&mut self, sequence: u64, taker: u64, side: Side, limit: i64, quantity: u32) -> u32 {
        let other = side.opposite();
        let mut left = quantity;
        while left > 0
            && let Some(price) = self.book.best_price(other)
            && match side {
                Side::Bid => price <= limit,
                Side::Ask => price >= limit,
            }
        {
            let handle = self.book.best(other).expect("a side with a price has an order");
            let maker = self.book.get(handle);
            let (maker_id, remaining) = (maker.id, maker.remaining);
            let fill = remaining.min(u64::from(left));
            if fill == remaining {
                self.book.remove(handle);
            } else {
                self.book.reduce(handle, fill);
            }
            left -= quantity_of(fill);
            let mut report = blank(ReportType::Trade, sequence, taker);
            (report.price_ticks, report.quantity) = (price, quantity_of(fill));
            (report.maker_order_id, report.taker_order_id) = (maker_id, taker);
            self.outlet.push(&report);
        }
        left
    }
}

fn quantity_of(amount: u64) -> u32 {
    u32::try_from(amount).expect("an order's quantity has 32 bits")
}

fn side_of(code: u8) -> Side {
    if code == BUY { Side::Bid } else { Side::Ask }
}

fn code_of(side: Side) -> u8 {
    match side {
        Side::Bid => BUY,
        Side::Ask => SELL,
    }
}

#[inline]
fn blank(report_type: ReportType, sequence_number: u64, order_id: u64) -> Report {
    Report {
        report_type,
        side: 0,
        padding: [0; 6],
        sequence_number,
        order_id,
        price_ticks: 0,
        quantity: 0,
        padding_quantity: 0,
        maker_order_id: 0,
        taker_order_id: 0,
        padding_end: 0,
    }
}
