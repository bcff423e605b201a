//! A websocket server that sends every message back, for conformance suites:
//! `cargo run --release --example websocket_echo -- 127.0.0.1:9001`. It compresses for clients that offer it.

use viabtc_gateway::hub::{Desk, Dialect};
use viabtc_gateway::{Hub, HubOptions};

struct Echo;

impl Dialect for Echo {
    fn message(&mut self, desk: &mut Desk<'_>, payload: &[u8], is_text: bool) {
        if is_text {
            desk.send(payload);
        } else {
            desk.send_binary(payload);
        }
    }
}

fn main() {
    let place = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let address = format!("tcp@{place}").parse().unwrap_or_else(|error| panic!("{error}"));
    let options = HubOptions {
        frame_bytes_max: 17 << 20,
        message_bytes_max: 17 << 20,
        queue_bytes_max: 64 << 20,
        is_deflating: true,
        ..HubOptions::default()
    };
    let hub = Hub::start(&[], || Box::new(Echo), &[address], options, || {})
        .unwrap_or_else(|error| panic!("{error}"));
    println!("{}", hub.addresses()[0]);
    loop {
        std::thread::park();
    }
}
