//! The binary RPC port: every kind of socket, the limits, and the original's known defects.

mod echo;

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use echo::{Echo, UNKNOWN};
use socket2::{Domain, SockAddr, Socket, Type};
use viabtc_gateway::{Address, Client, RpcOptions, RpcServer};
use viabtc_wire::frame::{Head, heartbeat_items, read_frame, write_frame};

/// Until then everything has happened, on the busiest machine.
const DEADLINE: Duration = Duration::from_secs(20);

fn serve(addresses: &[&str], options: RpcOptions) -> RpcServer {
    let addresses: Vec<Address> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    RpcServer::start(Arc::new(Echo), &addresses, &options).unwrap()
}

fn tcp(server: &RpcServer) -> TcpStream {
    let Address::Tcp(address) = &server.addresses()[0] else { panic!("not tcp") };
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn request(command: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let head = Head { command, sequence, request_id: 7, ..Head::default() };
    write_frame(&head, b"", body, &mut out);
    out
}

fn receive(stream: &mut impl Read) -> (Head, Vec<u8>, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte).expect("a whole frame comes");
        bytes.push(byte[0]);
        if let Some((frame, _)) = read_frame(&bytes, 1 << 20).unwrap() {
            return (frame.head, frame.extension.to_vec(), frame.body.to_vec());
        }
    }
}

fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => rest.is_empty(),
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn answers_echo_the_head_and_the_extension() {
    let server = serve(&["tcp@127.0.0.1:0"], RpcOptions::default());
    let mut stream = tcp(&server);
    let head = Head { command: 101, kind: 2, result: 77, sequence: 5, request_id: (1 << 63) + 5 };
    let mut out = Vec::new();
    write_frame(&head, b"ABCDEFG", b" [1] ", &mut out);
    stream.write_all(&out).unwrap();
    let (reply, extension, body) = receive(&mut stream);
    assert_eq!(reply, Head { kind: 1, ..head });
    assert_eq!(extension, b"ABCDEFG");
    assert!(body.ends_with(b"\"id\": -9223372036854775803}"), "{}", String::from_utf8_lossy(&body));
}

#[test]
fn frames_cut_anywhere_are_served_and_pipelined_ones_all_answered() {
    let server = serve(&["tcp@127.0.0.1:0"], RpcOptions::default());
    let mut stream = tcp(&server);
    let frame = request(101, 1, b"[1, 2]");
    for cut in 1..frame.len() {
        stream.write_all(&frame[..cut]).unwrap();
        std::thread::yield_now();
        stream.write_all(&frame[cut..]).unwrap();
        assert_eq!(receive(&mut stream).0.sequence, 1);
    }
    let many: Vec<u8> = (1..=1000).flat_map(|sequence| request(101, sequence, b"[]")).collect();
    stream.write_all(&many).unwrap();
    let mut sequences: Vec<u32> = (0..1000).map(|_| receive(&mut stream).0.sequence).collect();
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=1000).collect::<Vec<_>>());
}

#[test]
fn every_kind_of_socket_serves() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let addresses = [
        "tcp@127.0.0.1:0".to_owned(),
        "udp@127.0.0.1:0".to_owned(),
        format!("stream@{}", path("stream")),
        format!("dgram@{}", path("dgram")),
        format!("seqpacket@{}", path("packet")),
    ];
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let server = serve(&addresses, RpcOptions::default());
    for address in [&server.addresses()[0], &server.addresses()[2]] {
        let mut client = Client::connect(address, DEADLINE).unwrap();
        let calls: Vec<(u32, &[u8])> = (0..600).map(|_| (104, &b"[]"[..])).collect();
        let bodies = client.call_many(&calls).unwrap();
        assert_eq!(bodies.len(), 600);
        assert!(bodies[599].ends_with(b"\"id\": 600}"));
    }
    let frame = request(104, 9, b"[]");
    let mut buffer = vec![0; 65_536];

    let Address::Udp(udp) = server.addresses()[1] else { panic!() };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.send_to(&frame, udp).unwrap();
    let size = socket.recv(&mut buffer).unwrap();
    assert_eq!(read_frame(&buffer[..size], 65_536).unwrap().unwrap().0.head.sequence, 9);

    let socket = UnixDatagram::bind(path("client")).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.send_to(&frame, path("dgram")).unwrap();
    let size = socket.recv(&mut buffer).unwrap();
    assert_eq!(read_frame(&buffer[..size], 65_536).unwrap().unwrap().0.head.sequence, 9);

    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    socket.connect(&SockAddr::unix(path("packet")).unwrap()).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    for sequence in 1..=3 {
        (&socket).write_all(&request(104, sequence, b"[]")).unwrap();
    }
    let mut sequences: Vec<u32> = (0..3)
        .map(|_| {
            let size = (&socket).read(&mut buffer).unwrap();
            read_frame(&buffer[..size], 65_536).unwrap().unwrap().0.head.sequence
        })
        .collect();
    sequences.sort_unstable();
    assert_eq!(sequences, [1, 2, 3]);
}

/// Known defect 1: the original dies of it.
#[test]
fn a_heartbeat_over_udp_is_answered_without_harm() {
    let server = serve(&["udp@127.0.0.1:0"], RpcOptions::default());
    let Address::Udp(address) = server.addresses()[0] else { panic!() };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut buffer = [0; 1024];
    for _ in 0..2 {
        socket.send_to(&request(0, 3, &heartbeat_items(3000)), address).unwrap();
        let size = socket.recv(&mut buffer).unwrap();
        let (frame, _) = read_frame(&buffer[..size], 1024).unwrap().unwrap();
        assert_eq!((frame.head.command, frame.head.kind, frame.body), (0, 1, &b""[..]));
    }
}

/// Known defects 2 and 3: the original runs the previous request again, or dies.
#[test]
fn incomplete_empty_and_lying_datagrams_are_dropped() {
    let server = serve(&["udp@127.0.0.1:0"], RpcOptions::default());
    let Address::Udp(address) = server.addresses()[0] else { panic!() };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let frame = request(104, 1, b"[]");
    let mut buffer = [0; 1024];
    socket.send_to(&frame, address).unwrap();
    socket.recv(&mut buffer).unwrap();
    let mut wrapped = frame.clone();
    wrapped[30..34].copy_from_slice(&4_294_967_290u32.to_le_bytes());
    let mut longer = frame.clone();
    longer.push(b' ');
    let bad = [&b""[..], &frame[..20], &frame[..frame.len() - 1], &wrapped, &longer, &[0; 9000]];
    for packet in bad {
        socket.send_to(packet, address).unwrap();
    }
    socket.send_to(&request(104, 2, b"[]"), address).unwrap();
    let size = socket.recv(&mut buffer).unwrap();
    assert_eq!(read_frame(&buffer[..size], 1024).unwrap().unwrap().0.head.sequence, 2);
    let dropped = server
        .metrics()
        .snapshot()
        .into_iter()
        .find(|(name, _)| *name == "dropped_datagrams_total");
    assert_eq!(dropped, Some(("dropped_datagrams_total", bad.len() as u64)));
}

/// Known defects 3 and 4.
#[test]
fn sizes_are_judged_by_the_head_and_do_not_wrap() {
    let server = serve(&["tcp@127.0.0.1:0"], RpcOptions::default());
    let mut stream = tcp(&server);
    let exact = vec![b' '; 10_240 - 36 - 2];
    stream.write_all(&request(104, 1, &[&b"["[..], &exact, b"]"].concat())).unwrap();
    assert_eq!(receive(&mut stream).0.sequence, 1);
    let larger = request(104, 1, &[&b"[ "[..], &exact, b"]"].concat());
    stream.write_all(&larger[..36]).unwrap();
    assert!(is_closed(&mut stream));
    let mut stream = tcp(&server);
    let mut wrapped = request(104, 1, b"[]");
    wrapped[30..34].copy_from_slice(&4_294_967_290u32.to_le_bytes());
    stream.write_all(&wrapped).unwrap();
    assert!(is_closed(&mut stream));
}

/// Known defect 6.
#[test]
fn an_unknown_command_is_answered_with_error_4() {
    let server = serve(&["tcp@127.0.0.1:0"], RpcOptions::default());
    let mut stream = tcp(&server);
    stream.write_all(&request(UNKNOWN, 1, b"[]")).unwrap();
    let (_, _, body) = receive(&mut stream);
    assert_eq!(
        body,
        br#"{"error": {"code": 4, "message": "method not found"}, "result": null, "id": 7}"#
    );
    stream.write_all(&request(104, 2, b"[]")).unwrap();
    assert_eq!(receive(&mut stream).0.sequence, 2);
}

#[test]
fn bad_magic_checksum_and_body_close_without_an_answer() {
    let server = serve(&["tcp@127.0.0.1:0"], RpcOptions::default());
    let good = request(104, 1, b"[]");
    let mut magic = good.clone();
    magic[0] ^= 1;
    let mut checksum = good.clone();
    checksum[14] ^= 1;
    for bad in
        [magic, checksum, request(104, 1, b"{}"), request(UNKNOWN, 1, b"["), request(104, 1, b"")]
    {
        let mut stream = tcp(&server);
        stream.write_all(&bad).unwrap();
        assert!(is_closed(&mut stream));
    }
}

/// They arrived in order and whole: an order among them was placed, and its owner is to learn of it.
#[test]
fn what_came_before_a_bad_frame_is_answered_and_nothing_behind_it() {
    let server = serve(&["tcp@127.0.0.1:0"], RpcOptions::default());
    let mut checksum = request(104, 3, b"[]");
    checksum[14] ^= 1;
    for bad in [checksum, request(104, 3, b"{}"), request(0, 3, &[1, 0])] {
        for before in [&[104u32, 104][..], &[104, 0], &[0, 0]] {
            let mut stream = tcp(&server);
            let mut frames = Vec::new();
            for (sequence, command) in (1..).zip(before) {
                frames.extend(request(*command, sequence, if *command == 0 { b"" } else { b"[]" }));
            }
            frames.extend(&bad);
            frames.extend(request(104, 4, b"[]"));
            stream.write_all(&frames).unwrap();
            let mut sequences = [receive(&mut stream).0.sequence, receive(&mut stream).0.sequence];
            sequences.sort_unstable();
            assert_eq!(sequences, [1, 2]);
            assert!(is_closed(&mut stream), "behind {before:?}");
        }
    }
}

#[test]
fn heartbeats_keep_a_connection_and_silence_ends_it() {
    let options = RpcOptions { heartbeat_check: true, ..RpcOptions::default() };
    let server = serve(&["tcp@127.0.0.1:0"], options);
    let mut stream = tcp(&server);
    let started = Instant::now();
    stream.write_all(&request(0, 1, &heartbeat_items(1))).unwrap();
    let (head, _, body) = receive(&mut stream);
    assert_eq!((head.command, body.len()), (0, 0));
    assert!(is_closed(&mut stream));
    // The timeout asked for is raised to 2 s.
    assert!(started.elapsed() > Duration::from_millis(1_900), "{:?}", started.elapsed());
    let mut stream = tcp(&server);
    stream.write_all(&request(0, 1, &[1, 0])).unwrap();
    assert!(is_closed(&mut stream));
}

#[test]
fn a_peer_that_does_not_read_is_closed_and_others_are_served() {
    let options = RpcOptions { buf_limit: 2, ..RpcOptions::default() };
    let server = serve(&["tcp@127.0.0.1:0"], options);
    let mut greedy = tcp(&server);
    greedy.set_write_timeout(Some(DEADLINE)).unwrap();
    let body = [&b"[\""[..], &vec![b'x'; 9_000], b"\"]"].concat();
    let many: Vec<u8> = (1..=500).flat_map(|sequence| request(104, sequence, &body)).collect();
    let deadline = Instant::now() + DEADLINE;
    while greedy.write_all(&many).is_ok() {
        assert!(Instant::now() < deadline, "it was not closed");
    }
    let mut stream = tcp(&server);
    stream.write_all(&request(104, 1, b"[]")).unwrap();
    assert_eq!(receive(&mut stream).0.sequence, 1);
}

#[test]
fn answers_that_nobody_reads_stop_the_reading() {
    // What the system's socket buffers take beside what the port reads ahead.
    const SENT_MAX: usize = 64 << 20;
    let server = serve(&["tcp@127.0.0.1:0"], RpcOptions::default());
    let mut stream = tcp(&server);
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let frame = request(101, 1, format!("[\"{}\"]", "x".repeat(1_000)).as_bytes());
    let many = frame.repeat(64);
    let mut sent = 0;
    while let Ok(size) = stream.write(&many[sent % many.len()..]) {
        sent += size;
        assert!(sent < SENT_MAX, "the port reads on although nobody reads its answers");
    }
    assert_eq!(server.metrics().overflowed.load(Relaxed), 0);
    // The port goes on where it stopped.
    let whole = sent / frame.len();
    for _ in 0..whole {
        let mut head = [0; 36];
        stream.read_exact(&mut head).unwrap();
        let body_bytes = u32::from_le_bytes(head[30..34].try_into().unwrap());
        stream.read_exact(&mut vec![0; body_bytes as usize]).unwrap();
    }
}

#[test]
fn those_that_hold_most_are_closed_when_all_hold_too_much() {
    let options =
        RpcOptions { max_pkg_size: 100_000, held_bytes_max: 200_000, ..RpcOptions::default() };
    let server = serve(&["tcp@127.0.0.1:0"], options);
    let unfinished = |bytes: usize| {
        let mut stream = tcp(&server);
        let frame = request(101, 1, format!("[\"{}\"]", "x".repeat(bytes)).as_bytes());
        stream.write_all(&frame[..frame.len() - 1]).unwrap();
        (stream, frame)
    };
    let (mut small, frame) = unfinished(1_000);
    let _large: Vec<TcpStream> = (0..4).map(|_| unfinished(60_000).0).collect();
    let deadline = Instant::now() + DEADLINE;
    while server.metrics().overflowed.load(Relaxed) == 0 {
        assert!(Instant::now() < deadline, "nothing is closed");
        std::thread::yield_now();
    }
    small.write_all(&frame[frame.len() - 1..]).unwrap();
    assert_eq!(receive(&mut small).0.sequence, 1);
}

#[test]
fn a_frame_that_never_ends_ends_its_connection() {
    let options = RpcOptions { frame_timeout: Duration::from_millis(100), ..RpcOptions::default() };
    let server = serve(&["tcp@127.0.0.1:0"], options);
    let mut silent = tcp(&server);
    let mut stuck = tcp(&server);
    stuck.write_all(&request(101, 1, b"[1]")[..20]).unwrap();
    assert!(is_closed(&mut stuck));
    assert_eq!(server.metrics().expired.load(Relaxed), 1);
    silent.write_all(&request(101, 1, b"[1]")).unwrap();
    assert_eq!(receive(&mut silent).0.sequence, 1);
}

#[test]
fn garbage_in_any_amount_leaves_the_port_serving() {
    let server = serve(&["tcp@127.0.0.1:0"], RpcOptions::default());
    let mut state = 1u64;
    for _ in 0..2_000 {
        let mut frame = request(104, 1, b"[1, \"x\"]");
        for _ in 0..3 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let place = (state >> 33) as usize % frame.len();
            frame[place] = (state >> 17) as u8;
        }
        let mut stream = tcp(&server);
        stream.write_all(&frame).unwrap();
    }
    let mut stream = tcp(&server);
    stream.write_all(&request(104, 1, b"[]")).unwrap();
    assert_eq!(receive(&mut stream).0.sequence, 1);
}

#[test]
fn several_threads_share_a_port_and_strangers_are_refused() {
    let server = serve(&["tcp@127.0.0.1:0"], RpcOptions { threads: 3, ..RpcOptions::default() });
    for _ in 0..20 {
        let mut stream = tcp(&server);
        stream.write_all(&request(104, 1, b"[]")).unwrap();
        assert_eq!(receive(&mut stream).0.sequence, 1);
    }
    let address = server.addresses()[0].clone();
    let error = RpcServer::start(Arc::new(Echo), &[address], &RpcOptions::default()).err().unwrap();
    assert!(error.to_string().contains("cannot listen on tcp@127.0.0.1:"), "{error}");
}

#[test]
fn a_stop_answers_what_was_taken() {
    let server = serve(&["tcp@127.0.0.1:0"], RpcOptions::default());
    let mut stream = tcp(&server);
    stream.write_all(&request(104, 1, b"[]")).unwrap();
    assert_eq!(receive(&mut stream).0.sequence, 1);
    server.stop(DEADLINE);
    assert!(is_closed(&mut stream));
}
