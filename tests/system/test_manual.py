"""The manual's ways out of a loss, into a takeover and back: its commands, as they stand.

An engine and a database server of the test stand where the manual has those of the machine: paths
and ports are put in their places, and what systemd starts and stops is started and stopped here.
"""

import contextlib
import gzip
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import date
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from crash.following import small_model
from harness.box import steps
from harness.configs import small_config
from harness.mariadb import HISTORY, LOG, Mariadb, make_schema
from harness.original import load
from harness.places import ROOT, shared
from harness.processes import VIABTC, Place, Server, spawn_matchengine, start_matchengine
from harness.rpc import Client

MANUAL: Final = (ROOT / "docs" / "operations.md").read_text()

BACK_UP: Final = "Back up and restore"
GONE: Final = "When the engine's machine is gone"
TAKE_OVER: Final = "Take over a deployment of the original, and go back"

FILE: Final = "/etc/viabtc/matchengine.json"
LIB: Final = "/var/lib/private/viabtc"

UNIT: Final = re.compile(r"systemctl (start|stop) viabtc-matchengine")

QUERY, UPDATE, LIMIT = 101, 102, 201

BLOCK_S: Final = 120
"""How long a block may take."""


def block(section: str, words: str) -> str:
    """The block of a section in which `words` stand."""
    (found,) = [commands for commands in steps(MANUAL, section) if words in commands]
    return found


class Site:
    """A machine with an engine and its databases, and its operator's shell."""

    def __init__(self, directory: Path, mariadb: Mariadb, config: dict[str, Any]) -> None:
        self._directory = directory
        self._config = {**config, **mariadb.sections()}
        self._mariadb = mariadb
        self._home = directory / "home"
        self._home.mkdir()
        client = f"[client]\nuser=root\nsocket={mariadb.directory / 's'}\n"
        (self._home / ".my.cnf").write_text(client)
        self._lib = directory / "lib"
        self.file = directory / "matchengine.json"
        self.engine: Server | None = None

    @property
    def data(self) -> Path:
        return self._lib / "matchengine"

    @property
    def running(self) -> Server:
        """The engine, which must have been started."""
        assert self.engine is not None
        return self.engine

    @property
    def rpc(self) -> Place:
        return self.running.place("rpc")

    def start(self, **own: Any) -> None:
        own = {"data": str(self.data), **own}
        self.engine = start_matchengine(self._directory, self._config, own)

    def stop(self) -> None:
        if self.engine is not None:
            assert self.engine.stop() == 0, self.engine.said()
            self.engine = None

    def lose_the_disk(self) -> None:
        """Everything that the engine ever wrote."""
        self.running.kill()
        self.engine = None
        shutil.rmtree(self._lib)

    def write_file(self) -> None:
        """The settings of an engine that never ran here."""
        own = {"data": str(self.data)}
        log = {"path": str(self._directory / "log"), "flag": "error"}
        self.file.write_text(json.dumps({**self._config, "log": log, "viabtc": own}))

    def play(self, commands: str) -> str:
        """Runs a block as an operator does; what it prints."""
        said = ""
        lines: list[str] = []
        for line in commands.splitlines():
            if unit := UNIT.fullmatch(line):
                said += self._run(lines)
                lines = []
                {"start": self.start, "stop": self.stop}[unit[1]]()
            elif not line.startswith("systemctl stop 'viabtc-access"):
                lines.append(line)
        return said + self._run(lines)

    def _run(self, lines: list[str]) -> str:
        if not lines:
            return ""
        python, *words = VIABTC
        text = "\n".join(lines).replace(FILE, str(self.file)).replace(LIB, str(self._lib))
        if self.engine is not None:
            port = self.engine.place("console")[1]
            text = text.replace("127.0.0.1 7317", f"127.0.0.1 {port}")
            text = text.replace("127.0.0.1:9100", self.engine.control.removeprefix("http://"))
        viabtc = f'viabtc() {{ "{python}" {" ".join(words)} "$@"; }}'
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{viabtc}\n{text}"],
            cwd=self._home,
            env={**os.environ, "HOME": str(self._home)},
            capture_output=True,
            text=True,
            timeout=BLOCK_S,
            check=False,
        )
        assert done.returncode == 0, (text, done.stdout, done.stderr)
        return done.stdout

    def until_written(self) -> None:
        """Until the databases have everything."""
        for name in ("operlog", "history"):
            metric = f"viabtc_{name}_lag_commands"
            self.running.until(lambda: self.running.metric(metric) == 0)  # noqa: B023

    def assert_each_row_once(self, deposits: int) -> None:
        """Both databases have every deposit of user 1 that the engine has, and no other."""
        self.until_written()
        sql = f"SELECT COUNT(*), COUNT(DISTINCT id), MAX(id) FROM operlog_{day()}"  # noqa: S608
        assert self._mariadb.rows(sql, LOG) == [[str(deposits)] * 3]
        sql = "SELECT COUNT(*), COUNT(DISTINCT detail), SUM(`change`) FROM balance_history_1"
        ((rows, different, total),) = self._mariadb.rows(sql, HISTORY)
        assert int(rows) == int(different) == int(Decimal(total)) == deposits


def day() -> str:
    return date.today().strftime("%Y%m%d")  # noqa: DTZ011 - tables are named by the local date


class Deposits:
    """One bitcoin for user 1, again and again, until the engine is gone."""

    def __init__(self, place: Place, first: int = 1) -> None:
        self.acknowledged = first - 1
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._go, args=(place,))
        self._thread.start()

    def _go(self, place: Place) -> None:
        with Client(place) as client, contextlib.suppress(OSError, AssertionError):
            while not self._done.is_set():
                number = self.acknowledged + 1
                client.result(UPDATE, 1, "BTC", "deposit", number, "1", {})
                self.acknowledged = number

    def end(self) -> int:
        """How many were acknowledged."""
        self._done.set()
        self._thread.join()
        return self.acknowledged


def funds(site: Site) -> int:
    with Client(site.rpc) as client:
        return int(Decimal(client.result(QUERY, 1, "BTC")["BTC"]["available"]))


@pytest.fixture
def site(tmp_path: Path, mariadb: Mariadb) -> Iterator[Site]:
    site = Site(tmp_path, mariadb, small_config())
    yield site
    site.stop()


def test_when_everything_is_gone_a_copy_elsewhere_is_restored(site: Site, mariadb: Mariadb) -> None:
    site.start()
    deposits = Deposits(site.rpc)
    site.running.until(lambda: deposits.acknowledged > 100)
    before = deposits.acknowledged
    said = site.play(block(BACK_UP, "mkdir BACKUP"))
    assert "every command up to" in said
    copied = deposits.acknowledged
    site.running.until(lambda: deposits.acknowledged > copied + 100)
    site.lose_the_disk()
    deposits.end()
    mariadb.run(f"DROP DATABASE {LOG}; DROP DATABASE {HISTORY}")
    site.play(block(BACK_UP, "mkdir -p"))
    restored = funds(site)
    # One that was under way when the copy ended may be in it.
    assert before <= restored <= copied + 1
    site.assert_each_row_once(restored)
    again = Deposits(site.rpc, restored + 1)
    site.running.until(lambda: again.acknowledged > restored + 20)
    count = again.end()
    site.assert_each_row_once(count)


def test_restored_databases_get_what_they_lack(site: Site) -> None:
    site.start()
    deposits = Deposits(site.rpc)
    site.running.until(lambda: deposits.acknowledged > 100)
    site.play(block(BACK_UP, "mkdir BACKUP"))
    copied = deposits.acknowledged
    site.running.until(lambda: deposits.acknowledged > copied + 100)
    count = deposits.end()
    site.play(block(BACK_UP, "DROP DATABASE"))
    assert funds(site) == count
    site.assert_each_row_once(count)


def test_when_only_the_disk_is_gone_the_databases_lead_to_the_same_state(site: Site) -> None:
    site.start()
    with Client(site.rpc) as client:
        for number in range(1, 30):
            client.result(UPDATE, 1, "BTC", "deposit", number, "1", {})
        client.result(LIMIT, 1, "BTCUSDT", 1, "1.5", "100", "0.002", "0.001", "api")
    site.until_written()
    names = ("sequence", "order_id", "operlog_id", "digest")
    wanted = {name: site.running.status()[name] for name in names}
    site.lose_the_disk()
    assert block(GONE, "matchengine /etc").startswith("viabtc matchengine /etc")
    for durability in ("operlog", "local"):
        site.start(durability=durability)
        assert {name: site.running.status()[name] for name in names} == wanted
        site.until_written()
        assert site.running.status()["projections"]["history"]["problem"] is None
        site.stop()


@pytest.mark.parametrize("how", ["waits", "--take-over"])
def test_another_machine_goes_on(how: str, site: Site, tmp_path: Path, mariadb: Mariadb) -> None:
    """By the command of the manual itself, while the first one runs, or when it is silent."""
    site.start(durability="operlog")
    with Client(site.rpc) as client:
        for number in range(1, 30):
            client.result(UPDATE, 1, "BTC", "deposit", number, "1", {})
    other = tmp_path / "other"
    other.mkdir()
    command = block(GONE, "--take-over" if how == "--take-over" else f"matchengine {FILE}")
    words = command.replace(FILE, "").split()[1:]
    if how == "waits":
        site.running.kill()
        site.engine = None
    config = {**small_config(), **mariadb.sections()}
    own = {"durability": "operlog"}

    def begin(arguments: Any, output: Path) -> Any:
        with output.open("ab") as file:
            given = [*VIABTC, *words, arguments[1]]
            return subprocess.Popen(given, stdin=subprocess.DEVNULL, stdout=file, stderr=file)

    second = spawn_matchengine(other, config, own, begin=begin)
    try:
        second.until_ready()
        with Client(second.place("rpc")) as client:
            assert client.error(UPDATE, 1, "BTC", "deposit", 29, "1", {})[0] == 10
            assert Decimal(client.result(QUERY, 1, "BTC")["BTC"]["available"]) == 29
        if site.engine is not None:
            assert site.engine.process.wait(30) != 0
            site.engine.kill()
            site.engine = None
    finally:
        assert second.stop() == 0, second.said()


def as_left_by_the_original(server: Mariadb, directory: Path) -> dict[str, Any]:
    """Databases as a stopped original leaves them, of one market; its configuration."""
    config = small_config()
    make_schema(directory, server)
    site = Site(directory, server, config)
    site.start()
    with Client(site.rpc) as client:
        for user in (1, 2):
            for asset in ("BTC", "USDT"):
                client.result(UPDATE, user, asset, "deposit", user, "1000", {})
        client.result(LIMIT, 1, "BTCUSDT", 1, "1.5", "100", "0.002", "0.001", "api")
        client.result(LIMIT, 2, "BTCUSDT", 2, "0.5", "101", "0.002", "0.001", "api")
    site.until_written()
    site.stop()
    for database in (LOG, HISTORY):
        own = [name for name in server.tables(database) if name.startswith("viabtc_")]
        server.run(";".join(f"DROP TABLE {name}" for name in own), database)
    return config


def as_recorded(server: Mariadb, golden_config: dict[str, Any]) -> dict[str, Any]:
    """Databases that an original left; its configuration."""
    server.run(gzip.decompress(shared("golden", "takeover.sql.gz").read_bytes()).decode())
    return golden_config


@pytest.mark.parametrize("source", ["one market", "recorded"])
def test_an_original_is_taken_over_and_goes_on_again(
    source: str, tmp_path: Path, golden_config: dict[str, Any]
) -> None:
    server = Mariadb(tmp_path / "mariadb")
    server.start()
    try:
        if source == "recorded":
            config = as_recorded(server, golden_config)
        else:
            (tmp_path / "original").mkdir()
            config = as_left_by_the_original(server, tmp_path / "original")
        site = Site(tmp_path, server, config)
        site.write_file()
        said = site.play(block(TAKE_OVER, "migrate --from"))
        assert "audited" in said
        with Client(site.rpc) as client:
            client.result(UPDATE, 1, "BTC", "deposit", 2**40, "1", {})
            client.result(LIMIT, 1, "BTCUSDT", 1, "0.5", "99999", "0.002", "0.001", "api")
            wanted = client.result(QUERY, 1, "BTC", "USDT")
        status = site.running.status()
        counters = [status[name] for name in ("operlog_id", "order_id", "deal_id")]
        site.play(block(TAKE_OVER, "makeslice"))
        assert site.engine is None
        assert counters_of(server) == counters
        for asset, balance in wanted.items():
            # What clients are shown is cut to eight decimals.
            available, frozen = (cut(value) for value in sliced_balances(server, 1, asset))
            assert available == cut(Decimal(balance["available"])), asset
            assert frozen == cut(Decimal(balance["freeze"])), asset
        if source == "one market":
            model = small_model()
            last = load(model, lambda sql: server.rows(sql, LOG), lambda _: f"operlog_{day()}")
            assert [last, model.last_order_id, model.last_deal_id] == counters
            for asset, balance in wanted.items():
                assert model.available[1, asset] == Decimal(balance["available"])
                assert model.frozen[1, asset] == Decimal(balance["freeze"])
    finally:
        server.close()


def cut(value: Decimal) -> Decimal:
    return value.quantize(Decimal("1e-8"), ROUND_DOWN)


def counters_of(server: Mariadb) -> list[int]:
    """Of the newest slice: the last entry of the operation log, the last order, the last deal."""
    sql = (
        "SELECT end_oper_id, end_order_id, end_deals_id FROM slice_history ORDER BY id DESC LIMIT 1"
    )
    return [int(number) for number in server.rows(sql, LOG)[0]]


def sliced_balances(server: Mariadb, user: int, asset: str) -> tuple[Decimal, Decimal]:
    """Available and frozen in the newest slice."""
    ((time,),) = server.rows("SELECT time FROM slice_history ORDER BY id DESC LIMIT 1", LOG)
    where = f"WHERE user_id = {user} AND asset = '{asset}'"
    rows = server.rows(f"SELECT t, balance FROM slice_balance_{time} {where}", LOG)  # noqa: S608
    found = {int(kind): Decimal(balance) for kind, balance in rows}
    return found.get(1, Decimal(0)), found.get(2, Decimal(0))
