//! The hub alone, for benchmarks: what its clients may ask is the exchange's dialect.
//!
//! `websocket_hub HOST:PORT [BYTES]` shares the port with other processes. With `BYTES` it tells the subscribers of
//! `deals X` messages of that size, as fast as they are written out.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use viabtc_gateway::hub::{Calls, CallsOptions, Publication};
use viabtc_gateway::{Hub, HubOptions};

/// Messages that are published at once.
const BATCH: usize = 4;

/// Messages of each subscriber, on average, that may not be written out.
const AHEAD: u64 = 16;

/// Room for one reader: more than all of what waits, should one be far behind the average.
const QUEUE_BYTES_MAX: usize = 16 << 20;

/// Pause while readers are behind.
const PAUSE: Duration = Duration::from_micros(50);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let place = arguments.next().unwrap_or_else(|| "127.0.0.1:8090".into());
    let bytes = arguments.next().map(|bytes| bytes.parse().expect("BYTES is a number"));
    let address = format!("tcp@{place}").parse().unwrap_or_else(|error| panic!("{error}"));
    let options =
        HubOptions { queue_bytes_max: QUEUE_BYTES_MAX, is_shared: true, ..HubOptions::default() };
    let dialect = || Box::new(Calls::new(CallsOptions::default())) as _;
    let hub = Hub::start(&[], dialect, &[address], options, || {})
        .unwrap_or_else(|error| panic!("{error}"));
    println!("{}", hub.addresses()[0]);
    match bytes {
        Some(bytes) => tell(&hub, bytes),
        None => loop {
            std::thread::park();
        },
    }
}

fn tell(hub: &Hub, bytes: usize) -> ! {
    let mut message = b"{\"method\": \"flood.update\", \"params\": [\"".to_vec();
    message.resize(bytes.saturating_sub(3).max(message.len()), b'x');
    message.extend_from_slice(b"\"]}");
    let topic: Arc<str> = "deals X".into();
    let metrics = hub.metrics();
    loop {
        let subscribers = metrics.subscriptions.load(Relaxed);
        let waiting = metrics.pushes.load(Relaxed).saturating_sub(metrics.frames_out.load(Relaxed));
        if subscribers == 0 || waiting > AHEAD * subscribers {
            std::thread::sleep(PAUSE);
            continue;
        }
        let batch = (0..BATCH).map(|_| (Arc::clone(&topic), Publication::message(&message)));
        hub.publish(batch.collect());
        // The threads count pushes when they take the batch; before that it does not show in `waiting`.
        std::thread::sleep(PAUSE);
    }
}
