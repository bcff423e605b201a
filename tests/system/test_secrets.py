"""Secrets stay where they are: a canary in every one of them is looked for everywhere else."""

import contextlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from harness.places import ROOT
from harness.processes import Reserved, Server, spawn, start_exchange
from harness.redis_cluster import Node, new_server
from viabtc.cli import SERVICES
from viabtc.service.tokens import open_tokens

CANARY: Final = "canary-3f9c1b"

ROUTES: Final = ("/status", "/metrics", "/health", "/openapi.json", "/log/levels")

CONFIGS: Final = ROOT / "deploy" / "config"


def listeners(pid: int) -> set[str]:
    """Hexadecimal addresses that a process listens on, or takes datagrams on."""
    inodes = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        # Files that are closed meanwhile are none.
        with contextlib.suppress(FileNotFoundError):
            target = path.readlink().name
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = set()
    for table, states in (("tcp", {"0A"}), ("tcp6", {"0A"}), ("udp", {"07"}), ("udp6", {"07"})):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and fields[3] in states:
                found.add(fields[1].partition(":")[0])
    return found


LOOPBACK: Final = {"0100007F"}


def everything_said(server: Server, directory: Path) -> str:
    """What a process shows to others: arguments, environment, output, logs, its control app."""
    said = [Path(f"/proc/{server.pid}/cmdline").read_text()]
    said.append(Path(f"/proc/{server.pid}/environ").read_text())
    said.extend(server.text(route) for route in ROUTES)
    said.extend(path.read_text() for path in directory.glob("*.log"))
    return "\n".join([*said, server.said()])


def settings_of(service: str, directory: Path, control: Reserved, nowhere: Reserved) -> Any:
    """The sample of a service on ports of its own, a canary in each secret."""
    config = json.loads((CONFIGS / f"{service}.json").read_text())
    config["log"] = {"path": str(directory / service), "flag": "fatal error warn info debug trace"}
    for name in ("svr", "monitor"):
        if name in config:
            bind = config[name]["bind"]
            addresses = bind if isinstance(bind, list) else [bind]
            moved = [f"{address.rpartition(':')[0]}:0" for address in addresses]
            config[name]["bind"] = moved if isinstance(bind, list) else moved[0]
    if "cli" in config:
        config["cli"] = "tcp@127.0.0.1:0"
    for name in ("db_log", "db_history"):
        if name in config:
            config[name] |= {"host": "127.0.0.1", "port": nowhere.port, "pass": CANARY}
    if "brokers" in config:
        config["brokers"] = nowhere.place
    config["viabtc"] |= {"control": control.place}
    if service == "matchengine":
        config["viabtc"]["data"] = str(directory / "data")
    if service == "alertcenter":
        password = directory / "mail-password"
        password.write_text(CANARY)
        smtp = {"addr": nowhere.place, "from": "a@b.c", "to": ["d@e.f"], "user": "u"}
        config["viabtc"] |= {
            "spool": str(directory / "spool"),
            "smtp": {**smtp, "password_file": str(password)},
        }
    if service == "rest":
        tokens = directory / "tokens"
        open_tokens(tokens)
        config["tokens"] = str(tokens)
    return config


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A plain server: marketprice serves once it has one."""
    node = new_server(tmp_path_factory.mktemp("redis"))
    node.start()
    yield node
    node.close()


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_no_service_shows_a_secret_or_listens_beyond_the_machine(
    tmp_path: Path, service: str, redis: Node
) -> None:
    control, nowhere = Reserved(), Reserved()
    path, output = tmp_path / "config.json", tmp_path / "out"
    settings = settings_of(service, tmp_path, control, nowhere)
    if service == "marketprice":
        settings["redis"] = {"name": "", "addr": [redis.place]}
        settings["deals"]["brokers"] = nowhere.place
        settings["accesshttp"] = f"http://{nowhere.place}/"
        settings["viabtc"]["db_history"] |= {"host": "127.0.0.1", "port": nowhere.port}
        settings["viabtc"]["db_history"]["pass"] = CANARY
    path.write_text(json.dumps(settings))
    reserved = {"control": control, "nowhere": nowhere}
    process = spawn([service, str(path)], output)
    server = Server(process, f"http://{control.place}", output, reserved)
    server.until(lambda: server.get("/health/live")[0] == 200)
    try:
        assert listeners(server.pid) == LOOPBACK
        said = everything_said(server, tmp_path)
    finally:
        server.stop()
    secrets = [CANARY]
    if service == "rest":
        secrets += open_tokens(tmp_path / "tokens").by_name.values()
    said += "".join(log.read_text() for log in tmp_path.glob("*.log"))
    assert not [secret for secret in secrets if secret in said]


def test_the_whole_exchange_listens_on_the_machine_only_and_hides_its_tokens(
    tmp_path: Path,
) -> None:
    server = start_exchange(tmp_path)
    try:
        assert listeners(server.pid) == LOOPBACK
        file = tmp_path / "data" / "tokens"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        tokens = open_tokens(file).by_name.values()
        said = "".join(server.text(route) for route in ROUTES)
        said += Path(f"/proc/{server.pid}/cmdline").read_text()
        assert not [token for token in tokens if token in said]
    finally:
        assert server.stop() == 0, server.said()
