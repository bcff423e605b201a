//! JSON-RPC over HTTP: statuses, framing, order, limits, and the original's known defects; and the door
//! over a remote service.

mod echo;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use echo::{Echo, UNKNOWN};
use viabtc_gateway::{
    Address, Backend, DoorOptions, FrontDoor, Remote, RemoteOptions, RpcOptions, RpcServer,
};
use viabtc_wire::frame::{HEARTBEAT, Head, REPLY, read_frame, write_frame};

/// Until then everything has happened, on the busiest machine.
const DEADLINE: Duration = Duration::from_secs(20);

fn route(method: &str) -> Option<(u32, usize)> {
    match method {
        "asset.list" => Some((104, 0)),
        "refused" => Some((UNKNOWN, 0)),
        "market.last" => Some((304, 1)),
        _ => None,
    }
}

fn local(text: &str) -> Vec<Address> {
    vec![text.parse().unwrap()]
}

fn open(options: DoorOptions) -> FrontDoor {
    let backends: [Option<Arc<dyn Backend>>; 2] = [Some(Arc::new(Echo)), None];
    FrontDoor::start(&backends, route, &local("tcp@127.0.0.1:0"), &options).unwrap()
}

fn connect(door: &FrontDoor) -> TcpStream {
    let Address::Tcp(address) = &door.addresses()[0] else { panic!("not tcp") };
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn post(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn call(method: &str, id: i64) -> String {
    format!(r#"{{"method": "{method}", "params": [], "id": {id}}}"#)
}

/// Status line, headers and body of the next response.
fn receive(stream: &mut TcpStream) -> (String, Vec<String>, String) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a response comes");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n").map(str::to_owned);
    let status = lines.next().unwrap();
    let headers: Vec<String> = lines.collect();
    let length = headers.iter().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    (status, headers, String::from_utf8(body).unwrap())
}

fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0]), Ok(0)) || stream.take_error().is_ok_and(|error| error.is_some())
}

#[test]
fn an_answer_has_exactly_the_originals_lines_and_a_valid_date() {
    let door = open(DoorOptions::default());
    let mut stream = connect(&door);
    stream.write_all(post(&call("asset.list", 3)).as_bytes()).unwrap();
    let (status, headers, body) = receive(&mut stream);
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_eq!(headers.len(), 2, "{headers:?}");
    let date = headers[0].strip_prefix("Date: ").unwrap();
    assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
    assert_eq!(body, r#"{"error": null, "result": [104, []], "id": 3}"#);
}

#[test]
fn each_status_has_its_body_and_its_closing() {
    let door = open(DoorOptions::default());
    let error = |code: i32, message: &str, id: &str| {
        format!(
            r#"{{"error": {{"code": {code}, "message": "{message}"}}, "result": null, "id": {id}}}"#
        )
    };
    let bad = error(1, "invalid argument", "null");
    for (request, status, body, stays) in [
        (post(&call("nothing", 9)), "404 Not Found", error(4, "method not found", "9"), true),
        (post(&call("refused", 9)), "404 Not Found", error(4, "method not found", "9"), true),
        (
            post(&call("market.last", 9)),
            "500 Internal Server Error",
            error(3, "service unavailable", "9"),
            true,
        ),
        (post("not json"), "400 Bad Request", bad.clone(), false),
        (post("[]"), "400 Bad Request", bad.clone(), false),
        (
            post(r#"{"method": "asset.list", "params": {}, "id": 4}"#),
            "400 Bad Request",
            error(1, "invalid argument", "4"),
            false,
        ),
        (post(""), "400 Bad Request", bad.clone(), false),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400 Bad Request", bad.clone(), false),
        (
            "PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
            "400 Bad Request",
            bad.clone(),
            false,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n{".to_owned(),
            "400 Bad Request",
            bad.clone(),
            false,
        ),
    ] {
        let mut stream = connect(&door);
        stream.write_all(request.as_bytes()).unwrap();
        let (line, _, text) = receive(&mut stream);
        assert_eq!((line, text), (format!("HTTP/1.1 {status}"), body), "{request}");
        if stays {
            stream.write_all(post(&call("asset.list", 1)).as_bytes()).unwrap();
            assert_eq!(receive(&mut stream).0, "HTTP/1.1 200 OK");
        } else {
            assert!(is_closed(&mut stream), "{request}");
        }
    }
}

#[test]
fn an_answer_to_head_has_no_body() {
    let door = open(DoorOptions::default());
    let mut stream = connect(&door);
    stream.write_all(b"HEAD / HTTP/1.1\r\n\r\n").unwrap();
    let (status, headers, _) = receive(&mut stream);
    assert_eq!(status, "HTTP/1.1 400 Bad Request");
    assert!(headers.contains(&"Content-Length: 0".to_owned()), "{headers:?}");
    assert!(is_closed(&mut stream));
}

#[test]
fn many_headers_and_headers_of_several_lines_are_served() {
    let door = open(DoorOptions::default());
    let mut stream = connect(&door);
    let body = call("asset.list", 3);
    let length = format!("Content-Length: {}\r\n", body.len());
    let many: String = (0..1_000).map(|index| format!("X-{index}: y\r\n")).collect();
    for headers in [format!("{many}{length}"), format!("X: a\r\n b\r\n{length}")] {
        stream.write_all(format!("POST / HTTP/1.1\r\n{headers}\r\n{body}").as_bytes()).unwrap();
        assert_eq!(receive(&mut stream).0, "HTTP/1.1 200 OK", "{headers}");
    }
}

#[test]
fn malformed_http_is_cut_without_an_answer() {
    let door = open(DoorOptions::default());
    for text in [
        "\x16\x03\x01\x02\0\x01\0\x01\x7f\x03\x03aaaaaaaaaa",
        "POST / HTTP/9.9\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let mut stream = connect(&door);
        stream.write_all(text.as_bytes()).unwrap();
        assert!(is_closed(&mut stream), "{text:?}");
    }
}

/// Known defect 1: the original keeps only the last piece.
#[test]
fn a_request_may_come_in_any_two_pieces() {
    let door = open(DoorOptions::default());
    let mut stream = connect(&door);
    stream.set_nodelay(true).unwrap();
    let request = post(&call("asset.list", 1));
    for cut in 1..request.len() {
        stream.write_all(&request.as_bytes()[..cut]).unwrap();
        std::thread::yield_now();
        stream.write_all(&request.as_bytes()[cut..]).unwrap();
        assert_eq!(receive(&mut stream).0, "HTTP/1.1 200 OK", "cut at {cut}");
    }
}

#[test]
fn a_large_body_and_a_chunked_one_arrive_whole() {
    let door = open(DoorOptions::default());
    let mut stream = connect(&door);
    let blanks = " ".repeat(90_000);
    let body = format!(r#"{{"method": "asset.list", {blanks}"params": [1], "id": 5}}"#);
    for piece in post(&body).as_bytes().chunks(7_000) {
        stream.write_all(piece).unwrap();
    }
    assert!(receive(&mut stream).2.ends_with(r#""result": [104, [1]], "id": 5}"#));
    stream.write_all(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    for piece in body.as_bytes().chunks(9_999) {
        stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).unwrap();
        stream.write_all(piece).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert!(receive(&mut stream).2.ends_with(r#""result": [104, [1]], "id": 5}"#));
}

/// Known defect 6: the backend here answers in reverse, the original would too.
#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let door = open(DoorOptions::default());
    let mut stream = connect(&door);
    let mut requests = String::new();
    for id in 1..=300 {
        let method = match id % 3 {
            0 => "nothing",
            1 => "asset.list",
            _ => "market.last",
        };
        requests.push_str(&post(&call(method, id)));
    }
    stream.write_all(requests.as_bytes()).unwrap();
    for id in 1..=300 {
        let (_, _, body) = receive(&mut stream);
        assert!(body.ends_with(&format!("\"id\": {id}}}")), "{body}");
    }
}

#[test]
fn more_pipelined_requests_than_may_be_unanswered_are_all_answered() {
    let door = open(DoorOptions::default());
    let mut stream = connect(&door);
    let mut writer = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        for id in 1..=5_000 {
            writer.write_all(post(&call("asset.list", id)).as_bytes()).unwrap();
        }
    });
    for id in 1..=5_000 {
        let (_, _, body) = receive(&mut stream);
        assert!(body.ends_with(&format!("\"id\": {id}}}")), "{body}");
    }
    sender.join().unwrap();
}

#[test]
fn a_bad_request_closes_after_the_answers_before_it() {
    let door = open(DoorOptions::default());
    let mut stream = connect(&door);
    let requests = post(&call("asset.list", 1)) + &post("bad") + &post(&call("asset.list", 2));
    stream.write_all(requests.as_bytes()).unwrap();
    assert_eq!(receive(&mut stream).0, "HTTP/1.1 200 OK");
    assert_eq!(receive(&mut stream).0, "HTTP/1.1 400 Bad Request");
    assert!(is_closed(&mut stream));
}

#[test]
fn a_client_that_closes_its_half_still_gets_its_answer() {
    let door = open(DoorOptions::default());
    let mut stream = connect(&door);
    stream.write_all(post(&call("asset.list", 1)).as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(receive(&mut stream).0, "HTTP/1.1 200 OK");
    assert!(is_closed(&mut stream));
}

#[test]
fn old_clients_and_connection_close_get_answer_then_close() {
    let door = open(DoorOptions::default());
    let body = call("asset.list", 1);
    for head in ["POST / HTTP/1.0\r\n", "POST /any?path HTTP/1.1\r\nConnection: close\r\n"] {
        let mut stream = connect(&door);
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(receive(&mut stream).0, "HTTP/1.1 200 OK");
        assert!(is_closed(&mut stream));
    }
}

#[test]
fn expect_is_answered_before_the_body() {
    let door = open(DoorOptions::default());
    let mut stream = connect(&door);
    let body = call("asset.list", 1);
    let head = format!(
        "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(receive(&mut stream).0, "HTTP/1.1 100 Continue");
    stream.write_all(body.as_bytes()).unwrap();
    assert_eq!(receive(&mut stream).0, "HTTP/1.1 200 OK");
}

/// Known defect 10: no limits.
#[test]
fn slow_and_silent_clients_are_closed_and_too_many_refused() {
    let options = DoorOptions {
        request_timeout: Duration::from_millis(200),
        keep_alive: Duration::from_millis(700),
        connections_max: 2,
        ..DoorOptions::default()
    };
    let door = open(options);
    let mut slow = connect(&door);
    slow.write_all(b"POST / HTTP/1.1\r\nContent-").unwrap();
    let mut idle = connect(&door);
    idle.write_all(post(&call("asset.list", 1)).as_bytes()).unwrap();
    assert_eq!(receive(&mut idle).0, "HTTP/1.1 200 OK");
    let mut third = connect(&door);
    assert!(is_closed(&mut third));
    assert!(is_closed(&mut slow));
    assert!(is_closed(&mut idle));
    let mut again = connect(&door);
    again.write_all(post(&call("asset.list", 1)).as_bytes()).unwrap();
    assert_eq!(receive(&mut again).0, "HTTP/1.1 200 OK");
}

/// A link whose first address nobody listens at.
fn remote(address: &Address, timeout: Duration) -> Arc<Remote> {
    Remote::start(RemoteOptions {
        addresses: vec!["tcp@127.0.0.1:1".parse().unwrap(), address.clone()],
        max_pkg_size: 2_000_000,
        request_bytes_max: 10_240,
        reconnect_timeout: Duration::from_millis(100),
        // Longer than a test: the services here do not answer heartbeats.
        heartbeat_timeout: 10 * DEADLINE,
        timeout,
    })
    .unwrap()
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn door_over(remote: &Arc<Remote>) -> FrontDoor {
    let backend: Arc<dyn Backend> = Arc::clone(remote) as Arc<dyn Backend>;
    let options = DoorOptions::default();
    FrontDoor::start(&[Some(backend)], route, &local("tcp@127.0.0.1:0"), &options).unwrap()
}

/// The original forwards on one line whatever came: blanks and escapes do not count.
#[test]
fn a_request_that_only_its_layout_makes_too_long_reaches_the_service() {
    let rpc = RpcServer::start(Arc::new(Echo), &local("tcp@127.0.0.1:0"), &RpcOptions::default())
        .unwrap();
    let remote = remote(&rpc.addresses()[0], DEADLINE);
    let door = door_over(&remote);
    wait_for("a connection", || remote.is_connected());
    let mut stream = connect(&door);
    let room = 10_240 - 36 - r#"["", 1]"#.len();
    let body = |text: &str| {
        let blanks = "\n  ".repeat(4_000);
        format!(r#"{{"method": "asset.list", "params": [{blanks}"{text}",{blanks}1], "id": 3}}"#)
    };
    // Each of these characters takes six bytes here and two there.
    let text = r"\u00e9".repeat(room / 2);
    stream.write_all(post(&body(&text)).as_bytes()).unwrap();
    let (status, _, answer) = receive(&mut stream);
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(answer.contains(&format!("[104, [\"{}\", 1]]", "é".repeat(room / 2))), "{answer}");
    stream.write_all(post(&body(&"x".repeat(room + 1))).as_bytes()).unwrap();
    assert!(receive(&mut stream).2.contains(r#""code": 1, "message": "invalid argument""#));
    stream.write_all(post(&body(&"x".repeat(room))).as_bytes()).unwrap();
    assert!(receive(&mut stream).2.contains(r#""error": null"#));
    rpc.stop(DEADLINE);
}

/// Known defect 4: the link is dropped, and with it whatever others asked.
#[test]
fn an_answer_that_is_too_large_costs_only_its_request() {
    let options = RpcOptions { max_pkg_size: 4 << 20, ..RpcOptions::default() };
    let rpc = RpcServer::start(Arc::new(Echo), &local("tcp@127.0.0.1:0"), &options).unwrap();
    let remote = Remote::start(RemoteOptions {
        addresses: vec![rpc.addresses()[0].clone()],
        max_pkg_size: 100_000,
        request_bytes_max: 4 << 20,
        reconnect_timeout: DEADLINE,
        heartbeat_timeout: DEADLINE,
        timeout: DEADLINE,
    })
    .unwrap();
    let backend: Arc<dyn Backend> = Arc::clone(&remote) as Arc<dyn Backend>;
    let options = DoorOptions { max_pkg_size: 4 << 20, ..DoorOptions::default() };
    let door =
        FrontDoor::start(&[Some(backend)], route, &local("tcp@127.0.0.1:0"), &options).unwrap();
    wait_for("a connection", || remote.is_connected());
    let mut stream = connect(&door);
    let asking = |text: &str, id: i64| {
        post(&format!(r#"{{"method": "asset.list", "params": ["{text}"], "id": {id}}}"#))
    };
    for (id, bytes) in (1..).zip([99_000, 101_000, 3_000_000, 300_000, 10]) {
        // Others are on their way, before and behind it.
        let requests = asking("a", 100) + &asking(&"x".repeat(bytes), id) + &asking("b", 101);
        stream.write_all(requests.as_bytes()).unwrap();
        assert!(receive(&mut stream).2.contains(r#"[104, ["a"]], "id": 100}"#));
        let (status, _, body) = receive(&mut stream);
        assert_eq!(status, "HTTP/1.1 200 OK", "{bytes}");
        if bytes > 100_000 {
            let refused = r#"{"error": {"code": 1, "message": "invalid argument"}, "result": null"#;
            assert_eq!(body, format!(r#"{refused}, "id": {id}}}"#));
        } else {
            assert!(body.contains(r#""error": null"#));
        }
        assert!(receive(&mut stream).2.contains(r#"[104, ["b"]], "id": 101}"#));
    }
    rpc.stop(DEADLINE);
}

/// Known defects 4 and 11: one over-long request costs only itself; the second address is used.
#[test]
fn a_remote_service_answers_and_comes_back() {
    let rpc = RpcServer::start(Arc::new(Echo), &local("tcp@127.0.0.1:0"), &RpcOptions::default())
        .unwrap();
    let address = rpc.addresses()[0].clone();
    let remote = remote(&address, DEADLINE);
    let door = door_over(&remote);
    wait_for("a connection", || remote.is_connected());
    let mut stream = connect(&door);
    for id in 1..=50 {
        stream.write_all(post(&call("asset.list", id)).as_bytes()).unwrap();
        assert!(receive(&mut stream).2.ends_with(&format!("\"id\": {id}}}")));
    }
    let long =
        format!(r#"{{"method": "asset.list", "params": ["{}"], "id": 8}}"#, "x".repeat(20_000));
    stream.write_all(post(&long).as_bytes()).unwrap();
    assert!(receive(&mut stream).2.contains(r#""code": 1, "message": "invalid argument""#));
    stream.write_all(post(&call("asset.list", 1)).as_bytes()).unwrap();
    assert_eq!(receive(&mut stream).0, "HTTP/1.1 200 OK");

    rpc.stop(DEADLINE);
    drop(rpc);
    wait_for("a break", || !remote.is_connected());
    stream.write_all(post(&call("asset.list", 1)).as_bytes()).unwrap();
    assert_eq!(receive(&mut stream).0, "HTTP/1.1 500 Internal Server Error");
    let rpc = RpcServer::start(Arc::new(Echo), &[address], &RpcOptions::default()).unwrap();
    wait_for("a new connection", || remote.is_connected());
    stream.write_all(post(&call("asset.list", 2)).as_bytes()).unwrap();
    assert_eq!(receive(&mut stream).0, "HTTP/1.1 200 OK");
    rpc.stop(DEADLINE);
}

#[test]
fn a_service_that_does_not_answer_is_a_504_and_a_late_answer_is_dropped() {
    let (_remote, door, mut service) = door_over_silence(Duration::from_millis(300));
    let mut stream = connect(&door);
    stream.write_all(post(&call("asset.list", 6)).as_bytes()).unwrap();
    let late = next_request(&mut service);
    let (status, _, body) = receive(&mut stream);
    assert_eq!(status, "HTTP/1.1 504 Gateway Timeout");
    assert_eq!(
        body,
        r#"{"error": {"code": 5, "message": "service timeout"}, "result": null, "id": 6}"#
    );
    answer(&mut service, &late, b"late");
    stream.write_all(post(&call("asset.list", 7)).as_bytes()).unwrap();
    assert_eq!(next_request(&mut service).request_id, 7);
    let (status, _, body) = receive(&mut stream);
    assert_eq!(status, "HTTP/1.1 504 Gateway Timeout");
    assert!(body.contains(r#""id": 7"#), "{body}");
}

/// Nobody knows whether it was done, so it is a timeout, and at once.
#[test]
fn what_is_in_flight_when_the_link_breaks_is_a_504_before_its_time_is_over() {
    let (_remote, door, mut service) = door_over_silence(10 * DEADLINE);
    let mut stream = connect(&door);
    stream.write_all(post(&call("asset.list", 8)).as_bytes()).unwrap();
    assert_eq!(next_request(&mut service).request_id, 8);
    drop(service);
    assert_eq!(receive(&mut stream).0, "HTTP/1.1 504 Gateway Timeout");
}

/// A link to a service that says nothing by itself, a door over it, and the service's end of the link.
fn door_over_silence(timeout: Duration) -> (Arc<Remote>, FrontDoor, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: Address = format!("tcp@{}", listener.local_addr().unwrap()).parse().unwrap();
    let remote = remote(&address, timeout);
    let (service, _) = listener.accept().unwrap();
    service.set_read_timeout(Some(DEADLINE)).unwrap();
    wait_for("a connection", || remote.is_connected());
    let door = door_over(&remote);
    (remote, door, service)
}

/// The head of the next request; heartbeats are read over.
fn next_request(service: &mut TcpStream) -> Head {
    let mut input = Vec::new();
    loop {
        let mut byte = [0];
        service.read_exact(&mut byte).expect("a request comes");
        input.push(byte[0]);
        if let Some((frame, _)) = read_frame(&input, 2_000_000).unwrap() {
            if frame.head.command != HEARTBEAT {
                return frame.head;
            }
            input.clear();
        }
    }
}

fn answer(service: &mut TcpStream, request: &Head, body: &[u8]) {
    let head = Head { kind: REPLY, ..*request };
    let mut frame = Vec::new();
    write_frame(&head, b"", body, &mut frame);
    service.write_all(&frame).unwrap();
}
