//! Messages per second through the C interface, reports included, in five markets.
//!
//! `cargo bench -p viabtc-bench-abi -- [seed] [runs] [name]` prints a line per scenario: the best of
//! `runs` passes over the same stream, and the slowest. Time is that of the thread on its processor: it
//! never waits, so on a quiet machine this is the time that passes, and on a busy one others' turns do not
//! count.

#[path = "../tests/harness/mod.rs"]
mod harness;

use std::hint::black_box;

use harness::TRANSPORT;
use harness::streams::{Market, stream};
use viabtc_bench_abi::layout::{Cancel, Modify, NewOrder, Report, TYPE_CANCEL, TYPE_NEW, Tagged};
use viabtc_bench_abi::{
    engine_flush, engine_init, engine_on_cancel, engine_on_modify, engine_on_new_order,
    engine_shutdown,
};

/// Messages of a made stream: as many as the recorded one has.
const MESSAGES: usize = 2_000_000;

/// Messages between two drains of the queue.
const DRAIN_INTERVAL: usize = 256;

/// Room of the queue, in reports: a message can trade with many orders.
const QUEUE_REPORTS: u32 = 1 << 16;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let number = |index: usize, default: u64| {
        arguments.get(index).map_or(default, |text| text.parse().expect("a number"))
    };
    let (seed, runs) = (number(0, 23), number(1, 5));
    let scenarios = [
        ("still", Market::Still),
        ("swing25", Market::Swing(25)),
        ("swing40", Market::Swing(40)),
        ("crash", Market::Crash),
    ];
    let mut streams = Vec::new();
    match harness::recorded() {
        Some(messages) => streams.push(("normal", messages, 0)),
        None => println!("scenario=normal skipped: the recorded stream is not there"),
    }
    for (name, market) in scenarios {
        let (messages, before) = stream(market, MESSAGES, seed);
        streams.push((name, messages, before));
    }
    let mut worst = f64::INFINITY;
    for (name, messages, before) in &streams {
        if arguments.get(2).is_some_and(|only| only != name) {
            continue;
        }
        let rates: Vec<f64> = (0..runs).map(|_| pass(messages, *before)).collect();
        let best = rates.iter().copied().fold(0.0, f64::max);
        let slowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
        let count = messages.len() - before;
        println!(
            "scenario={name} seed={seed} messages={count} million_per_second_best={best:.2} \
             million_per_second_slowest={slowest:.2}"
        );
        worst = worst.min(best);
    }
    println!("scenario=worst million_per_second_best={worst:.2}");
}

/// Millions of messages per second over the messages behind the first `before`.
fn pass(messages: &[Tagged], before: usize) -> f64 {
    // The functions are called through pointers that the compiler cannot see through, as the benchmark does.
    let on_new: unsafe extern "C" fn(*const NewOrder) = black_box(engine_on_new_order);
    let on_cancel: unsafe extern "C" fn(*const Cancel) = black_box(engine_on_cancel);
    let on_modify: unsafe extern "C" fn(*const Modify) = black_box(engine_on_modify);
    let transport = black_box(TRANSPORT);
    let mut out: Vec<Report> = Vec::with_capacity(QUEUE_REPORTS as usize);
    // SAFETY: one thread; the queue lives until after the shutdown; tags name the bodies.
    unsafe {
        let queue = (transport.create)(QUEUE_REPORTS);
        engine_init(0, &raw const transport, queue);
        let mut send = |messages: &[Tagged]| {
            for batch in messages.chunks(DRAIN_INTERVAL) {
                for message in batch {
                    match message.tag {
                        TYPE_NEW => on_new(&raw const message.body.new),
                        TYPE_CANCEL => on_cancel(&raw const message.body.cancel),
                        _ => on_modify(&raw const message.body.modify),
                    }
                }
                let count = (transport.drain)(queue, out.as_mut_ptr(), QUEUE_REPORTS);
                black_box(count);
            }
        };
        send(&messages[..before]);
        let started = cpu_seconds();
        send(&messages[before..]);
        engine_flush();
        let seconds = cpu_seconds() - started;
        engine_shutdown();
        (transport.destroy)(queue);
        (messages.len() - before) as f64 / seconds / 1e6
    }
}

/// Time that this thread ran.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable during the call.
    let outcome = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(outcome, 0, "the clock exists on Linux");
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
