"""What a service's own machine must give it: its file, its ports, its disk."""

import contextlib
import errno
import json
import os
import shutil
import socket
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from viabtc.doctor.check import OK, PATIENCE_S, WARNING, WRONG, Check
from viabtc.protocol.addresses import Place, read_place
from viabtc.service.settings import MISSING, Findings, Problem, SettingsError

Read = Callable[[str, Path], tuple[Any, Findings]]
"""Reads the file of a service, as the service does."""

_SPACE_WARNING_BYTES: Final = 5 << 30
_SPACE_MIN_BYTES: Final = 512 << 20
"""Below it the journal's reserve and the next segments have no room."""

_SYNCS: Final = 16
_SYNC_WARNING_S: Final = 0.02
"""A sync that takes longer bounds how soon writes are answered."""


def own(data: Mapping[str, Any]) -> dict[str, Any]:
    """Our section of a configuration."""
    section = data.get("viabtc")
    return section if isinstance(section, dict) else {}


def file(name: str, path: Path, read: Read) -> Iterator[Check]:
    """Whether the service can use its file."""
    try:
        _, findings = read(name, path)
    except SettingsError as error:
        for problem in error.problems:
            verb = "add it:" if problem.what == MISSING else "make it"
            yield _found(name, path, WRONG, problem, verb)
        return
    for problem in findings.unknown:
        yield _found(name, path, WARNING, problem, "correct or remove it:")
    for problem in findings.exposed:
        yield _found(name, path, WARNING, problem, "make it")
    if path.stat().st_mode & 0o004:
        yield Check(name, str(path), WARNING, "everybody may read it", f"chmod 640 {path}")
    yield Check(name, str(path), OK, "can be used")


def _found(name: str, path: Path, state: str, problem: Problem, verb: str) -> Check:
    """What reading a file found, with what would be right as an instruction."""
    what = f"{problem.key} {problem.what}"
    return Check(name, str(path), state, what, f"{verb} {problem.right}")


def ports(name: str, data: Mapping[str, Any]) -> Iterator[Check]:
    """Whether each port that the service opens is free, or its own already."""
    control = str(own(data).get("control", ""))
    for text in (*_bound(data, "svr"), *_bound(data, "monitor"), data.get("cli", ""), control):
        if not isinstance(text, str):
            continue
        is_datagram = text.lower().startswith("udp@")
        place = read_place(text.partition("@")[2] if is_datagram else text)
        if place is None:
            continue
        error = _probe(place, is_datagram=is_datagram)
        if error is not None:
            yield _taken(name, text, control, error)
        else:
            yield Check(name, text, OK, "is free")


def _bound(data: Mapping[str, Any], key: str) -> list[object]:
    section = data.get(key)
    bind = section.get("bind", ()) if isinstance(section, dict) else ()
    return list(bind) if isinstance(bind, list | tuple) else [bind]


def _probe(place: Place, *, is_datagram: bool) -> OSError | None:
    kind = socket.SOCK_DGRAM if is_datagram else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as probe:
        if not is_datagram:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
            if not is_datagram:
                # A socket that only reserves the port would not be in the way.
                probe.listen()
        except OSError as error:
            return error
    return None


def _taken(name: str, text: str, control: str, error: OSError) -> Check:
    if error.errno == errno.EADDRINUSE:
        if _answers(name, control):
            return Check(name, text, OK, f"{name} serves")
        port = text.rpartition(":")[2]
        kind = "u" if text.lower().startswith("udp@") else "t"
        return Check(
            name,
            text,
            WRONG,
            "another process listens there",
            f"find it with: ss -l{kind}np 'sport = :{port}', and stop it or choose another port",
        )
    return Check(
        name, text, WRONG, f"cannot be listened on: {error.strerror}", "choose another address"
    )


def _answers(name: str, control: str) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return bool(json.loads(_ask(f"http://{control}/status"))["service"] == name)
    return False


def figures(name: str, data: Mapping[str, Any]) -> dict[str, float]:
    """Metrics without labels of the running service; none when it does not run."""
    control = str(own(data).get("control", ""))
    if not control or not _answers(name, control):
        return {}
    with contextlib.suppress(OSError, ValueError):
        text = _ask(f"http://{control}/metrics").decode()
        families = text_string_to_metric_families(text)
        samples = (sample for family in families for sample in family.samples)
        return {sample.name: sample.value for sample in samples if not sample.labels}
    return {}


def _ask(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=PATIENCE_S) as response:  # noqa: S310
        body: bytes = response.read()
    return body


def disk(name: str, data: Path) -> Iterator[Check]:
    """Whether the engine's folder has room, and how long a sync there takes."""
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
    with tempfile.TemporaryFile(dir=place, buffering=0) as written:
        for _ in range(_SYNCS):
            began_s = time.perf_counter()
            written.write(bytes(4096))
            os.fdatasync(written.fileno())
            times.append(time.perf_counter() - began_s)
    return statistics.median(times)
