//! Commands per second of the state machine alone: structures in, events out, one thread.
//!
//! `cargo bench -p viabtc-engine --bench core -- [resting] [commands] [seed] [runs]`

mod flow;

use viabtc_engine::{Events, Exchange, WARM_GROUP};
use viabtc_pages::LargePages;

/// As in the package.
#[global_allocator]
static ALLOCATOR: LargePages = LargePages;

fn main() {
    let arguments: Vec<u64> =
        std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let number = |index: usize, default: u64| arguments.get(index).copied().unwrap_or(default);
    let (resting, count) = (number(0, 1_300_000), number(1, 1_000_000));
    let (seed, runs) = (number(2, 23), number(3, 3));
    let flow = flow::flow(resting as usize, count as usize, seed);
    let mut rates = Vec::new();
    let (mut deals, mut left) = (0, 0);
    for _ in 0..runs {
        let mut exchange = Exchange::new(flow.config.clone());
        let mut events = Events::new();
        let mut apply = |exchange: &mut Exchange, command| {
            events.clear();
            let stamp = flow::stamp(exchange.sequence() + 1);
            exchange.apply(stamp, command, &mut events).expect("the flow is accepted");
            flow::deals(&events)
        };
        for command in &flow.preparation {
            apply(&mut exchange, command);
        }
        let started = flow::cpu_nanoseconds();
        deals = 0;
        for group in flow.commands.chunks(WARM_GROUP) {
            exchange.warm(group.iter());
            deals += group.iter().map(|command| apply(&mut exchange, command)).sum::<usize>();
        }
        rates.push(count * 1_000_000_000 / (flow::cpu_nanoseconds() - started));
        left = flow::resting(&exchange);
    }
    let best = rates.iter().max().expect("at least one run");
    let slowest = rates.iter().min().expect("at least one run");
    println!(
        "bench=core seed={seed} commands={count} deals={deals} resting={left} \
         per_second_best={best} per_second_slowest={slowest}"
    );
}
