//! `viabtc-load websocket`: many connections that listen; what reached them, how soon, at what cost.
//!
//! The latency of a deal counts from the time that stands in it, which the server's clock gave, so both
//! must run on one machine. It ends when the system has the deal in the connection's socket: one thread
//! here stands for thousands of readers, each with a machine of its own, and its turn of reading all of
//! them is not part of what a server does. Until then is said beside it.
//!
//! On one machine the kernel does much of the receivers' part within the server's writes: it wakes the reader, and sends
//! and takes acknowledgements. With `--aside` that waits until the server is done, as it does where receivers are
//! elsewhere.

mod crowd;
mod frames;
mod listener;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use self::crowd::{Found, Plan};
use self::frames::{TEXT, write_frame};
use self::listener::Script;
use crate::report::{PERCENTILES, write_line};

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Where the server listens.
    #[arg(long, value_name = "HOST:PORT")]
    address: SocketAddr,
    /// Connections.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,
    /// Connections that may be opening at once.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4_096))]
    opening: u32,
    /// A local address that connections come from, in turn when several are given; each has some 28,000
    /// ports.
    #[arg(long, value_name = "HOST")]
    source: Vec<IpAddr>,
    /// What each connection asks once it is open, such as 'deals.subscribe ["BTCUSDT"]'; may be
    /// given several times.
    #[arg(long, value_name = "METHOD PARAMS")]
    ask: Vec<String>,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds before them, once all are open.
    #[arg(long, default_value_t = 2.0)]
    warmup: f64,
    /// Process of the server: what it has in memory is looked at before the first connection and before
    /// the measured part.
    #[arg(long, value_name = "PID")]
    server: Option<u32>,
    /// Keep reading out of the server's way, which shares the machine: at the lowest priority, woken by no write, and
    /// with acknowledgements when it comes to read. Not for a server that leaves no processor idle.
    #[arg(long)]
    aside: bool,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Whether every connection opened, was answered and stayed.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, String> {
    let plan = Plan {
        address: arguments.address,
        connections: arguments.connections as usize,
        opening: arguments.opening as usize,
        sources: arguments.source.clone(),
        warmup: crate::duration("--warmup", arguments.warmup)?,
        seconds: crate::duration("--seconds", arguments.seconds)?,
        is_aside: arguments.aside,
        server: arguments.server,
    };
    let script = script(arguments)?;
    let failed = |error: std::io::Error| format!("{}: {error}", arguments.address);
    let found = crowd::run(&plan, &script).map_err(failed)?;
    if arguments.json {
        println!("{}", to_json(&found, &plan));
    } else {
        print!("{}", to_table(&found, &plan));
    }
    let is_whole = found.opened == plan.connections;
    Ok(is_whole && found.refused == 0 && found.closed.is_empty())
}

fn script(arguments: &Arguments) -> Result<Script, String> {
    let mut requests = Vec::new();
    for (place, ask) in arguments.ask.iter().enumerate() {
        let (method, params) = ask.split_once(' ').unwrap_or((ask, "[]"));
        let params: Value = serde_json::from_str(params)
            .map_err(|error| format!("--ask {ask}: the parameters are a JSON array: {error}"))?;
        let request = json!({"method": method, "params": params, "id": place + 1});
        write_frame(TEXT, request.to_string().as_bytes(), &mut requests);
    }
    let handshake = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bG9hZCBnZW5lcmF0b3IhIQ==\r\n\r\n",
        arguments.address
    );
    Ok(Script {
        handshake: handshake.into_bytes(),
        requests,
        requests_count: arguments.ask.len() as u32,
    })
}

/// Figures that are quotients.
struct Rates {
    connects_per_s: f64,
    messages_per_s: f64,
    bytes_per_s: f64,
    /// What a connection added to the server's memory.
    connection_bytes: Option<f64>,
}

impl Rates {
    fn of(found: &Found, measured: Duration) -> Rates {
        let per = |count: f64, duration: Duration| {
            if duration.is_zero() { 0.0 } else { count / duration.as_secs_f64() }
        };
        let connection_bytes = found
            .memory
            .filter(|_| found.opened > 0)
            .map(|(before, after)| (after as f64 - before as f64) / found.opened as f64);
        Rates {
            connects_per_s: per(found.opened as f64, found.opened_in),
            messages_per_s: per(found.messages as f64, measured),
            bytes_per_s: per(found.bytes as f64, measured),
            connection_bytes,
        }
    }
}

fn to_table(found: &Found, plan: &Plan) -> String {
    let measured = plan.seconds;
    let rates = Rates::of(found, measured);
    let mut text = String::new();
    let mut line = |name: &str, value: String| write_line(name, &value, &mut text);
    let opened_in = found.opened_in.as_secs_f64();
    line("opened", format!("{} in {opened_in:.2} s", found.opened));
    line("connects", format!("{:.0}/s", rates.connects_per_s));
    for (problem, count) in &found.failed {
        line("not opened", format!("{count}: {problem}"));
    }
    for (code, count) in &found.closed {
        line("closed", format!("{count} with {code}"));
    }
    if found.refused > 0 {
        line("refused", found.refused.to_string());
    }
    if let Some(bytes) = rates.connection_bytes {
        line("memory", format!("{bytes:.0} bytes of the server for each"));
    }
    line("measured", format!("{:.1} s", measured.as_secs_f64()));
    line("messages", format!("{:.0}/s", rates.messages_per_s));
    line("payloads", format!("{:.1} MB/s", rates.bytes_per_s / 1e6));
    if !found.latency.is_empty() {
        let (least, most) = found.deals;
        line("deals", format!("{least} to {most} for each connection"));
        for (name, percentile) in PERCENTILES {
            let milliseconds = found.latency.value_at_percentile(percentile) as f64 / 1e6;
            line(name, format!("{milliseconds:.3} ms"));
        }
        let read = found.reading.value_at_percentile(50.0) as f64 / 1e6;
        line("read (p50)", format!("{read:.3} ms"));
        if plan.is_aside {
            line("readers", "aside: lowest priority, not woken, late acknowledgements".to_owned());
        }
    }
    text
}

fn to_json(found: &Found, plan: &Plan) -> Value {
    let measured = plan.seconds;
    let rates = Rates::of(found, measured);
    let percentiles = |latencies: &Histogram<u64>| {
        let values = PERCENTILES.iter().map(|(name, percentile)| {
            let microseconds = latencies.value_at_percentile(*percentile) as f64 / 1e3;
            ((*name).to_owned(), json!(microseconds))
        });
        values.collect::<Map<_, _>>()
    };
    let closed = found.closed.iter().map(|(code, count)| (code.to_string(), json!(count)));
    json!({
        "opened": found.opened,
        "opened_in_s": found.opened_in.as_secs_f64(),
        "connects_per_s": rates.connects_per_s,
        "failed": found.failed,
        "closed": closed.collect::<Map<_, _>>(),
        "refused": found.refused,
        "connection_bytes": rates.connection_bytes,
        "aside": plan.is_aside,
        "seconds": measured.as_secs_f64(),
        "messages_per_s": rates.messages_per_s,
        "bytes_per_s": rates.bytes_per_s,
        "deals_least": found.deals.0,
        "deals_most": found.deals.1,
        "latencies": found.latency.len(),
        "latency_us": percentiles(&found.latency),
        "read_us": percentiles(&found.reading),
    })
}
