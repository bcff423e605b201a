//! Load for any server that speaks the exchange's protocols: binary RPC, JSON-RPC over HTTP, websocket.
//!
//! With `--rate` the load is an open loop: each request has an intended send time, and its latency counts from
//! there, so that a stall is charged to everybody who waited. Without it each connection keeps `--window`
//! requests in flight: that finds the largest rate, and its latencies say nothing about a lower one.
#![forbid(unsafe_code)]

mod codec;
mod connection;
mod driver;
mod report;
mod websocket;
mod workload;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;

use crate::codec::Protocol;
use crate::driver::{Driver, Plan};
use crate::workload::{Funding, Market, Mode, Workload};

/// Requests in flight per connection while users are funded.
const FUNDING_WINDOW: usize = 64;

/// Puts load on an exchange and says how it answered.
#[derive(Parser, Debug)]
#[command(
    name = "viabtc-load",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Arguments {
    #[command(subcommand)]
    other: Option<Other>,
    /// Where the server listens.
    #[arg(long, value_name = "HOST:PORT", required = true)]
    address: Option<SocketAddr>,
    /// What the server speaks there.
    #[arg(long, value_enum, default_value_t = Protocol::Rpc)]
    protocol: Protocol,
    /// What is asked.
    #[arg(long, value_enum, default_value_t = Mode::Resting)]
    mode: Mode,
    /// Users that trade; each is funded first.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    users: u32,
    /// Id of the first of them.
    #[arg(long, default_value_t = 1)]
    first_user: u32,
    /// Connections, opened before the first request.
    #[arg(long, default_value_t = 8, value_parser = 1..=10_000)]
    connections: i64,
    /// Requests in flight per connection: the most in an open loop, always as many in a closed one.
    #[arg(long, value_parser = 1..=65_536)]
    window: Option<i64>,
    /// Requests a second over all connections, as an open loop; without it a closed loop at full speed.
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds of the same load before them.
    #[arg(long, default_value_t = 2.0)]
    warmup: f64,
    /// Where orders are put.
    #[arg(long, default_value = "BTCUSDT")]
    market: String,
    /// The market's assets: what is traded, what it is priced in.
    #[arg(long, default_value = "BTC,USDT", value_name = "BASE,QUOTE")]
    assets: String,
    /// Middle of the prices.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    price: u32,
    /// The users have their funds already.
    #[arg(long)]
    funded: bool,
    /// Of the random numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Load that is not made of requests.
#[derive(clap::Subcommand, Debug)]
enum Other {
    /// Opens websocket connections that listen, and says what reached them and how soon.
    Websocket(websocket::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.other {
        Some(Other::Websocket(arguments)) => websocket::run(arguments),
        None => run(&arguments),
    };
    match done {
        Ok(is_complete) => ExitCode::from(u8::from(!is_complete)),
        Err(problem) => {
            eprintln!("viabtc-load: {problem}");
            ExitCode::from(2)
        }
    }
}

/// Whether every request was answered.
fn run(arguments: &Arguments) -> Result<bool, String> {
    let address = arguments.address.ok_or("--address says where the server listens")?;
    let Some((base, quote)) = arguments.assets.split_once(',') else {
        return Err("--assets are two names with a comma between, such as BTC,USDT".to_owned());
    };
    let seconds = duration("--seconds", arguments.seconds)?;
    let warmup = duration("--warmup", arguments.warmup)?;
    if arguments.rate.is_some_and(|rate| !(rate > 0.0 && rate <= 10_000_000.0)) {
        return Err("--rate is a number above 0 and up to 10000000".to_owned());
    }
    let last_user = arguments.first_user.checked_add(arguments.users - 1);
    if arguments.first_user == 0 || last_user.is_none() {
        return Err("user ids stand between 1 and 4294967295".to_owned());
    }
    let market = Market {
        name: arguments.market.clone(),
        base: base.to_owned(),
        quote: quote.to_owned(),
        price: arguments.price,
    };
    let users = arguments.first_user..=arguments.first_user + (arguments.users - 1);
    let connections = usize::try_from(arguments.connections).unwrap_or(1);
    // The clock makes the keys of balance updates differ from those of every earlier run.
    let key = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
    let failed = |error: std::io::Error| format!("{address}: {error}");
    let mut driver = Driver::connect(address, arguments.protocol, connections).map_err(failed)?;
    let mut key = key * 1_000;
    if arguments.mode.needs_funds() && !arguments.funded {
        let mut funding = Funding::new(&market, users.clone(), &mut key);
        let funded = driver.fund(&mut funding, FUNDING_WINDOW).map_err(failed)?;
        if let Some(refusal) = funded {
            return Err(format!(
                "a deposit was refused with code {refusal}: are the assets right?"
            ));
        }
    }
    let mut workload = Workload::new(arguments.mode, market, users, key, arguments.seed);
    let window = arguments.window.map(|window| usize::try_from(window).unwrap_or(1));
    let plan = Plan { rate: arguments.rate, window, warmup, seconds };
    let outcome = driver.run(&mut workload, &plan).map_err(failed)?;
    let run = report::Run {
        protocol: arguments.protocol,
        mode: arguments.mode,
        address,
        connections,
        plan,
        outcome,
    };
    if arguments.json {
        println!("{}", run.to_json());
    } else {
        print!("{}", run.to_table());
    }
    Ok(run.outcome.unanswered == 0)
}

fn duration(option: &str, seconds: f64) -> Result<Duration, String> {
    let duration = Duration::try_from_secs_f64(seconds);
    match duration {
        Ok(duration) if seconds <= 86_400.0 => Ok(duration),
        _ => Err(format!("{option} is a number of seconds up to 86400")),
    }
}
