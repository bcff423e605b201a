//! The stream, the protocol for new clients: what a request may look like, and the bounds of a connection.

#[allow(dead_code, reason = "shared with other tests")]
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use viabtc_gateway::hub::{
    Calls, CallsOptions, Notice, Publication, Request, STREAM_PATH, Step, StreamLimits,
};
use viabtc_gateway::{Hub, HubOptions};
use websocket::{Client, Seen, until};

const SUCCESS: &str = r#"{"error": null, "result": "success", "id": 3}"#;

/// No test here shall end by its own pace.
const UNPACED: StreamLimits = StreamLimits {
    message_bytes_max: 65_536,
    frames_per_second_max: 0,
    connections_per_address_max: 2,
    subscriptions_max: 200,
    ping_interval: Duration::ZERO,
};

fn open(options: HubOptions) -> Hub {
    open_with(UNPACED, options)
}

fn open_with(stream: StreamLimits, options: HubOptions) -> Hub {
    let local = ["tcp@127.0.0.1:0".parse().unwrap()];
    let dialect = || Box::new(Calls::new(CallsOptions::default())) as _;
    Hub::start(&[], dialect, &local, HubOptions { stream, ..options }, || {}).unwrap()
}

fn connect(hub: &Hub) -> Client {
    let (client, head) = Client::asked(hub, STREAM_PATH, "");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    client
}

fn call(client: &mut Client, method: &str, params: &str) -> String {
    client.say(&format!(r#"{{"method": "{method}", "params": {params}, "id": 3}}"#));
    client.hear()
}

/// The request that waits for the owner.
fn request(hub: &Hub) -> Request {
    let mut found = None;
    until("a request", || {
        found = hub.take_notices(100).into_iter().find_map(|notice| match notice {
            Notice::Request(request) => Some(request),
            _ => None,
        });
        found.is_some()
    });
    found.unwrap()
}

fn become_user(hub: &Hub, client: &mut Client, user: u32, grant: u32) {
    client.say(r#"{"method": "auth", "params": ["token"], "id": 3}"#);
    let Request { connection, method, .. } = request(hub);
    assert_eq!(method, "auth");
    hub.authenticate(connection, user, grant, SUCCESS.as_bytes());
    assert_eq!(client.hear(), SUCCESS);
}

#[test]
fn a_request_is_flat_and_says_everything_once() {
    let hub = open(HubOptions::default());
    let mut client = connect(&hub);
    let ping =
        |id: &str, params: &str| format!(r#"{{"method": "ping", "params": {params}, "id": {id}}}"#);
    // The object is a level, and the parameters are one.
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    for (text, is_taken) in [
        (ping("3", "[]"), true),
        (ping("3", &nested(15)), true),
        (ping("3", &nested(16)), false),
        (ping("3", &nested(30_000)), false),
        (ping("3, \"more\": 1", "[]"), true),
        (ping("3, \"id\": 3", "[]"), false),
        (ping("3", "[{\"a\": 1, \"\\u0061\": 1}]"), false),
        (ping("3", "[NaN]"), false),
        (ping("3", "[-Infinity]"), false),
        (ping("3", "[1e999]"), false),
        (ping("3.0", "[]"), false),
        (ping("\"3\"", "[]"), false),
        (ping("null", "[]"), false),
        (ping("3", "{}"), false),
        ("[]".to_owned(), false),
        ("nothing of this kind".to_owned(), false),
    ] {
        client.say(&text);
        let answer = client.hear();
        let shown = &text[..text.len().min(80)];
        assert_eq!(answer.contains("\"pong\""), is_taken, "{shown}: {answer}");
        assert_eq!(answer.contains("no member twice"), !is_taken, "{shown}: {answer}");
    }
    for (length, is_taken) in [(4_096, true), (4_097, false)] {
        let token = "t".repeat(length);
        client.say(&format!(r#"{{"method": "auth", "params": ["{token}"], "id": 3}}"#));
        if is_taken {
            let connection = request(&hub).connection;
            hub.answer(connection, b"asked");
            assert_eq!(client.hear(), "asked");
        } else {
            assert!(client.hear().contains("at most 4,096 bytes"));
        }
    }
}

#[test]
fn a_request_has_32_parameters_and_texts_of_4096_bytes_at_most() {
    let hub = open(HubOptions::default());
    let mut client = connect(&hub);
    for (count, is_taken) in [(32, true), (33, false)] {
        let params = vec!["\"bbo:A\""; count].join(", ");
        for method in ["subscribe", "unsubscribe"] {
            let answer = call(&mut client, method, &format!("[{params}]"));
            assert_eq!(answer == SUCCESS, is_taken, "{count}: {answer}");
            let reason = "the parameters are at most 32, and these are 33";
            assert_eq!(answer.contains(reason), !is_taken, "{count}: {answer}");
        }
    }
    let reason = "a text of a request has at most 4,096 bytes";
    for (length, is_taken) in [(4_096, true), (4_097, false)] {
        let long = "x".repeat(length);
        for (method, params) in [
            (long.as_str(), "[]".to_owned()),
            ("ping", format!("[\"{long}\"]")),
            ("subscribe", format!("[\"{long}\"]")),
            ("subscribe", format!("[{{\"channel\": \"{long}\", \"stream\": \"\", \"after\": 1}}]")),
            ("subscribe", format!("[{{\"{long}\": 1}}]")),
        ] {
            let answer = call(&mut client, method, &params);
            let shown = &params[..params.len().min(40)];
            assert_eq!(answer.contains(reason), !is_taken, "{shown}: {answer}");
            assert!(is_taken || answer.len() < 200, "{answer}");
        }
    }
}

#[test]
fn a_message_has_65536_bytes_at_most_however_it_is_framed() {
    let hub = open(HubOptions::default());
    for (size, is_taken) in [(65_536, true), (65_537, false)] {
        let request = r#"{"method": "ping", "params": [], "id": 3}"#;
        let text = format!("{request}{}", " ".repeat(size - request.len()));
        let (first, second) = text.as_bytes().split_at(size / 2);
        for frames in [
            websocket::frame(0x81, text.as_bytes()),
            [websocket::frame(0x01, first), websocket::frame(0x80, second)].concat(),
        ] {
            let mut client = connect(&hub);
            client.send(&frames);
            match client.see() {
                Seen::Text(answer) => assert!(is_taken && answer.contains("pong"), "{answer}"),
                other => assert!(!is_taken && other == Seen::Close(Some(1009)), "{other:?}"),
            }
        }
    }
}

#[test]
fn a_token_in_the_address_makes_nobody_a_user() {
    let hub = open(HubOptions::default());
    let (mut client, head) = Client::asked(&hub, "/v1/stream?token=secret", "");
    assert!(head.starts_with("HTTP/1.1 101 ") && !head.contains("secret"), "{head}");
    let answer = call(&mut client, "subscribe", r#"["balances"]"#);
    assert!(answer.contains("\"code\": 6"), "{answer}");
    assert_eq!(hub.take_notices(100), []);
}

#[test]
fn another_user_loses_the_private_channels_and_keeps_the_others() {
    let hub = open(HubOptions::default());
    let tell = |topic: &str, channel: &str, text: &str| {
        let step = Step {
            channel: channel.into(),
            update: None,
            snapshot: text.as_bytes().into(),
            is_conflated: true,
        };
        hub.publish(vec![(topic.into(), Publication::Step(Arc::new(step)))]);
    };
    let mut client = connect(&hub);
    become_user(&hub, &mut client, 1, 0);
    assert_eq!(call(&mut client, "subscribe", r#"["balances", "bbo:X"]"#), SUCCESS);
    tell("v1 balances 1", "balances", "\"of the first\"");
    assert!(client.hear().contains("of the first"));
    become_user(&hub, &mut client, 2, 0);
    tell("v1 balances 1", "balances", "\"not yours\"");
    tell("v1 bbo:X", "bbo:X", "\"everybody's\"");
    assert!(client.hear().contains("everybody's"));
    // What somebody else had seen cannot be asked for again.
    let again = r#"[{"channel": "balances", "stream": "0000000000000001", "after": 0}]"#;
    assert_eq!(call(&mut client, "subscribe", again), SUCCESS);
    tell("v1 balances 2", "balances", "\"of the second\"");
    assert!(client.hear().contains("of the second"));
}

#[test]
fn a_channel_that_is_there_already_costs_no_further_subscription() {
    let stream = StreamLimits { subscriptions_max: 3, ..UNPACED };
    let hub = open_with(stream, HubOptions::default());
    let mut client = connect(&hub);
    for (channels, is_taken) in [
        (r#"["bbo:A", "bbo:B"]"#, true),
        (r#"["bbo:C", "bbo:D"]"#, false),
        (r#"["bbo:A", "bbo:B", "bbo:C", "bbo:C"]"#, true),
        (r#"["bbo:D"]"#, false),
        (r#"["bbo:A", "bbo:C"]"#, true),
    ] {
        let answer = call(&mut client, "subscribe", channels);
        assert_eq!(answer == SUCCESS, is_taken, "{channels}: {answer}");
        assert_eq!(answer.contains("may have 3 subscriptions"), !is_taken, "{answer}");
    }
    assert_eq!(hub.watched(["v1 bbo:C", "v1 bbo:D"]), [true, false]);
}

#[test]
fn clients_are_counted_by_address_and_apart_from_the_originals_protocol() {
    let hub = open(HubOptions { trusts_forwarded: true, ..HubOptions::default() });
    let ask = |path: &str, address: &str| {
        let (client, head) = Client::asked(&hub, path, &format!("X-Forwarded-For: {address}\r\n"));
        (client, head[9..12].to_owned())
    };
    let open = [ask(STREAM_PATH, "203.0.113.5"), ask(STREAM_PATH, "203.0.113.5")];
    assert_eq!(open.each_ref().map(|(_, status)| status.as_str()), ["101", "101"]);
    assert_eq!(ask(STREAM_PATH, "203.0.113.5").1, "429");
    assert_eq!(ask("/", "203.0.113.5").1, "101");
    assert_eq!(ask(STREAM_PATH, "203.0.113.6").1, "101");
    let local: Vec<Client> = (0..5).map(|_| connect(&hub)).collect();
    drop((open, local));
    until("a place is free", || ask(STREAM_PATH, "203.0.113.5").1 == "101");
}

#[test]
fn who_stays_nobody_is_closed() {
    let hub = open(HubOptions { auth_timeout: Duration::from_secs(4), ..HubOptions::default() });
    let (mut nobody, mut old) = (connect(&hub), Client::connect(&hub));
    let mut somebody = connect(&hub);
    become_user(&hub, &mut somebody, 1, 0);
    for client in [&mut nobody, &mut old] {
        assert_eq!((client.see(), client.see()), (Seen::Close(Some(1008)), Seen::End));
    }
    assert!(call(&mut somebody, "ping", "[]").contains("pong"));
}

#[test]
fn what_stands_on_a_token_ends_with_it() {
    let hub = open(HubOptions { threads: 2, ..HubOptions::default() });
    let mut clients: Vec<Client> = (0..4).map(|_| connect(&hub)).collect();
    for (client, grant) in clients.iter_mut().zip([5, 6, 5, 0]) {
        become_user(&hub, client, 1, grant);
    }
    let held = || {
        let mut grants = hub.grants();
        grants.sort_unstable();
        grants
    };
    assert_eq!(held(), [5, 6]);
    // It has another now.
    become_user(&hub, &mut clients[2], 1, 6);
    hub.withdraw(5);
    assert_eq!((clients[0].see(), clients[0].see()), (Seen::Close(Some(1008)), Seen::End));
    until("the grant is forgotten", || held() == [6]);
    for client in &mut clients[1..] {
        assert!(call(client, "ping", "[]").contains("pong"));
    }
    // Who left meanwhile holds nothing.
    let gone = &mut clients[3];
    gone.say(r#"{"method": "auth", "params": ["token"], "id": 3}"#);
    let connection = request(&hub).connection;
    drop(clients);
    until("all are gone", || held().is_empty());
    hub.authenticate(connection, 1, 7, SUCCESS.as_bytes());
    until("nothing is held for nobody", || held().is_empty());
}
