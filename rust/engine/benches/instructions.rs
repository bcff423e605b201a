//! Instructions per command, counted by valgrind: a guard that a busy machine cannot disturb.
//!
//! `cargo bench -p viabtc-engine --bench instructions` fails when a command takes more than
//! [`INSTRUCTIONS_MAX`]. The program runs itself under callgrind over one stream of commands twice, the second
//! time twice as far, so that the difference is what the commands took and nothing else.

#[allow(dead_code, reason = "each program uses its part")]
mod flow;

use std::process::{Command, ExitCode, Stdio};

use viabtc_engine::{Events, Exchange};

/// Bound on the instructions of a command of the stream, about a twentieth above what was measured. Raise it
/// only with the reason in the commit; lower it when something became faster.
const INSTRUCTIONS_MAX: u64 = 2_470;

const RESTING: usize = 20_000;
const COMMANDS: usize = 20_000;
const SEED: u64 = 23;

fn main() -> ExitCode {
    let count = std::env::args().find_map(|argument| argument.parse::<usize>().ok());
    if let Some(count) = count {
        apply(count);
        return ExitCode::SUCCESS;
    }
    let (Some(once), Some(twice)) = (counted(COMMANDS), counted(2 * COMMANDS)) else {
        println!("bench=instructions skipped: install valgrind (Debian package valgrind)");
        return ExitCode::SUCCESS;
    };
    let per_command = (twice - once) / COMMANDS as u64;
    println!(
        "bench=instructions seed={SEED} per_command={per_command} per_command_max={INSTRUCTIONS_MAX}"
    );
    if per_command > INSTRUCTIONS_MAX {
        eprintln!("a command takes more instructions than it may: find out why");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Applies the preparation and the first `count` commands of the stream.
fn apply(count: usize) {
    let flow = flow::flow(RESTING, 2 * COMMANDS, SEED);
    let mut exchange = Exchange::new(flow.config);
    let mut events = Events::new();
    let mut deals = 0;
    for command in flow.preparation.iter().chain(&flow.commands[..count]) {
        events.clear();
        let stamp = flow::stamp(exchange.sequence() + 1);
        exchange.apply(stamp, command, &mut events).expect("the flow is accepted");
        deals += flow::deals(&events);
    }
    println!("deals={deals} resting={}", flow::resting(&exchange));
}

/// Instructions of [`apply`] under callgrind; `None` without valgrind.
fn counted(count: usize) -> Option<u64> {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .arg(count.to_string())
        .stdout(Stdio::null())
        .output()
        .ok()?;
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report.lines().find_map(|line| line.split("Collected :").nth(1));
    let number = collected.and_then(|text| text.trim().parse().ok());
    Some(number.unwrap_or_else(|| panic!("callgrind says how many it collected: {report}")))
}
