"""The known defects of the original's RPC transport, and that ours does not have them.

The numbers are those of the list at the end of `spec/rpc.md`; tests/README.md has the whole table.
"""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.configs import small_config
from harness.processes import Place, Server, split, start_accesshttp, start_matchengine
from harness.rpc import HEAD, HEARTBEAT, REPLY, Client, Frame, decode

UPDATE = 102
QUERY = 101
LIST = 104

MAX_PKG_SIZE = 10240

HEARTBEAT_BODY = bytes.fromhex("01000400b80b0000")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rpc")


@pytest.fixture(scope="module")
def engine(directory: Path) -> Iterator[Server]:
    """A matching engine on every kind of socket."""
    bind = [
        "tcp@127.0.0.1:0",
        "udp@127.0.0.1:0",
        f"stream@{directory}/stream",
        f"dgram@{directory}/dgram",
        f"seqpacket@{directory}/seqpacket",
    ]
    server = start_matchengine(directory, small_config(), bind=bind)
    yield server
    assert server.is_running(), server.said()
    assert server.stop() == 0, server.said()


@pytest.fixture
def client(engine: Server) -> Iterator[Client]:
    with Client(engine.place("rpc")) as connection:
        yield connection


@pytest.fixture
def datagrams(engine: Server) -> Iterator[socket.socket]:
    """A UDP socket towards the engine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(split(engine.status()["rpc"][1]))
        sock.settimeout(10)
        yield sock


def ask(sock: socket.socket, frame: Frame) -> Frame:
    """Sends a datagram or packet and gets one."""
    sock.send(frame.encode())
    return decode(sock.recv(1 << 16))


def update(user: int, number: int) -> Frame:
    params = [user, "BTC", "rpc", number, "1", {}]
    return Frame(UPDATE, json.dumps(params).encode(), sequence=number)


def available(client: Client, user: int) -> str:
    balance = client.result(QUERY, user, "BTC")["BTC"]["available"]
    assert isinstance(balance, str)
    return balance


def lying(size: int) -> bytes:
    """A frame that announces `size` bytes of body, with a checksum that fits what is there."""
    return Frame(LIST, b"[]").encode(body_size=size)


def test_1_a_heartbeat_over_udp_is_answered(datagrams: socket.socket) -> None:
    for sequence in (1, 2):
        reply = ask(datagrams, Frame(HEARTBEAT, HEARTBEAT_BODY, sequence))
        assert (reply.command, reply.kind, reply.body, reply.sequence) == (0, REPLY, b"", sequence)


@pytest.mark.parametrize("kind", ["udp", "seqpacket", "dgram"])
def test_2_incomplete_packets_do_not_run_old_requests(
    client: Client, datagrams: socket.socket, directory: Path, kind: str
) -> None:
    user = {"udp": 21, "seqpacket": 22, "dgram": 23}[kind]
    request = update(user, 1).encode()
    with socket.socket(
        socket.AF_UNIX, socket.SOCK_SEQPACKET if kind == "seqpacket" else socket.SOCK_DGRAM
    ) as local:
        if kind == "dgram":
            local.bind(str(directory / "answers"))
        if kind != "udp":
            local.connect(str(directory / kind))
            local.settimeout(10)
        sock = datagrams if kind == "udp" else local
        assert b"success" in ask(sock, update(user, 1)).body
        pieces = [request[:20], request[:-1], request[: HEAD.size]]
        # An empty packet ends a seqpacket connection, as the end of a stream does.
        for piece in pieces if kind == "seqpacket" else [b"", *pieces]:
            sock.send(piece)
            if kind == "seqpacket":
                assert sock.recv(1 << 16) == b"", "an incomplete packet was answered"
                local.close()
                break
        else:
            # The next answer is the next request's: nothing came for the pieces.
            assert ask(sock, Frame(LIST, b"[]", 77)).sequence == 77
    assert available(client, user) == "1"


@pytest.mark.parametrize("size", [2**32 - 36, 2**32 - 34, 2**32 - 1, 2**31])
def test_3_sizes_do_not_wrap(
    engine: Server, client: Client, datagrams: socket.socket, size: int
) -> None:
    with Client(engine.place("rpc")) as liar:
        liar.send(lying(size))
        assert liar.receive() is None
    datagrams.send(lying(size))
    assert ask(datagrams, Frame(LIST, b"[]", 78)).sequence == 78
    assert client.result(LIST)


def test_4_a_frame_too_large_is_refused_when_its_head_is_seen(engine: Server) -> None:
    room = MAX_PKG_SIZE - HEAD.size - 2
    exact = Frame(LIST, b"[" + b" " * room + b"]")
    with Client(engine.place("rpc")) as client:
        assert len(exact.encode()) == MAX_PKG_SIZE
        assert json.loads(client.exchange(exact).body)["error"] is None
        larger = Frame(LIST, exact.body + b" ").encode()
        client.send(larger[: HEAD.size])
        assert client.receive() is None


def test_6_an_unknown_command_is_answered(client: Client) -> None:
    for command in (1, 100, 106, 999, 2**32 - 1):
        assert client.error(command) == (4, "method not found")
    # Known, and answered by another service.
    assert client.error(103, 1, "BTC", "", 0, 0, 0, 1) == (4, "method not found")
    assert client.result(LIST)


def test_7_the_id_is_the_request_id_as_a_signed_number(client: Client) -> None:
    for request_id, shown in ((2**63 - 1, 2**63 - 1), (2**63 + 5, -(2**63) + 5), (0, 0)):
        assert client.call(LIST, [], request_id)["id"] == shown


def test_8_extensions_come_back_and_answers_reach_who_asked(engine: Server, client: Client) -> None:
    place = split(engine.status()["rpc"][1])
    extended = Frame(LIST, b"[]", 9, result=77, extension=b"\x00seven\xff")
    assert client.exchange(extended).extension == extended.extension
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second,
    ):
        for sock in (first, second):
            sock.connect(place)
            sock.settimeout(10)
        for number in range(50):
            first.send(Frame(LIST, b"[]", 1_000 + number, extension=b"one").encode())
            second.send(Frame(LIST, b"[]", 2_000 + number, extension=b"two").encode())
        for sock, base, extension in ((first, 1_000, b"one"), (second, 2_000, b"two")):
            replies = [decode(sock.recv(1 << 16)) for _ in range(50)]
            assert {reply.sequence for reply in replies} == set(range(base, base + 50))
            assert {reply.extension for reply in replies} == {extension}


def test_9_a_client_with_several_addresses_begins_with_the_first_and_tries_the_next(
    engine: Server, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dead: Place = taken.getsockname()
        door = start_accesshttp(tmp_path, {"matchengine": [dead, engine.place("rpc")]})
    assert door.status()["links"]["matchengine"]
    assert door.stop() == 0, door.said()


def test_10_a_repeated_update_counts_once(client: Client) -> None:
    params = [10, "BTC", "rpc", 1, "1", {}]
    assert client.result(UPDATE, *params) == {"status": "success"}
    assert client.error(UPDATE, *params) == (10, "repeat update")
    assert available(client, 10) == "1"


@pytest.mark.parametrize(
    "data",
    [
        b"xxxx" + Frame(LIST, b"[]").encode()[4:],
        Frame(LIST, b"[]").encode()[:14] + b"0000" + Frame(LIST, b"[]").encode()[18:],
        Frame(LIST, b"{}").encode(),
        Frame(LIST, b"[").encode(),
        Frame(LIST, b"").encode(),
        Frame(LIST, b"\xff[]").encode(),
        Frame(999, b"[").encode(),
        Frame(HEARTBEAT, b"\x01\x00\x04\x00\x00").encode(),
    ],
    ids=["magic", "checksum", "object", "half", "nothing", "bytes", "unknown", "heartbeat"],
)
def test_what_is_no_request_ends_its_connection_and_no_other(
    engine: Server, client: Client, data: bytes
) -> None:
    with Client(engine.place("rpc")) as other:
        other.send(data)
        assert other.receive() is None
    assert client.result(LIST)


def test_noise_leaves_the_engine_serving(engine: Server, client: Client, seed: int) -> None:
    state = seed
    for _ in range(300):
        state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        frame = bytearray(Frame(LIST, b'[1, "x"]').encode())
        for shift in (0, 8, 16):
            frame[(state >> (20 + shift)) % len(frame)] = (state >> shift) & 0xFF
        with Client(engine.place("rpc")) as other:
            other.send(bytes(frame) + os.urandom(8))
    assert client.result(LIST)
