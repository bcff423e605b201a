"""`viabtc doctor`: what is wrong with a machine and with what services need, and what to do."""

import asyncio
import contextlib
import ctypes
import dataclasses
import errno
import json
import os
import shutil
import socket
import statistics
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from viabtc.edges.kafka import TopicError, TopicSettings, open_topic
from viabtc.edges.mysql import MysqlSettings, connect, select
from viabtc.edges.redis import RedisSettings, Unreachable, ask_sentinel, open_redis
from viabtc.edges.store import StoreError
from viabtc.protocol.addresses import Place, read_place
from viabtc.protocol.frames import heartbeat
from viabtc.service.settings import Findings, SettingsError, load

OK: Final = "ok"
WARNING: Final = "warning"
WRONG: Final = "wrong"

_SPACE_WARNING_BYTES: Final = 5 << 30
_SPACE_MIN_BYTES: Final = 512 << 20
"""Below it the journal's reserve and the next segments have no room."""

_SYNCS: Final = 16
_SYNC_WARNING_S: Final = 0.02
"""A sync that takes longer bounds how soon writes are answered."""

_TIME_ERROR: Final = 5
"""What `adjtimex` answers while the clock is not synchronised."""

_SKEW_MAX_S: Final = 1.0
_TIMEOUT_S: Final = 3.0

Read = Callable[[str, Path], tuple[Any, Findings]]
"""Reads the file of a service, as the service does."""


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    service: str
    subject: str
    state: str
    what: str
    do: str = ""


def examine(services: Mapping[str, Path], read: Read) -> list[Check]:
    """Looks at everything that the files name."""
    checks: list[Check] = [_clock()]
    for name, path in services.items():
        checks += _examine_file(name, path, read)
        try:
            data = load(path)
        except SettingsError:
            continue
        checks += _ports(name, data)
        if name == "matchengine":
            checks += _disk(name, Path(_own(data).get("data", path.parent / "viabtc-data")))
        checks += asyncio.run(_outside(name, data))
    return checks


def show(checks: list[Check], *, as_json: bool) -> int:
    """Prints what was found; 0 when nothing is wrong, else 1."""
    if as_json:
        print(json.dumps([dataclasses.asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            do = f". What to do: {check.do}" if check.do else ""
            print(f"{check.state:<8} {check.service} {check.subject}: {check.what}{do}")
    return 1 if any(check.state == WRONG for check in checks) else 0


def _clock() -> Check:
    """Whether somebody keeps this machine's time, as the kernel was told."""
    libc = ctypes.CDLL(None, use_errno=True)
    # All zero asks and sets nothing; the structure takes 208 bytes.
    state = libc.adjtimex(ctypes.create_string_buffer(256))
    if state in (-1, _TIME_ERROR):
        do = "install chrony or systemd-timesyncd: logged times and days follow this clock"
        return Check("machine", "clock", WARNING, "nobody keeps it right", do)
    return Check("machine", "clock", OK, "is kept right")


def _own(data: Mapping[str, Any]) -> dict[str, Any]:
    own = data.get("viabtc")
    return own if isinstance(own, dict) else {}


def _examine_file(name: str, path: Path, read: Read) -> Iterator[Check]:
    try:
        _, findings = read(name, path)
    except SettingsError as error:
        for problem in error.problems:
            yield Check(name, str(path), WRONG, f"{problem.key} {problem.what}", problem.right)
        return
    for problem in (*findings.unknown, *findings.exposed):
        yield Check(name, str(path), WARNING, f"{problem.key} {problem.what}", problem.right)
    if path.stat().st_mode & 0o004:
        yield Check(name, str(path), WARNING, "everybody may read it", f"chmod 640 {path}")
    yield Check(name, str(path), OK, "can be used")


def _ports(name: str, data: Mapping[str, Any]) -> Iterator[Check]:
    server = data.get("svr")
    bind = server.get("bind", ()) if isinstance(server, dict) else ()
    wanted = [bind] if isinstance(bind, str) else list(bind)
    control = _own(data).get("control", "")
    for text in (*wanted, data.get("cli", ""), control):
        place = read_place(text) if isinstance(text, str) else None
        if place is None:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(place)
                # A socket that only reserves the port would not be in the way.
                probe.listen()
            except OSError as error:
                yield _taken(name, text, str(control), error)
                continue
        yield Check(name, text, OK, "is free")


def _taken(name: str, text: str, control: str, error: OSError) -> Check:
    if error.errno == errno.EADDRINUSE:
        if _answers(name, control):
            return Check(name, text, OK, f"{name} serves")
        port = text.rpartition(":")[2]
        return Check(
            name,
            text,
            WRONG,
            "another process listens there",
            f"find it with: ss -ltnp 'sport = :{port}', and stop it or choose another port",
        )
    return Check(
        name, text, WRONG, f"cannot be listened on: {error.strerror}", "choose another address"
    )


def _answers(name: str, control: str) -> bool:
    with contextlib.suppress(OSError, ValueError):
        address = f"http://{control}/status"
        with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as response:
            return bool(json.load(response)["service"] == name)
    return False


def _disk(name: str, data: Path) -> Iterator[Check]:
    place = data
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        yield Check(
            name,
            str(data),
            WRONG,
            f"{place} is no directory that this user may write",
            "make it, or run this as the user of the service",
        )
        return
    free = shutil.disk_usage(place).free
    state = OK if free >= _SPACE_WARNING_BYTES else WARNING
    state = WRONG if free < _SPACE_MIN_BYTES else state
    do = "" if state == OK else "free space: without it writes are refused"
    yield Check(name, f"{data} space", state, f"{free >> 20} MiB are free", do)
    took_s = _sync_s(place)
    state = OK if took_s <= _SYNC_WARNING_S else WARNING
    do = "" if state == OK else "use a disk with a faster sync: writes wait for it"
    yield Check(name, f"{data} sync", state, f"takes {took_s * 1000:.1f} ms", do)


def _sync_s(place: Path) -> float:
    """Median time of a synced write of a block."""
    times = []
    with tempfile.TemporaryFile(dir=place, buffering=0) as file:
        for _ in range(_SYNCS):
            began_s = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began_s)
    return statistics.median(times)


async def _outside(name: str, data: Mapping[str, Any]) -> list[Check]:
    checks: list[Check] = []
    for key, folder in (("db_log", "log"), ("db_history", "history")):
        section = data.get(key, _own(data).get(key))
        if isinstance(section, dict):
            checks.append(await _database(name, key, folder, section))
    if isinstance(section := data.get("redis"), dict):
        checks.append(await _redis(name, section))
        checks += await _sentinels(name, section)
    for key in ("matchengine", "marketprice", "readhistory"):
        if isinstance(section := data.get(key), dict):
            addresses = section.get("addr", ())
            for text in [addresses] if isinstance(addresses, str) else addresses:
                checks.append(await _remote(name, key, str(text)))
    brokers = data.get("brokers")
    topics = [(brokers, topic) for topic in ("balances", "orders", "deals") if brokers]
    for key in ("deals", "orders", "balances"):
        section = data.get(key)
        if isinstance(section, dict) and "brokers" in section:
            topics.append((section["brokers"], section.get("topic", key)))
    for broker, topic in topics:
        checks.append(await _topic(name, str(broker), str(topic)))
    return checks


async def _database(name: str, key: str, folder: str, section: Mapping[str, Any]) -> Check:
    settings = MysqlSettings(
        host=str(section.get("host")),
        port=int(section.get("port", 3306)),
        user=str(section.get("user")),
        password=str(section.get("pass")),
        name=str(section.get("name")),
    )
    try:
        connection = await connect(settings)
        try:
            ((version, now),) = await select(
                connection, "SELECT VERSION(), CAST(UNIX_TIMESTAMP(NOW(6)) AS CHAR)", ()
            )
            skew_s = abs(time.time() - float(now))
            done = {row[0] for row in await select(connection, _SCRIPTS, ())}
        finally:
            connection.close()
    except StoreError as error:
        do = "start the server, correct the section, or make the tables: viabtc schema FILE"
        return Check(name, f"{key} {settings}", WRONG, str(error), do)
    if skew_s > _SKEW_MAX_S:
        do = "let both machines keep the same time, by chrony or systemd-timesyncd"
        return Check(name, f"{key} {settings}", WRONG, f"its clock differs by {skew_s:.1f} s", do)
    scripts = {script.name for script in files("viabtc.edges").joinpath("schema", folder).iterdir()}
    if missing := sorted(scripts - done):
        what = f"lacks {', '.join(missing)}"
        return Check(name, f"{key} {settings}", WRONG, what, "run: viabtc schema FILE")
    return Check(name, f"{key} {settings}", OK, f"{version}, tables up to date")


_SCRIPTS: Final = "SELECT `script` FROM viabtc_schema"


def _places(section: Mapping[str, Any]) -> tuple[Place, ...]:
    listed = section.get("addr", ())
    texts = [listed] if isinstance(listed, str) else list(listed)
    return tuple(place for text in texts if (place := read_place(str(text))) is not None)


async def _redis(name: str, section: Mapping[str, Any]) -> Check:
    places = _places(section)
    group = str(section.get("name", ""))
    subject = f"redis {group or ' '.join(f'{host}:{port}' for host, port in places)}"
    try:
        async with open_redis(RedisSettings(group, places, int(section.get("db", 0)))) as client:
            found = await client.info("server")
            return Check(name, subject, OK, f"a master answers, version {found['redis_version']}")
    except (*Unreachable, IndexError) as error:
        do = "start Redis and its Sentinels, or correct the section redis"
        return Check(name, subject, WRONG, f"no master can be used: {error}", do)


async def _sentinels(name: str, section: Mapping[str, Any]) -> list[Check]:
    """Whether each Sentinel answers, and all name the same master."""
    group = str(section.get("name", ""))
    masters: dict[str, str] = {}
    checks = []
    for host, port in _places(section) if group else ():
        subject = f"sentinel {host}:{port}"
        try:
            masters[subject] = await ask_sentinel((host, port), group)
        except Unreachable as error:
            do = "start it: a failover needs the most of them"
            checks.append(Check(name, subject, WARNING, f"does not answer: {error}", do))
    agree = len(set(masters.values())) <= 1
    for subject, master in masters.items():
        if not master:
            do = f"let it watch the group {group}, or correct redis.name"
            checks.append(Check(name, subject, WRONG, f"does not watch {group}", do))
        else:
            do = "" if agree else "wait for a failover to end, or reset those that are wrong"
            checks.append(Check(name, subject, OK if agree else WRONG, f"names {master}", do))
    return checks


async def _remote(name: str, service: str, text: str) -> Check:
    """Whether a service that is called answers a heartbeat."""
    subject = f"{service} {text}"
    if (place := read_place(text)) is None:
        return Check(name, subject, OK, "is no port of TCP and is not looked at")
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(*place)
            try:
                writer.write(heartbeat(int(_TIMEOUT_S * 1000)))
                answer = await reader.read(1)
            finally:
                writer.close()
    except TimeoutError:
        reason = "it takes too long"
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
    else:
        reason = ""
    if reason:
        do = f"start {service}, or correct {service}.addr; its answers are errors until then"
        return Check(name, subject, WRONG, f"cannot be reached: {reason}", do)
    if not answer:
        do = f"correct {service}.addr: what listens there is no service of the exchange"
        return Check(name, subject, WRONG, "closes the connection at a heartbeat", do)
    return Check(name, subject, OK, "answers")


async def _topic(name: str, brokers: str, topic: str) -> Check:
    try:
        async with open_topic(TopicSettings(brokers, topic), timeout_s=_TIMEOUT_S) as reader:
            bounds = await reader.bounds()
            if (count := reader.partitions()) != 1:
                do = "make it anew with one partition: messages are in order in one only"
                return Check(name, f"topic {topic}", WRONG, f"has {count} partitions", do)
            return Check(name, f"topic {topic}", OK, f"ends at offset {bounds.end}")
    except TopicError as error:
        do = f"start Kafka at {brokers}, and make the topic with one partition"
        return Check(name, f"topic {topic}", WRONG, f"cannot be read: {error}", do)
