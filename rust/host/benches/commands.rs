//! What surrounds the state machine, in process, one thread: JSON in, reply and feed entry out; replay of
//! journal records; a snapshot written, and restored with its audit.
//!
//! `cargo bench -p viabtc-host --bench commands -- [resting] [commands] [seed] [runs]`

#[path = "../../engine/benches/flow/mod.rs"]
#[allow(dead_code, reason = "each program uses its part")]
mod flow;

use std::fmt::Write;
use std::hint::black_box;

use flow::{Flow, cpu_nanoseconds};
use viabtc_engine::{Command, Config, Events, Exchange, Side, WARM_GROUP, decimal};
use viabtc_host::codec::{Origin, command_number, write_command, write_feed_entry};
use viabtc_host::record::KIND_COMMAND;
use viabtc_host::recovery::{Replay, write_state};
use viabtc_journal::Record;
use viabtc_pages::LargePages;
use viabtc_wire::reply::write_outcome;
use viabtc_wire::request::{Names, Request, decode};

/// As in the package.
#[global_allocator]
static ALLOCATOR: LargePages = LargePages;

fn main() {
    let arguments: Vec<u64> =
        std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let number = |index: usize, default: u64| arguments.get(index).copied().unwrap_or(default);
    let (resting, count) = (number(0, 1_000_000), number(1, 500_000));
    let (seed, runs) = (number(2, 23), number(3, 3));
    let flow = flow::flow(resting as usize, count as usize, seed);
    let prepared = prepare(&flow);
    let mut snapshot = Vec::new();
    report("snapshot_write_milliseconds", seed, runs, || {
        snapshot.clear();
        let started = cpu_nanoseconds();
        write_state(&prepared, prepared.config(), &mut |piece| snapshot.extend_from_slice(piece));
        (cpu_nanoseconds() - started) / 1_000_000
    });
    drop(prepared);
    report("restore_milliseconds", seed, runs, || {
        let started = cpu_nanoseconds();
        black_box(Replay::from_snapshot(&mut &snapshot[..]).expect("a sound snapshot"));
        (cpu_nanoseconds() - started) / 1_000_000
    });
    report("audit_milliseconds", seed, runs, || {
        let exchange = restored(&snapshot);
        let started = cpu_nanoseconds();
        exchange.audit().expect("a sound state");
        (cpu_nanoseconds() - started) / 1_000_000
    });
    report("replay_per_second", seed, runs, || replay(&flow, &snapshot));
    report("text_per_second", seed, runs, || text(&flow, restored(&snapshot)));
}

/// Prints the least and the largest of `runs` readings.
fn report(name: &str, seed: u64, runs: u64, mut reading: impl FnMut() -> u64) {
    let readings: Vec<u64> = (0..runs).map(|_| reading()).collect();
    let (least, largest) = (readings.iter().min(), readings.iter().max());
    let (least, largest) = (least.expect("a run"), largest.expect("a run"));
    println!("bench={name} seed={seed} least={least} largest={largest}");
}

fn prepare(flow: &Flow) -> Exchange {
    let mut exchange = Exchange::new(flow.config.clone());
    let mut events = Events::new();
    for command in &flow.preparation {
        events.clear();
        let stamp = flow::stamp(exchange.sequence() + 1);
        exchange.apply(stamp, command, &mut events).expect("the flow is accepted");
    }
    exchange
}

fn restored(snapshot: &[u8]) -> Exchange {
    let replay = Replay::from_snapshot(&mut &snapshot[..]).expect("a sound snapshot");
    replay.finish().expect("sound").expect("there is a state").exchange
}

/// Commands per second from records of the journal.
fn replay(flow: &Flow, snapshot: &[u8]) -> u64 {
    let mut replay = Replay::from_snapshot(&mut &snapshot[..]).expect("a sound snapshot");
    let first = flow.preparation.len() as u64 + 1;
    let mut payloads = Vec::new();
    for command in &flow.commands {
        let mut payload = Vec::new();
        write_command(command, params(command, &flow.config).as_bytes(), &mut payload);
        payloads.push(payload);
    }
    let started = cpu_nanoseconds();
    for (sequence, payload) in (first..).zip(&payloads) {
        let time = flow::stamp(sequence).time.0;
        let record =
            Record { kind: KIND_COMMAND, epoch: 1, ordinal: sequence, sequence, time, payload };
        replay.apply(&record, |replayed| _ = black_box(replayed.events)).expect("it continues");
    }
    replay.settle(|replayed| _ = black_box(replayed.events)).expect("it continues");
    flow.commands.len() as u64 * 1_000_000_000 / (cpu_nanoseconds() - started)
}

/// Requests per second from JSON to reply and feed entry.
fn text(flow: &Flow, mut exchange: Exchange) -> u64 {
    let names = Names::new(&flow.config);
    let requests: Vec<(u32, String)> = flow
        .commands
        .iter()
        .map(|command| (command_number(command), params(command, &flow.config)))
        .collect();
    let (mut events, mut reply, mut feed) = (Events::new(), Vec::new(), Vec::new());
    let started = cpu_nanoseconds();
    let mut commands = Vec::new();
    for group in requests.chunks(WARM_GROUP) {
        // As in the host: a batch was decoded before the engine sees it.
        commands.clear();
        commands.extend(group.iter().map(|(number, params)| {
            match decode(*number, params.as_bytes(), &names) {
                Ok(Request::Write(command)) => command,
                other => panic!("{number} {params} is a write, not {other:?}"),
            }
        }));
        exchange.warm(commands.iter());
        for ((number, params), command) in group.iter().zip(&commands) {
            let sequence = exchange.sequence() + 1;
            events.clear();
            let outcome = exchange.apply(flow::stamp(sequence), command, &mut events);
            let outcome = outcome.map(|()| &events[..]);
            reply.clear();
            write_outcome(*number, outcome, names.config(), sequence as i64, &mut reply);
            feed.clear();
            let origin = Origin { command: *number, operlog_id: sequence, config: 1 };
            write_feed_entry(origin, params.as_bytes(), &events, &mut feed);
            black_box((&reply, &feed));
        }
    }
    flow.commands.len() as u64 * 1_000_000_000 / (cpu_nanoseconds() - started)
}

/// The parameters of a command as a client sends them.
fn params(command: &Command, config: &Config) -> String {
    let number = |coefficient: i128, scale: u8| {
        let mut text = Vec::new();
        decimal::write_stripped(coefficient, scale, &mut text);
        String::from_utf8(text).expect("digits")
    };
    let side = |side: Side| if side == Side::Ask { 1 } else { 2 };
    let mut text = String::new();
    let written = match command {
        Command::UpdateBalance(update) => {
            let asset = &config.assets[usize::from(update.asset.0)];
            let (user, name) = (update.user.0, &asset.name);
            let (reason, reason_id) = (&update.reason, update.reason_id);
            let change = number(update.change, asset.show_scale);
            write!(text, r#"[{user}, "{name}", "{reason}", {reason_id}, "{change}", {{}}]"#)
        }
        Command::PlaceLimit(place) => {
            let market = &config.markets[usize::from(place.market.0)];
            let rate = |rate: u64| number(i128::from(rate), market.fee_scale);
            let (taker, maker) = (rate(place.taker_fee_rate), rate(place.maker_fee_rate));
            let amount = number(place.amount, market.base_scale);
            let price = number(place.price, market.quote_scale);
            let (user, name, side) = (place.user.0, &market.name, side(place.side));
            let source = place.source.as_str().unwrap_or_default();
            write!(
                text,
                r#"[{user}, "{name}", {side}, "{amount}", "{price}", "{taker}", "{maker}", "{source}"]"#
            )
        }
        Command::PlaceMarket(place) => {
            let market = &config.markets[usize::from(place.market.0)];
            let taker = number(i128::from(place.taker_fee_rate), market.fee_scale);
            let amount = number(place.amount, market.base_scale);
            let (user, name, side) = (place.user.0, &market.name, side(place.side));
            let source = place.source.as_str().unwrap_or_default();
            write!(text, r#"[{user}, "{name}", {side}, "{amount}", "{taker}", "{source}"]"#)
        }
        Command::CancelOrder(cancel) => {
            let name = &config.markets[usize::from(cancel.market.0)].name;
            write!(text, r#"[{}, "{name}", {}]"#, cancel.user.0, cancel.order.0)
        }
        Command::Change(change) => panic!("the flow only trades: {change:?}"),
        Command::PlaceOnce(place) => panic!("its orders have no names: {place:?}"),
    };
    written.expect("a string takes everything");
    text
}
