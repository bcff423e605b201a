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

fn open(options: HubOptions) -> Hub {
    let local = ["tcp@127.0.0.1:0".parse().unwrap()];
    let dialect = || Box::new(Calls::new(CallsOptions::default())) as _;
    Hub::start(&[], dialect, &local, options, || {}).unwrap()
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

fn program(hub: &Hub, connections: u64, options: &[&str]) -> Command {
    let address = hub.addresses()[0].to_string();
    let mut program = Command::new(env!("CARGO_BIN_EXE_viabtc-load"));
    program.args(["websocket", "--address", address.trim_start_matches("tcp@")]);
    program.args(["--connections", &connections.to_string(), "--json", "--warmup", "0"]);
    program.args(options);
    program.stdout(Stdio::piped());
    program
}

#[test]
fn every_deal_is_counted_for_every_connection_and_timed() {
    count_and_time(&[]);
}

#[test]
fn so_it_is_when_reading_keeps_out_of_the_way() {
    assert_eq!(count_and_time(&["--aside"])["aside"], true);
}

/// What the program found, run with `more` options.
fn count_and_time(more: &[&str]) -> Value {
    let hub = open(HubOptions::default());
    let process = std::process::id().to_string();
    let ask = r#"deals.subscribe ["X"]"#;
    let options = ["--ask", ask, "--ask", "server.ping", "--seconds", "1", "--server", &process];
    let options = [&options[..], more].concat();
    let mut child = program(&hub, CONNECTIONS, &options).spawn().unwrap();
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
    found
}

#[test]
fn what_is_refused_or_closed_is_a_failure() {
    let hub = open(HubOptions::default());
    let output = program(&hub, CONNECTIONS, &["--ask", "nope", "--seconds", "0"]).output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!output.status.success());
    assert_eq!(found["refused"], CONNECTIONS);
    let options = ["--ask", r#"deals.subscribe ["X"]"#, "--seconds", "30"];
    let mut child = program(&hub, CONNECTIONS, &options).spawn().unwrap();
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

/// The clients are another process: with both ends in one, its 20,000 files would not do.
#[test]
fn ten_thousand_come_back_at_once_and_are_told_again() {
    const ALL: u64 = 10_000;
    const AGAIN: f64 = 10.0;
    let hub = open(HubOptions { connections_max: ALL as usize, ..HubOptions::default() });
    let figure = |name: &str| {
        let figures = hub.metrics().snapshot();
        figures.iter().find(|(other, _)| *other == name).map(|(_, value)| *value).unwrap()
    };
    let ask = r#"deals.subscribe ["X"]"#;
    let mut options = vec!["--ask", ask, "--opening", "4096"];
    let sources: Vec<String> = (2..10).map(|last| format!("127.0.0.{last}")).collect();
    options.extend(sources.iter().flat_map(|source| ["--source", source]));
    let first = program(&hub, ALL, &[&options[..], &["--seconds", "0"]].concat()).output().unwrap();
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stdout));
    let began = Instant::now();
    while figure("connections") > 0 {
        assert!(began.elapsed() < DEADLINE, "{} are left", figure("connections"));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!((figure("subscriptions"), figure("topics")), (0, 0));

    let options = [&options[..], &["--seconds", "2"]].concat();
    let mut child = program(&hub, ALL, &options).spawn().unwrap();
    let began = Instant::now();
    let mut told = 0;
    while child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < DEADLINE, "the program does not end");
        if figure("subscriptions") == ALL {
            told += 1;
            hub.publish(vec![("deals X".into(), deal(told))]);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let output = child.wait_with_output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{found}");
    assert_eq!(found["opened"], ALL);
    let opened_in_s = found["opened_in_s"].as_f64().unwrap();
    println!("{ALL} subscribed again after {opened_in_s:.2} s");
    assert!(opened_in_s < AGAIN, "{found}");
    assert!(found["deals_least"].as_u64().unwrap() > 0, "{told} were told: {found}");
}
