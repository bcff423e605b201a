//! The program against a hub: what it counts is what was told.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use viabtc_gateway::hub::{Calls, CallsOptions, Items, Publication};
use viabtc_gateway::{Hub, HubOptions};

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(60);

const CONNECTIONS: u64 = 20;

fn open() -> Hub {
    let local = ["tcp@127.0.0.1:0".parse().unwrap()];
    let dialect = || Box::new(Calls::new(CallsOptions::default())) as _;
    Hub::start(&[], dialect, &local, HubOptions::default(), || {}).unwrap()
}

/// One deal of this moment.
fn deal(number: u64) -> Publication {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    let text =
        format!("{{\"id\": {number}, \"time\": {}.{:06}}}", now / 1_000_000, now % 1_000_000);
    let head = br#"{"method": "deals.update", "params": ["X", ["#[..].into();
    let tail = br#"]], "id": null}"#[..].into();
    let members = vec![(number, text.as_bytes().into())];
    Publication::Items(Arc::new(Items { head, tail, members, is_whole: true }))
}

fn program(hub: &Hub, options: &[&str]) -> Command {
    let address = hub.addresses()[0].to_string();
    let mut program = Command::new(env!("CARGO_BIN_EXE_viabtc-load"));
    let connections = CONNECTIONS.to_string();
    program.args(["websocket", "--address", address.trim_start_matches("tcp@")]);
    program.args(["--connections", &connections, "--json", "--warmup", "0"]).args(options);
    program.stdout(Stdio::piped());
    program
}

#[test]
fn every_deal_is_counted_for_every_connection_and_timed() {
    let hub = open();
    let process = std::process::id().to_string();
    let ask = r#"deals.subscribe ["X"]"#;
    let options = ["--ask", ask, "--ask", "server.ping", "--seconds", "1", "--server", &process];
    let mut child = program(&hub, &options).spawn().unwrap();
    let began = Instant::now();
    let mut told = 0;
    while child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < DEADLINE, "the program does not end");
        if hub.metrics().subscriptions.load(Relaxed) == CONNECTIONS {
            told += 1;
            hub.publish(vec![("deals X".into(), deal(told))]);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{found}");
    assert_eq!((&found["opened"], &found["refused"]), (&CONNECTIONS.into(), &0.into()));
    let count = |name: &str| found[name].as_u64().unwrap();
    let (least, most) = (count("deals_least"), count("deals_most"));
    assert!(least > 0 && least == most && most <= told, "{told} were told: {found}");
    assert_eq!(count("latencies"), CONNECTIONS * least);
    let slowest = found["latency_us"]["max"].as_f64().unwrap();
    assert!(slowest > 0.0 && slowest < DEADLINE.as_micros() as f64, "{found}");
    assert!(found["connection_bytes"].is_number());
}

#[test]
fn what_is_refused_or_closed_is_a_failure() {
    let hub = open();
    let output = program(&hub, &["--ask", "nope", "--seconds", "0"]).output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!output.status.success());
    assert_eq!(found["refused"], CONNECTIONS);
    let options = ["--ask", r#"deals.subscribe ["X"]"#, "--seconds", "30"];
    let mut child = program(&hub, &options).spawn().unwrap();
    let began = Instant::now();
    // Not connections: the hub may still count those of the program before.
    while hub.metrics().subscriptions.load(Relaxed) < CONNECTIONS {
        assert!(began.elapsed() < DEADLINE, "the program does not subscribe");
        std::thread::yield_now();
    }
    hub.stop(Duration::from_secs(5));
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < DEADLINE, "a program whose connections are closed ends");
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["closed"]["1001"], CONNECTIONS, "{found}");
}
