//! The report stream of the recorded input, hashed; and made streams against a plain book.

mod harness;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;

use harness::TRANSPORT;
use harness::streams::{Market, stream};
use sha2::{Digest, Sha256};
use viabtc_bench_abi::layout::{BUY, Report, ReportType, SELL, TYPE_CANCEL, TYPE_NEW, Tagged};
use viabtc_bench_abi::{
    engine_flush, engine_init, engine_on_batch, engine_on_cancel, engine_on_modify,
    engine_on_new_order, engine_query_best_ask, engine_query_best_bid, engine_query_depth_at,
    engine_shutdown,
};

/// Source: spec of the public benchmark, for its normal scenario with seed 23.
const RECORDED_SHA256: &str = "e9b2e3926854410b01a035aeb25dd05f1e597c233be8263de9eb49b6713d367e";

const QUEUE_REPORTS: u32 = 4_096;

/// The interface has no handle, so tests take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Runs `work` on a fresh engine; what it reported.
fn with_engine(work: impl FnOnce(&mut dyn FnMut())) -> Vec<Report> {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut reports = Vec::new();
    let mut room: Vec<Report> = Vec::with_capacity(QUEUE_REPORTS as usize);
    // SAFETY: the lock keeps others out; the queue outlives the engine; `drain` fills what it returns.
    unsafe {
        let queue = (TRANSPORT.create)(QUEUE_REPORTS);
        engine_init(7, &raw const TRANSPORT, queue);
        work(&mut || {
            engine_flush();
            let count = (TRANSPORT.drain)(queue, room.as_mut_ptr(), QUEUE_REPORTS);
            room.set_len(count as usize);
            reports.append(&mut room);
        });
        engine_shutdown();
        (TRANSPORT.destroy)(queue);
    }
    reports
}

fn one_at_a_time(messages: &[Tagged]) -> Vec<Report> {
    with_engine(|drain| {
        for message in messages {
            // SAFETY: the tag names the body.
            unsafe {
                match message.tag {
                    TYPE_NEW => engine_on_new_order(&raw const message.body.new),
                    TYPE_CANCEL => engine_on_cancel(&raw const message.body.cancel),
                    _ => engine_on_modify(&raw const message.body.modify),
                }
            }
            drain();
        }
    })
}

/// Source: spec of the benchmark's canonical output.
fn canonical(reports: &[Report]) -> String {
    let mut sorted: Vec<&Report> = reports.iter().collect();
    sorted.sort_by_key(|report| (report.sequence_number, report.report_type));
    let mut text = String::new();
    for report in sorted {
        let Report { report_type, side, sequence_number, order_id, price_ticks, quantity, .. } =
            *report;
        let (maker, taker) = (report.maker_order_id, report.taker_order_id);
        let code = report_type as u8;
        if !text.is_empty() {
            text.push('\n');
        }
        let written = match report_type {
            ReportType::OrderAck | ReportType::ModifyAck => {
                write!(text, "{code},{sequence_number},{side},{order_id},{price_ticks},{quantity}")
            }
            ReportType::Trade => {
                write!(text, "{code},{sequence_number},{price_ticks},{quantity},{maker},{taker}")
            }
            ReportType::CancelAck => {
                write!(text, "{code},{sequence_number},{side},{order_id},{price_ticks}")
            }
            ReportType::CancelReject | ReportType::ModifyReject => {
                write!(text, "{code},{sequence_number},{order_id}")
            }
        };
        written.expect("a string takes everything");
    }
    text
}

#[test]
fn the_recorded_stream_is_reported_to_the_byte() {
    let Some(messages) = harness::recorded() else {
        println!("skipped: the recorded stream is not there; set VIABTC_SHARED to its folder");
        return;
    };
    let text = canonical(&one_at_a_time(&messages));
    let hash = Sha256::digest(text.as_bytes());
    let mut hexadecimal = String::new();
    for byte in hash {
        write!(hexadecimal, "{byte:02x}").expect("a string takes everything");
    }
    assert_eq!(hexadecimal, RECORDED_SHA256);
}

#[test]
fn a_batch_reports_what_its_messages_report_one_at_a_time() {
    let (messages, _) = stream(Market::Swing(25), 30_000, 5);
    let batched = with_engine(|drain| {
        for batch in messages.chunks(97) {
            // SAFETY: the pointer is to as many messages as are named.
            unsafe { engine_on_batch(batch.as_ptr(), batch.len() as u32) };
            drain();
        }
    });
    assert!(batched == one_at_a_time(&messages));
}

/// Price levels in maps, orders in lists, searched from end to end: slow and plain.
#[derive(Default)]
struct PlainBook {
    /// By side: price to orders in order of arrival.
    levels: [BTreeMap<i64, Vec<(u64, u32)>>; 2],
    lines: Vec<(u64, String)>,
}

impl PlainBook {
    fn handle(&mut self, message: &Tagged) {
        // SAFETY: the tag names the body.
        unsafe {
            match message.tag {
                TYPE_NEW => {
                    let order = message.body.new;
                    let (id, sequence) = (order.order_id, order.sequence_number);
                    let (side, price, quantity) = (order.side, order.price_ticks, order.quantity);
                    self.say(sequence, format!("0,{sequence},{side},{id},{price},{quantity}"));
                    let left = self.cross(sequence, id, side, price, quantity);
                    if left > 0 && order.ioc != 0 {
                        self.say(sequence, format!("2,{sequence},{side},{id},{price}"));
                    } else if left > 0 {
                        self.rest(side, price, id, left);
                    }
                }
                TYPE_CANCEL => {
                    let cancel = message.body.cancel;
                    let (id, sequence) = (cancel.order_id, cancel.sequence_number);
                    match self.take_out(id) {
                        None => self.say(sequence, format!("4,{sequence},{id}")),
                        Some((side, price)) => {
                            self.say(sequence, format!("2,{sequence},{side},{id},{price}"));
                        }
                    }
                }
                _ => {
                    let modify = message.body.modify;
                    let (id, sequence) = (modify.order_id, modify.sequence_number);
                    let (price, quantity) = (modify.new_price_ticks, modify.new_quantity);
                    let Some((side, _)) = self.take_out(id) else {
                        return self.say(sequence, format!("5,{sequence},{id}"));
                    };
                    self.say(sequence, format!("3,{sequence},{side},{id},{price},{quantity}"));
                    let left = self.cross(sequence, id, side, price, quantity);
                    if left > 0 {
                        self.rest(side, price, id, left);
                    }
                }
            }
        }
    }

    fn say(&mut self, sequence: u64, line: String) {
        self.lines.push((sequence, line));
    }

    fn rest(&mut self, side: u8, price: i64, id: u64, quantity: u32) {
        self.levels[usize::from(side)].entry(price).or_default().push((id, quantity));
    }

    fn cross(&mut self, sequence: u64, taker: u64, side: u8, limit: i64, quantity: u32) -> u32 {
        let mut left = quantity;
        while left > 0 {
            let levels = &mut self.levels[usize::from(1 - side)];
            let best = if side == BUY { levels.first_entry() } else { levels.last_entry() };
            let Some(mut level) = best else { break };
            let price = *level.key();
            if if side == BUY { price > limit } else { price < limit } {
                break;
            }
            let maker = &mut level.get_mut()[0];
            let (id, fill) = (maker.0, left.min(maker.1));
            left -= fill;
            maker.1 -= fill;
            if maker.1 == 0 {
                level.get_mut().remove(0);
            }
            if level.get().is_empty() {
                level.remove();
            }
            self.say(sequence, format!("1,{sequence},{price},{fill},{id},{taker}"));
        }
        left
    }

    fn take_out(&mut self, id: u64) -> Option<(u8, i64)> {
        for side in [BUY, SELL] {
            let levels = &mut self.levels[usize::from(side)];
            let place = levels.iter().find_map(|(price, orders)| {
                Some((*price, orders.iter().position(|order| order.0 == id)?))
            });
            if let Some((price, index)) = place {
                let orders = levels.get_mut(&price).expect("it was found there");
                orders.remove(index);
                if orders.is_empty() {
                    levels.remove(&price);
                }
                return Some((side, price));
            }
        }
        None
    }

    fn text(mut self) -> String {
        self.lines.sort_by_key(|(sequence, line)| (*sequence, line.as_bytes()[0]));
        let lines: Vec<String> = self.lines.into_iter().map(|(_, line)| line).collect();
        lines.join("\n")
    }
}

#[test]
fn made_streams_are_reported_as_a_plain_book_reports_them() {
    let seed = std::env::var("VIABTC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(11);
    println!("VIABTC_SEED={seed}");
    for market in [Market::Still, Market::Swing(25), Market::Swing(40), Market::Crash] {
        let (messages, _) = stream(market, 12_000, seed);
        let mut plain = PlainBook::default();
        messages.iter().for_each(|message| plain.handle(message));
        let reports = one_at_a_time(&messages);
        let trades =
            reports.iter().filter(|report| report.report_type == ReportType::Trade).count();
        assert!(trades > 20, "{market:?} trades: {trades}");
        assert!(canonical(&reports) == plain.text(), "{market:?}");
    }
}

#[test]
fn questions_about_an_empty_side_and_a_price_are_answered() {
    with_engine(|drain| {
        let order = |order: u64, side: u8, price: i64| harness::Message {
            side,
            price,
            order,
            quantity: 5,
            sequence: order,
            ..harness::Message::default()
        };
        // SAFETY: the engine was started; messages live during the calls.
        unsafe {
            assert_eq!((engine_query_best_bid(), engine_query_best_ask()), (i64::MIN, i64::MAX));
            let orders = [order(1, BUY, -3), order(2, BUY, -3), order(3, SELL, 4)];
            let orders = orders.map(|order| order.tagged());
            engine_on_batch(orders.as_ptr(), 3);
            drain();
            assert_eq!((engine_query_best_bid(), engine_query_best_ask()), (-3, 4));
            assert_eq!(engine_query_depth_at(-3, BUY), 10);
            assert_eq!(engine_query_depth_at(-3, SELL), 0);
        }
    });
}
