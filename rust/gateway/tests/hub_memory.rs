//! What connections cost, measured as the growth of this process; alone in its binary so that no other
//! test's memory is counted.

#[allow(dead_code, reason = "shared with other tests")]
mod websocket;

use std::net::TcpStream;

use viabtc_gateway::hub::{Calls, CallsOptions};
use viabtc_gateway::{Hub, HubOptions};
use websocket::{Client, until};

/// `figures.md` asks for 2 KB; the clients of this test cost a part of what is measured.
const IDLE_BYTES_MAX: usize = 2_048;

fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

fn open() -> Hub {
    let local = ["tcp@127.0.0.1:0".parse().unwrap()];
    let dialect = || Box::new(Calls::new(CallsOptions::default())) as _;
    Hub::start(&[], dialect, &local, HubOptions::default(), || {}).unwrap()
}

fn subscribed(hub: &Hub) -> TcpStream {
    let mut client = Client::connect(hub);
    client.say(r#"{"method": "price.subscribe", "params": ["BTCUSDT"], "id": 1}"#);
    client.hear();
    client.stream
}

#[test]
fn idle_connections_are_small_and_coming_and_going_leaves_nothing() {
    let hub = open();
    let count = |name: &str| {
        let figures = hub.metrics().snapshot();
        figures.iter().find(|(other, _)| *other == name).map(|(_, value)| *value).unwrap()
    };
    // The first connections pay for what all share.
    drop((0..50).map(|_| subscribed(&hub)).collect::<Vec<_>>());
    until("the first are gone", || count("connections") == 0);
    let before = resident_bytes();
    let open: Vec<TcpStream> = (0..400).map(|_| subscribed(&hub)).collect();
    let each = (resident_bytes() - before) / open.len();
    println!("{each} bytes per idle subscribed connection");
    assert!(each <= IDLE_BYTES_MAX, "{each} bytes per idle connection");
    drop(open);
    until("all are gone", || count("connections") == 0);

    let before = resident_bytes();
    for _ in 0..20_000 {
        drop(subscribed(&hub));
    }
    until("all are gone", || count("connections") == 0);
    let growth = resident_bytes().saturating_sub(before);
    assert!(growth < 1 << 20, "20,000 connects and disconnects left {growth} bytes");
    assert_eq!((count("subscriptions"), count("topics")), (0, 0));
    assert_eq!(hub.watched(["price BTCUSDT"]), [false]);
}
