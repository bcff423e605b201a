//! The hub with the dialect of the original: requests, subscriptions, publications, slow readers, limits.

#[allow(dead_code, reason = "shared with other tests")]
mod echo;
#[allow(dead_code, reason = "shared with other tests")]
mod websocket;

use std::io::Read;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use echo::Echo as EchoBackend;
use viabtc_engine::Decimal;
use viabtc_gateway::hub::{
    Answer, Calls, CallsOptions, Closing, Items, Notice, Publication, Request,
};
use viabtc_gateway::{Backend, Hub, HubOptions};
use websocket::{Client, DEADLINE, Seen, frame, request, until};

const SUCCESS: &str = r#"{"status": "success"}"#;

fn open(options: HubOptions) -> Hub {
    open_at("tcp@127.0.0.1:0", options)
}

fn open_at(address: &str, options: HubOptions) -> Hub {
    let backends: [Option<Arc<dyn Backend>>; 3] = [Some(Arc::new(EchoBackend)), None, None];
    let calls = CallsOptions {
        depth_limits: vec![5, 10],
        depth_intervals: vec![Decimal::ZERO, Decimal::parse("0.1").unwrap()],
    };
    let dialect = || Box::new(Calls::new(calls.clone())) as _;
    Hub::start(&backends, dialect, &[address.parse().unwrap()], options, || {}).unwrap()
}

fn call(client: &mut Client, method: &str, params: &str) -> String {
    client.say(&format!(r#"{{"method": "{method}", "params": {params}, "id": 3}}"#));
    client.hear()
}

fn result(text: &str) -> String {
    format!(r#"{{"error": null, "result": {text}, "id": 3}}"#)
}

fn error(code: i32, message: &str) -> String {
    let error = format!(r#"{{"code": {code}, "message": "{message}"}}"#);
    format!(r#"{{"error": {error}, "result": null, "id": 3}}"#)
}

fn state(update: &str, snapshot: &str) -> Publication {
    Publication::state(update.as_bytes(), snapshot.as_bytes())
}

fn publish(hub: &Hub, topic: &str, publication: Publication) {
    hub.publish(vec![(topic.into(), publication)]);
}

/// Waits for notices and gives them all.
fn notices(hub: &Hub) -> Vec<Notice> {
    let mut notices = Vec::new();
    until("a notice", || {
        notices = hub.take_notices(100);
        !notices.is_empty()
    });
    notices
}

fn figure(hub: &Hub, name: &str) -> u64 {
    let figures = hub.metrics().snapshot();
    figures.iter().find(|(other, _)| *other == name).map(|(_, value)| *value).unwrap()
}

/// Makes a connection user `user`'s.
fn become_user(hub: &Hub, client: &mut Client, user: u32) {
    client.say(r#"{"method": "server.auth", "params": ["token", "web"], "id": 3}"#);
    let mut request = None;
    until("the request", || {
        let taken = hub.take_notices(100).into_iter();
        request = taken
            .filter_map(|notice| match notice {
                Notice::Request(request) => Some(request),
                _ => None,
            })
            .next();
        request.is_some()
    });
    let Request { connection, id, method, params, address } = request.unwrap();
    assert_eq!((id, method, &*params), (3, "server.auth", r#"["token", "web"]"#));
    assert_eq!(address, "127.0.0.1".parse().ok());
    hub.authenticate(connection, user, 0, result(SUCCESS).as_bytes());
    assert_eq!(client.hear(), result(SUCCESS));
}

#[test]
fn methods_without_backend_answer_and_unknown_ones_too() {
    let hub = open(HubOptions::default());
    let mut client = Client::connect(&hub);
    assert_eq!(call(&mut client, "server.ping", "[]"), result("\"pong\""));
    let time = call(&mut client, "server.time", "[]");
    assert!(time.starts_with(r#"{"error": null, "result": 1"#), "{time}");
    assert_eq!(call(&mut client, "nope.nope", "[]"), error(4, "method not found"));
    client.send(&frame(0x82, br#"{"id": 3, "method": "server.ping", "params": [1]}"#));
    assert_eq!(client.hear(), result("\"pong\""), "a binary message is a request too");
    client.say("[]");
    assert_eq!((client.see(), client.see()), (Seen::Close(Some(1008)), Seen::End));
}

#[test]
fn queries_go_to_their_backend_and_the_user_goes_before_the_parameters() {
    let hub = open(HubOptions::default());
    let mut client = Client::connect(&hub);
    let depth = call(&mut client, "depth.query", r#"["BTCUSDT", 1000, "0"]"#);
    assert_eq!(depth, result(r#"[206, ["BTCUSDT", 1000, "0"]]"#));
    assert_eq!(call(&mut client, "price.query", "[]"), error(2, "internal error"), "no link");
    assert_eq!(call(&mut client, "order.history", "[]"), error(2, "internal error"));
    assert_eq!(call(&mut client, "order.query", "[]"), error(6, "require authentication"));
    assert_eq!(call(&mut client, "asset.query", "[]"), error(6, "require authentication"));
    become_user(&hub, &mut client, 7);
    assert_eq!(call(&mut client, "order.query", r#"["X", "0", 1]"#), error(1, "invalid argument"));
    let orders = call(&mut client, "order.query", r#"["X", 0, 1]"#);
    assert_eq!(orders, result(r#"[203, [7, "X", 0, 1]]"#));
    assert_eq!(call(&mut client, "asset.query", "[]"), result("[101, [7]]"));
    assert_eq!(call(&mut client, "asset.query", r#"["BTC"]"#), result(r#"[101, [7, "BTC"]]"#));
    assert_eq!(call(&mut client, "asset.history", "[]"), error(2, "internal error"));
}

#[test]
fn who_one_is_is_asked_with_the_parameters_of_the_original() {
    let hub = open(HubOptions::default());
    let mut client = Client::connect(&hub);
    let longest = format!(r#"["token", "{}"]"#, "s".repeat(31));
    let too_long = format!(r#"["token", "{}"]"#, "s".repeat(32));
    for (method, params, is_taken) in [
        ("server.auth", "[]", false),
        ("server.auth", r#"["token"]"#, false),
        ("server.auth", r#"["token", "web", 1]"#, false),
        ("server.auth", r#"["token", null]"#, false),
        ("server.auth", r#"[1, "web"]"#, false),
        ("server.auth", &too_long, false),
        ("server.auth", &longest, true),
        ("server.auth", r#"["", ""]"#, true),
        ("server.sign", r#"["id", "signature"]"#, false),
        ("server.sign", r#"["id", "signature", 0]"#, false),
        ("server.sign", r#"["id", "signature", "1"]"#, false),
        ("server.sign", r#"["id", "signature", 1.0]"#, false),
        ("server.sign", r#"["id", 5, 1]"#, false),
        ("server.sign", r#"["id", "signature", 1, 2]"#, false),
        ("server.sign", r#"["id", "signature", -1]"#, true),
    ] {
        client.say(&format!(r#"{{"method": "{method}", "params": {params}, "id": 3}}"#));
        if is_taken {
            let taken = notices(&hub);
            let [Notice::Request(request)] = &taken[..] else { panic!("{method} {taken:?}") };
            assert_eq!((request.method, &*request.params), (method, params));
            hub.answer(request.connection, b"asked");
            assert_eq!(client.hear(), "asked");
        } else {
            assert_eq!(client.hear(), error(1, "invalid argument"), "{method} {params}");
        }
    }
}

#[test]
fn what_is_no_request_ends_the_connection_and_all_else_is_answered() {
    let hub = open(HubOptions::default());
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let ping = |id: &str, params: &str| {
        format!(r#"{{"method": "server.ping", "params": {params}, "id": {id}}}"#)
    };
    for (text, is_answered) in [
        (ping("-9223372036854775808", "[]"), true),
        (ping("0", "[null, {\"a\": [1.5]}]"), true),
        (ping("1, \"id\": 2", "[]"), true),
        (ping("1, \"jsonrpc\": \"2.0\"", "[]"), true),
        (ping("9223372036854775808", "[]"), false),
        (ping("1.0", "[]"), false),
        (ping("\"1\"", "[]"), false),
        (ping("null", "[]"), false),
        (ping("true", "[]"), false),
        (ping("[1]", "[]"), false),
        (ping("1", "{}"), false),
        (ping("1", "null"), false),
        (ping("1", "[NaN]"), false),
        (ping("1", &deep), false),
        (ping("1", "[\"\\u0000\"]"), false),
        (format!("[{}]", ping("1", "[]")), false),
        (format!("{} ", ping("1", "[]")) + "x", false),
        (r#"{"params": [], "id": 1}"#.to_owned(), false),
        (r#"{"method": "server.ping", "id": 1}"#.to_owned(), false),
        (r#"{"method": "server.ping", "params": []}"#.to_owned(), false),
        (String::new(), false),
    ] {
        let mut client = Client::connect(&hub);
        client.say(&text);
        match client.see() {
            Seen::Text(answer) => {
                assert!(is_answered && answer.contains("\"pong\""), "{text}: {answer}");
            }
            other => assert!(!is_answered && other == Seen::Close(Some(1008)), "{text}: {other:?}"),
        }
    }
}

#[test]
fn a_refusal_leaves_the_connection_who_it_was() {
    let hub = open(HubOptions::default());
    let mut client = Client::connect(&hub);
    become_user(&hub, &mut client, 7);
    assert_eq!(call(&mut client, "order.subscribe", r#"["X"]"#), result(SUCCESS));
    client.say(r#"{"method": "server.auth", "params": ["wrong", "web"], "id": 3}"#);
    let taken = notices(&hub);
    let [Notice::Request(request)] = &taken[..] else { panic!("{taken:?}") };
    hub.answer(request.connection, b"no");
    assert_eq!(client.hear(), "no");
    publish(&hub, "order 7 X", Publication::message(b"mine"));
    assert_eq!(client.hear(), "mine");
    assert_eq!(call(&mut client, "asset.query", "[]"), result("[101, [7]]"));
}

#[test]
fn subscriptions_are_checked_as_the_original_checks_them() {
    let hub = open(HubOptions { subscriptions_max: 4, ..HubOptions::default() });
    let mut client = Client::connect(&hub);
    for (method, params, is_taken) in [
        ("kline.subscribe", r#"["X", 60]"#, true),
        ("kline.subscribe", r#"["X"]"#, false),
        ("kline.subscribe", r#"["X", 0]"#, false),
        ("kline.subscribe", r#"["X", "60"]"#, false),
        ("depth.subscribe", r#"["X", 10, "0.10"]"#, true),
        ("depth.subscribe", r#"["X", 10]"#, false),
        ("depth.subscribe", r#"["X", 7, "0"]"#, false),
        ("depth.subscribe", r#"["X", 10, "0.3"]"#, false),
        ("price.subscribe", r#"["123456789012345"]"#, true),
        ("price.subscribe", r#"["1234567890123456"]"#, false),
        ("state.subscribe", "[1]", false),
        ("today.subscribe", "[]", true),
        ("deals.subscribe", r#"["A", "B", "C"]"#, true),
        ("deals.subscribe", r#"["A", "B", "C", "D"]"#, false),
        ("deals.unsubscribe", "[1, 2]", true),
    ] {
        let expected = if is_taken { result(SUCCESS) } else { error(1, "invalid argument") };
        assert_eq!(call(&mut client, method, params), expected, "{method} {params}");
    }
    for method in ["order.subscribe", "asset.subscribe", "order.unsubscribe", "asset.unsubscribe"] {
        assert_eq!(call(&mut client, method, r#"["X"]"#), error(6, "require authentication"));
    }
    let topics = ["price 123456789012345", "depth 10 0.10 X", "deals A"];
    assert_eq!(hub.watched(topics), [false; 3]);
    assert_eq!(hub.watched(["kline 60 X"]), [true], "malformed parameters change nothing");
}

#[test]
fn a_newcomer_gets_the_snapshot_and_others_the_update() {
    let hub = open(HubOptions::default());
    let (mut first, mut second) = (Client::connect(&hub), Client::connect(&hub));
    assert_eq!(call(&mut first, "depth.subscribe", r#"["X", 5, "0"]"#), result(SUCCESS));
    assert_eq!(notices(&hub), [Notice::Watched("depth 5 0 X".into())]);
    publish(&hub, "depth 5 0 X", state("u1", "s1"));
    assert_eq!(first.hear(), "s1");
    publish(&hub, "depth 5 0 X", state("u2", "s2"));
    assert_eq!(first.hear(), "u2");
    assert_eq!(call(&mut second, "depth.subscribe", r#"["X", 5, "0"]"#), result(SUCCESS));
    assert_eq!(second.hear(), "s2");
    publish(&hub, "depth 5 0 X", state("u3", "s3"));
    assert_eq!((first.hear(), second.hear()), ("u3".into(), "u3".into()));
    assert_eq!(call(&mut first, "depth.unsubscribe", "[]"), result(SUCCESS));
    drop(second);
    assert_eq!(notices(&hub), [Notice::Unwatched("depth 5 0 X".into())]);
    assert_eq!(call(&mut first, "depth.subscribe", r#"["X", 5, "0"]"#), result(SUCCESS));
    publish(&hub, "depth 5 0 X", state("u4", "s4"));
    assert_eq!(first.hear(), "s4", "a topic that ended has kept nothing");
}

#[test]
fn a_state_whose_updates_are_whole_is_told_as_it_comes_and_kept_otherwise() {
    let hub = open(HubOptions::default());
    let mut first = Client::connect(&hub);
    assert_eq!(call(&mut first, "price.subscribe", r#"["X"]"#), result(SUCCESS));
    publish(&hub, "price X", Publication::whole(b"100.00", b"100"));
    assert_eq!(first.hear(), "100.00", "who was there before anything was known");
    let mut second = Client::connect(&hub);
    assert_eq!(call(&mut second, "price.subscribe", r#"["X"]"#), result(SUCCESS));
    assert_eq!(second.hear(), "100", "who comes later");
    publish(&hub, "price X", Publication::whole(b"7.50", b"7.5"));
    assert_eq!((first.hear(), second.hear()), ("7.50".into(), "7.50".into()));
}

#[test]
fn a_list_is_told_once_to_each() {
    let hub = open(HubOptions::default());
    let items = |numbers: &[u64], is_whole| {
        let members = numbers.iter().map(|number| (*number, number.to_string().as_bytes().into()));
        let (head, tail) = (b"["[..].into(), b"]"[..].into());
        Publication::Items(Arc::new(Items { head, tail, members: members.collect(), is_whole }))
    };
    let mut client = Client::connect(&hub);
    assert_eq!(call(&mut client, "deals.subscribe", r#"["X"]"#), result(SUCCESS));
    publish(&hub, "deals X", items(&[4], false));
    publish(&hub, "deals X", items(&[1, 2, 3], true));
    assert_eq!(client.hear(), "[4, 3, 2, 1]");
    publish(&hub, "deals X", items(&[4, 5], false));
    assert_eq!(client.hear(), "[5]");
    let mut late = Client::connect(&hub);
    assert_eq!(call(&mut late, "deals.subscribe", r#"["X"]"#), result(SUCCESS));
    assert_eq!(late.hear(), "[5, 4, 3, 2, 1]");
}

#[test]
fn another_user_loses_the_private_subscriptions_and_a_reused_place_has_none() {
    let hub = open(HubOptions::default());
    let mut client = Client::connect(&hub);
    become_user(&hub, &mut client, 1);
    assert_eq!(call(&mut client, "order.subscribe", r#"["X"]"#), result(SUCCESS));
    assert_eq!(call(&mut client, "price.subscribe", r#"["X"]"#), result(SUCCESS));
    become_user(&hub, &mut client, 1);
    publish(&hub, "order 1 X", Publication::message(b"mine"));
    assert_eq!(client.hear(), "mine");
    become_user(&hub, &mut client, 2);
    assert_eq!(hub.watched(["order 1 X", "price X"]), [false, true]);
    let mut other = Client::connect(&hub);
    become_user(&hub, &mut other, 3);
    assert_eq!(call(&mut other, "asset.subscribe", r#"["BTC"]"#), result(SUCCESS));
    hub.close_private(Closing { code: 1012, reason: "lost" });
    assert_eq!((other.see(), other.see()), (Seen::Close(Some(1012)), Seen::End));
    until("the other is gone", || figure(&hub, "connections") == 1);
    client.say(r#"{"method": "server.auth", "params": ["late", "web"], "id": 3}"#);
    let taken = notices(&hub);
    let Some(Notice::Request(late)) = taken.last() else { panic!("{taken:?}") };
    drop(client);
    until("the end", || figure(&hub, "connections") == 0);
    assert_eq!((figure(&hub, "subscriptions"), figure(&hub, "topics")), (0, 0));
    let mut stranger = Client::connect(&hub);
    hub.authenticate(late.connection, 2, 0, b"not yours");
    publish(&hub, "order 2 X", Publication::message(b"not yours"));
    publish(&hub, "price X", state("not yours", "not yours"));
    assert_eq!(call(&mut stranger, "order.query", "[]"), error(6, "require authentication"));
}

#[test]
fn the_owner_asks_backends_and_closes_connections() {
    let hub = open(HubOptions::default());
    hub.ask(5, 0, 206, b"[1]".to_vec());
    let body = br#"{"error": null, "result": [206, [1]], "id": 5}"#.to_vec();
    assert_eq!(notices(&hub), [Notice::Answer(Answer { tag: 5, body: Some(body) })]);
    hub.ask(6, 1, 304, b"[]".to_vec());
    assert_eq!(notices(&hub), [Notice::Answer(Answer { tag: 6, body: None })]);
    hub.note(&"X".into());
    hub.note(&"X".into());
    assert_eq!(notices(&hub), [Notice::Noted("X".into())]);
    let mut client = Client::connect(&hub);
    client.say(r#"{"method": "server.sign", "params": ["a", "b", 1], "id": 3}"#);
    let taken = notices(&hub);
    let [Notice::Request(Request { connection, method: "server.sign", .. })] = &taken[..] else {
        panic!("{taken:?}")
    };
    hub.answer(*connection, b"no");
    assert_eq!(client.hear(), "no");
    hub.close(*connection, Closing { code: 4000, reason: "out" });
    assert_eq!((client.see(), client.see()), (Seen::Close(Some(4000)), Seen::End));
}

#[test]
fn a_reader_that_stops_gets_the_newest_state_or_is_closed_and_keeps_little() {
    let queue_bytes_max = 64 * 1024;
    let options =
        HubOptions { queue_bytes_max, send_buffer_bytes: 16 * 1024, ..HubOptions::default() };
    let hub = open(options);
    let (mut conflated, mut listed) = (Client::connect(&hub), Client::connect(&hub));
    let mut healthy = Client::connect(&hub);
    for client in [&mut conflated, &mut healthy] {
        assert_eq!(call(client, "depth.subscribe", r#"["X", 5, "0"]"#), result(SUCCESS));
    }
    become_user(&hub, &mut listed, 1);
    assert_eq!(call(&mut listed, "order.subscribe", r#"["X"]"#), result(SUCCESS));
    let filler = "x".repeat(4_000);
    // More than the system takes for a reader: see net.ipv4.tcp_rmem.
    let mut last = String::new();
    let mut number = 0;
    while figure(&hub, "conflated_total") < 50 {
        number += 1;
        assert!(number < 100_000, "the system takes everything");
        last = format!("s{number} {filler}");
        publish(&hub, "depth 5 0 X", state(&format!("u{number} {filler}"), &last));
        let heard = healthy.hear();
        assert!(heard.starts_with(&format!("u{number} ")) || heard == last, "{number}");
    }
    let mut heard = String::new();
    while heard != last {
        heard = conflated.hear();
    }
    assert_eq!(figure(&hub, "overflowed_total"), 0);
    let began = Instant::now();
    while figure(&hub, "overflowed_total") == 0 {
        assert!(began.elapsed() < DEADLINE);
        publish(&hub, "order 1 X", Publication::message(filler.as_bytes()));
    }
    let code = loop {
        match listed.see() {
            Seen::Text(_) => {}
            Seen::Close(code) => break code,
            Seen::End => break None,
            other => panic!("{other:?}"),
        }
    };
    assert!(code.is_none_or(|code| code == 1013), "{code:?}");
    // A conflated reader cannot overflow; it is closed because it takes nothing.
    let began = Instant::now();
    while figure(&hub, "overflowed_total") < 2 {
        assert!(began.elapsed() < DEADLINE);
        publish(&hub, "depth 5 0 X", state(&filler, &filler));
        healthy.hear();
    }
    until("only the healthy one is left", || figure(&hub, "connections") == 1);
}

#[test]
fn silence_and_slowness_end_a_connection() {
    let options = HubOptions {
        keep_alive: Duration::from_millis(1_500),
        opening_timeout: Duration::from_millis(600),
        ..HubOptions::default()
    };
    let hub = open(options);
    let mut silent = Client::connect(&hub);
    let mut slow = TcpStream::connect(websocket::place(&hub)).unwrap();
    slow.set_read_timeout(Some(DEADLINE)).unwrap();
    std::io::Write::write_all(&mut slow, b"GET / HTTP/1.1\r\n").unwrap();
    assert_eq!(slow.read(&mut [0]).unwrap(), 0, "half a handshake");
    assert_eq!((silent.see(), silent.see()), (Seen::Close(Some(1001)), Seen::End));

    let options = HubOptions { ping_interval: Duration::from_millis(400), ..HubOptions::default() };
    let hub = open(options);
    let mut dead = Client::connect(&hub);
    assert_eq!(dead.see(), Seen::Ping(vec![]));
    dead.send(&frame(0x8a, b""));
    assert_eq!(dead.see(), Seen::Ping(vec![]), "an answered ping is a sign of life");
    assert_eq!((dead.see(), dead.see()), (Seen::Close(Some(1001)), Seen::End));
}

#[test]
fn a_message_that_does_not_end_ends_its_connection_however_alive_it_is() {
    let options = HubOptions { message_timeout: Duration::from_secs(1), ..HubOptions::default() };
    let hub = open(options);
    let (mut half, mut open) = (Client::connect(&hub), Client::connect(&hub));
    half.send(&frame(0x81, b"[]")[..5]);
    open.send(&frame(0x01, b"["));
    until("both are closed", || {
        // A sign of life is not an end; it is closed while it gives one.
        let _ = std::io::Write::write_all(&mut open.stream, &frame(0x8a, b""));
        figure(&hub, "expired_total") == 2
    });
    for client in [&mut half, &mut open] {
        assert_eq!((client.see(), client.see()), (Seen::Close(Some(1008)), Seen::End));
    }
}

#[test]
fn floods_and_crowds_are_bounded() {
    let options = HubOptions {
        frames_per_second_max: 20,
        connections_per_address_max: 2,
        ..HubOptions::default()
    };
    let hub = open(HubOptions { trusts_forwarded: true, ..options });
    let mut flood = Client::connect(&hub);
    let pings: Vec<u8> = (0..21).flat_map(|_| frame(0x89, b"")).collect();
    flood.send(&pings);
    for _ in 0..20 {
        assert_eq!(flood.see(), Seen::Pong(vec![]));
    }
    assert_eq!((flood.see(), flood.see()), (Seen::Close(Some(1008)), Seen::End));
    until("the flood is gone", || figure(&hub, "connections") == 0);
    let from = |address: &str| Client::asked(&hub, "/", &format!("X-Real-IP: {address}\r\n"));
    let crowd = [from("203.0.113.5"), from("::ffff:203.0.113.5")];
    assert!(from("203.0.113.5").1.starts_with("HTTP/1.1 429 "));
    // Of IPv6 a client has a network.
    let network = [from("2001:db8::1"), from("2001:db8::ffff:2")];
    assert!(from("2001:db8::3").1.starts_with("HTTP/1.1 429 "));
    for other in ["203.0.113.6", "2001:db8:0:1::1"] {
        assert!(from(other).1.starts_with("HTTP/1.1 101 "), "{other}");
    }
    let local: Vec<Client> = (0..5).map(|_| Client::connect(&hub)).collect();
    drop((crowd, network, local));
    until("all are gone", || figure(&hub, "connections") == 0);
    assert!(from("203.0.113.5").1.starts_with("HTTP/1.1 101 "));
}

#[test]
fn frames_may_follow_the_handshake_at_once_and_a_path_serves_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.sock");
    let options = HubOptions { trusts_forwarded: true, ..HubOptions::default() };
    let hub = open_at(&format!("stream@{}", path.display()), options);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let auth = br#"{"method": "server.auth", "params": ["t", "s"], "id": 3}"#;
    let opening = request("X-Forwarded-For: 9.8.7.6, 10.0.0.1\r\n");
    let bytes = [opening.as_bytes(), &frame(0x81, auth)].concat();
    std::io::Write::write_all(&mut stream, &bytes).unwrap();
    let taken = notices(&hub);
    let [Notice::Request(Request { address, .. })] = &taken[..] else { panic!("{taken:?}") };
    assert_eq!(*address, "9.8.7.6".parse().ok());
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    hub.stop(Duration::from_secs(5));
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    let going = rest.windows(4).any(|bytes| bytes[0] == 0x88 && bytes[2..4] == [0x03, 0xe9]);
    assert!(going && !path.exists(), "the end is told");
}

#[test]
fn several_threads_share_a_port_and_all_hear() {
    let hub = open(HubOptions { threads: 3, ..HubOptions::default() });
    let mut clients: Vec<Client> = (0..24).map(|_| Client::connect(&hub)).collect();
    for client in &mut clients {
        assert_eq!(call(client, "price.subscribe", r#"["X"]"#), result(SUCCESS));
    }
    publish(&hub, "price X", state("1", "1"));
    publish(&hub, "price X", state("2", "2"));
    for client in &mut clients {
        let first = client.hear();
        assert!(first == "2" || client.hear() == "2");
    }
    drop(clients);
    until("all are gone", || figure(&hub, "topics") == 0 && hub.watched(["price X"]) == [false]);
    hub.stop(Duration::from_secs(5));
    assert_eq!(figure(&hub, "connections"), 0);
}
