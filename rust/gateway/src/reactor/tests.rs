//! Turns, one by one: what somebody who asks little finds ahead of it.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use super::listening::ACCEPT_TURN;
use super::*;
use crate::backend::Ticket;
use crate::server::listen;

/// Takes every byte as a request that needs no answer, and notes who sent how many.
struct Noting {
    taken: Vec<(u32, usize)>,
}

impl Protocol for Noting {
    type State = ();

    fn open(&self, _: Instant) {}

    fn receive(
        &mut self,
        origin: &Origin,
        (): &mut (),
        input: &[u8],
        _: &mut Vec<u8>,
    ) -> Result<usize, Close> {
        let Origin::Connection { place, .. } = origin else { unreachable!("no datagrams here") };
        self.taken.push((*place, input.len()));
        Ok(input.len())
    }

    fn deliver(&mut self, (): &mut (), _: Ticket, _: Status, _: &[u8], _: &mut Vec<u8>) {}

    fn receive_datagram(&mut self, _: Origin, _: &[u8], _: &mut Vec<u8>) {}

    fn deliver_datagram(&mut self, _: Ticket, _: Status, _: &[u8], _: &mut Vec<u8>) {}

    fn unanswered(&self, (): &()) -> usize {
        0
    }

    fn is_over(&self, (): &()) -> bool {
        false
    }

    fn may_read(&self, (): &()) -> bool {
        true
    }

    fn is_expired(&self, (): &(), _: Instant, _: Instant, _: bool) -> bool {
        false
    }

    fn flush(&mut self) {}
}

/// A reactor whose turns the test takes, and where it listens.
struct Stepped {
    reactor: Reactor<Noting>,
    events: Events,
    next_tick: Instant,
    address: SocketAddr,
}

/// What a turn did.
#[derive(Debug)]
struct Turn {
    /// Who sent how many bytes, in the order in which they were taken.
    taken: Vec<(u32, usize)>,
    accepted: usize,
    closed: usize,
    /// Who waited for a further share before it and after it.
    waiting: [Vec<u32>; 2],
}

impl Stepped {
    fn new() -> Stepped {
        let socket = listen("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let listener = Listener::Connections { socket, is_packet: false, is_internet: true };
        let limits = Limits {
            connections_max: 1_000,
            pending_bytes_max: 1 << 20,
            held_bytes_max: 1 << 20,
            datagram_bytes_max: 0,
        };
        let (reactor, _) =
            Reactor::new(vec![listener], limits, Arc::default(), |_| Noting { taken: Vec::new() })
                .unwrap();
        let events = Events::with_capacity(4096);
        Stepped { reactor, events, next_tick: Instant::now() + TICK, address }
    }

    fn turn(&mut self) -> Turn {
        let accepted = self.reactor.metrics.accepted.load(Relaxed);
        let before = self.sockets();
        let waited = Vec::from_iter(self.reactor.waiting.iter().copied());
        assert!(self.reactor.turn(&mut self.events, &mut self.next_tick).unwrap());
        let accepted = (self.reactor.metrics.accepted.load(Relaxed) - accepted) as usize;
        let taken = std::mem::take(&mut self.reactor.protocol.taken);
        let waiting = [waited, Vec::from_iter(self.reactor.waiting.iter().copied())];
        Turn { taken, accepted, closed: before + accepted - self.sockets(), waiting }
    }

    fn sockets(&self) -> usize {
        self.reactor.open_count + self.reactor.ended.len()
    }

    /// Takes turns until one is as it should be, and gives it; `each` looks at all.
    fn until(
        &mut self,
        mut each: impl FnMut(&Turn),
        is_wanted: impl Fn(&Self, &Turn) -> bool,
    ) -> Turn {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let turn = self.turn();
            each(&turn);
            if is_wanted(self, &turn) {
                return turn;
            }
            assert!(Instant::now() < deadline, "it did not come to that: {turn:?}");
        }
    }

    /// Connects, and waits until that is accepted; its place.
    fn connect(&mut self) -> (TcpStream, u32) {
        let stream = TcpStream::connect(self.address).unwrap();
        self.until(drop_look, |_, turn| turn.accepted == 1);
        (stream, self.reactor.places.len() as u32 - 1)
    }
}

fn drop_look(_: &Turn) {}

/// Sends as much as the sockets hold.
fn fill(stream: &mut TcpStream) -> usize {
    stream.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while let Ok(size) = stream.write(&[b'x'; 16 * 1024]) {
        sent += size;
    }
    sent
}

#[test]
fn who_asks_little_comes_before_those_that_ask_much() {
    let mut stepped = Stepped::new();
    let (mut good, good_place) = stepped.connect();
    let mut floods: Vec<(TcpStream, u32)> = (0..20).map(|_| stepped.connect()).collect();
    for (stream, _) in &mut floods {
        assert!(fill(stream) > 64 * 1024);
    }
    // All have had their first share when the first of them had a second one.
    stepped.until(drop_look, |stepped, _| stepped.reactor.waiting.len() == floods.len());
    for _ in 0..5 {
        good.write_all(b"please").unwrap();
        let waiting = stepped.reactor.waiting.len();
        let bound = TURN_BYTES + SHARE_BYTES;
        let turn = stepped.until(
            |turn| assert!(turn.taken.iter().map(|(_, size)| size).sum::<usize>() <= bound),
            |_, turn| turn.taken.iter().any(|(place, _)| *place == good_place),
        );
        assert_eq!(turn.taken[0], (good_place, 6), "the others wait");
        assert!(turn.taken.len() > 1 && waiting > 10, "there are others, and they are served");
    }
}

#[test]
fn those_that_ask_much_take_turns_and_lose_nothing() {
    let mut stepped = Stepped::new();
    let mut floods: Vec<(TcpStream, u32)> = (0..7).map(|_| stepped.connect()).collect();
    let sent: Vec<usize> = floods.iter_mut().map(|(stream, _)| fill(stream)).collect();
    let mut taken = vec![0; floods.len()];
    stepped.until(
        |turn| {
            let mut shares = vec![0; floods.len()];
            for (place, size) in &turn.taken {
                shares[floods.iter().position(|(_, other)| other == place).unwrap()] += size;
            }
            assert!(shares.iter().all(|share| *share <= FIRST_SHARE_BYTES + SHARE_BYTES));
            for (taken, share) in taken.iter_mut().zip(shares) {
                *taken += share;
            }
            // At least one had its share, and nobody overtook those that waited with it.
            let [before, after] = &turn.waiting;
            let is_in_order = |served: usize| after.starts_with(&before[served..]);
            assert!(before.is_empty() || (1..=before.len()).any(is_in_order), "{turn:?}");
        },
        |stepped, _| {
            stepped.reactor.metrics.bytes_in.load(Relaxed) as usize == sent.iter().sum::<usize>()
        },
    );
    assert_eq!(taken, sent);
}

#[test]
fn storms_of_connections_are_taken_in_and_let_go_in_parts() {
    let mut stepped = Stepped::new();
    let (mut good, good_place) = stepped.connect();
    let storm: Vec<TcpStream> =
        (0..200).map(|_| TcpStream::connect(stepped.address).unwrap()).collect();
    good.write_all(b"please").unwrap();
    let mut is_heard = false;
    stepped.until(
        |turn| {
            assert!(turn.accepted <= ACCEPT_TURN, "{turn:?}");
            is_heard |= turn.taken == [(good_place, 6)];
        },
        |stepped, _| {
            stepped.reactor.open_count == 201 && stepped.reactor.metrics.bytes_in.load(Relaxed) == 6
        },
    );
    assert!(is_heard);
    drop(storm);
    stepped.until(
        |turn| assert!(turn.closed <= CLOSE_TURN, "{turn:?}"),
        |stepped, _| stepped.sockets() == 1,
    );
    good.write_all(b"again").unwrap();
    stepped.until(drop_look, |_, turn| turn.taken == [(good_place, 5)]);
}
