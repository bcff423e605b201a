"""The operator's console, byte by byte, as `spec/cli.md` shows it."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.processes import Reserved, Server, start, start_matchengine
from harness.rpc import Client

UPDATE, PUT_LIMIT = 102, 201

HEADER = "user       asset            type       amount\n"


@pytest.fixture(scope="module")
def engine(
    tmp_path_factory: pytest.TempPathFactory, golden_config: dict[str, Any]
) -> Iterator[Server]:
    """An engine with two users and an order of each."""
    server = start_matchengine(tmp_path_factory.mktemp("console"), golden_config)
    with Client(server.place("rpc")) as client:
        client.result(UPDATE, 1, "BTC", "fund", 1, "96.55786142", {})
        client.result(UPDATE, 2, "BCH", "fund", 1, "100", {})
        fees = ("0.001", "0.001", "")
        client.result(PUT_LIMIT, 1, "BTCBCH", 1, "5", "60", *fees)
        client.result(PUT_LIMIT, 2, "BTCBCH", 2, "1.5", "10", *fees)
        client.result(PUT_LIMIT, 2, "BTCBCH", 2, "0.25", "60", *fees)
    yield server
    assert server.stop() == 0, server.said()


class Terminal:
    """A connection to the console."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(server.place("console"), 10)
        self._file = self.socket.makefile("r", encoding="utf-8", newline="")

    def say(self, text: str) -> None:
        self.socket.sendall(text.encode())

    def ask(self, line: str) -> str:
        """The reply to a line: what comes before the reply to an unknown word."""
        self.say(f"{line}\nend-of-reply\n")
        said = ""
        while not said.endswith("command not found\n"):
            piece = self._file.readline()
            assert piece, "the console hung up"
            said += piece
        return said.removesuffix("command not found\n")

    def is_closed(self) -> bool:
        try:
            return self._file.read(1) == ""
        except ConnectionError:
            return True

    def close(self) -> None:
        self._file.close()
        self.socket.close()


@pytest.fixture
def terminal(engine: Server) -> Iterator[Terminal]:
    connection = Terminal(engine)
    yield connection
    connection.close()


def test_help_names_the_commands(terminal: Terminal) -> None:
    assert terminal.ask("help") == "balance\nmakeslice\nstatus\nmarket\n"


def test_status_has_its_eight_lines(terminal: Terminal) -> None:
    assert terminal.ask("status") == (
        "order last ID: 3\n"
        "deals last ID: 1\n"
        "operlog last ID: 5\n"
        "operlog pending: 0\n"
        "history pending 0\n"
        "message deals pending: 0\n"
        "message orders pending: 0\n"
        "message balances pending: 0\n"
    )


def test_status_says_what_the_topics_have_not_taken(
    tmp_path: Path, golden_config: dict[str, Any]
) -> None:
    nowhere = Reserved()
    server = start_matchengine(tmp_path, {**golden_config, "brokers": nowhere.place})
    with Client(server.place("rpc")) as client:
        client.result(UPDATE, 1, "BTC", "fund", 1, "1", {})
        client.result(UPDATE, 1, "BTC", "fund", 2, "1", {})
    terminal = Terminal(server)
    pending = [line for line in terminal.ask("status").splitlines() if "pending" in line]
    assert pending == [
        "operlog pending: 0",
        "history pending 0",
        "message deals pending: 2",
        "message orders pending: 2",
        "message balances pending: 2",
    ]
    terminal.close()
    assert server.stop() == 0, server.said()
    nowhere.close()


def test_balances_of_a_user_are_in_order_of_assets_and_raw(terminal: Terminal) -> None:
    wanted = HEADER + (
        "1          BCH              available  14.98500000000000000000\n"
        "1          BTC              available  91.557861420000\n"
        "1          BTC              freeze     4.750000000000\n"
    )
    for number in ("1", "0x1", "01", "+1", "1x"):
        assert terminal.ask(f"balance get {number}") == wanted, number
    for stranger in ("99", "garbage", ""):
        line = f'balance get "{stranger}"'
        assert terminal.ask(line) == HEADER, stranger


def test_the_list_takes_one_asset_as_a_filter(terminal: Terminal) -> None:
    everything = terminal.ask("balance list")
    assert everything.startswith(HEADER)
    assert len(everything.splitlines()) == 7
    assert terminal.ask("balance list a b") == everything
    only = terminal.ask("balance list BCH")
    assert {line.split()[1] for line in only.splitlines()[1:]} == {"BCH"}
    assert terminal.ask("balance list NOPE") == HEADER


def test_summaries_are_tables_with_their_trailing_blanks(terminal: Terminal) -> None:
    lines = terminal.ask("balance summary").split("\n")
    assert lines[0] == (
        "asset            total                          available  available                      "
        "freeze     freeze                        "
    )
    assert lines[2] == (
        "BTC              96.557611420000                2          91.807611420000                "
        "1          4.750000000000                "
    )
    assert lines[3] == (
        "LTC              0                              0          0                              "
        "0          0                             "
    )
    rows = terminal.ask("market summary").split("\n")
    assert rows[:3] == [
        "market     ask count  ask amount           bid count  bid amount          ",
        "BTCBCH     1          4.75000000           1          1.50000000          ",
        "LTCBCH     0          0                    0          0                   ",
    ]


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("balance", "usage: balance list/get/summary\n"),
        ("balance what", "usage: balance list/get/summary\n"),
        ("balance get", "usage: balance get user_id\n"),
        ("balance get 1 2", "usage: balance get user_id\n"),
        ("market", "usage market summary\n"),
        ("market what", "usage market summary\n"),
        ("nonsense", "command not found\n"),
        ("HELP", "command not found\n"),
        ("", ""),
        ("   \t ", ""),
        ('"unbalanced', ""),
        ('"help"me', ""),
        ("help\r", "balance\nmakeslice\nstatus\nmarket\n"),
        ('  "help"  surplus', "balance\nmakeslice\nstatus\nmarket\n"),
        (r'"\x68elp"', "balance\nmakeslice\nstatus\nmarket\n"),
        ("'help'", "balance\nmakeslice\nstatus\nmarket\n"),
    ],
)
def test_each_line_has_its_reply(terminal: Terminal, line: str, reply: str) -> None:
    if reply == "command not found\n":
        assert terminal.ask(f"{line}\nhelp") == "", "the reply to the first line ends the reading"
        assert terminal.ask("") == "balance\nmakeslice\nstatus\nmarket\n"
        return
    assert terminal.ask(line) == reply


def test_lines_that_come_together_are_answered_one_after_the_other(terminal: Terminal) -> None:
    assert terminal.ask("market\nbalance") == (
        "usage market summary\nusage: balance list/get/summary\n"
    )


def test_a_line_too_long_ends_the_connection(engine: Server) -> None:
    terminal = Terminal(engine)
    terminal.say("x" * 5_000)
    assert terminal.is_closed()
    terminal.close()
    other = Terminal(engine)
    assert other.ask("help")
    other.close()


def test_it_listens_on_a_unix_socket_as_well(tmp_path: Path, golden_config: dict[str, Any]) -> None:
    path = tmp_path / "cli.sock"
    # What a kill left behind is not in the way.
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    control = Reserved()
    settings = {
        **golden_config,
        "log": {"path": str(tmp_path / "matchengine"), "flag": "fatal,error"},
        "svr": {**golden_config["svr"], "bind": "tcp@127.0.0.1:0"},
        "cli": f"stream@{path}",
        "viabtc": {"data": str(tmp_path / "data"), "control": control.place},
    }
    file = tmp_path / "matchengine.json"
    file.write_text(json.dumps(settings))
    arguments, output = ["matchengine", str(file)], tmp_path / "matchengine.out"
    server = start(arguments, output, f"http://{control.place}", {"control": control})
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(path))
        connection.sendall(b"help\n")
        assert connection.recv(100) == b"balance\nmakeslice\nstatus\nmarket\n"
    assert path.stat().st_mode & 0o777 == 0o660
    assert server.stop() == 0, server.said()


def test_a_slice_is_made_beside_the_engine(engine: Server, terminal: Terminal) -> None:
    sequence = engine.status()["sequence"]
    assert terminal.ask("makeslice now") == "OK\n"
    engine.until(lambda: engine.status()["snapshot_sequence"] >= sequence)
    data = Path(engine.output).parent / "data"
    assert [file for file in data.iterdir() if "snapshot" in file.name], list(data.iterdir())
