"""A disk that has no space, for a while."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from harness.configs import small_config
from harness.model import UPDATE_BALANCE
from viabtc import _core

DEADLINE_S: Final = 20.0
"""For writes to go on after there is space."""

SEGMENT_BYTES: Final = 8192

_QUERY: Final = 101
_UNAVAILABLE: Final = 3
_LOOK_S: Final = 0.02


@contextlib.contextmanager
def small_disk(directory: Path, size: str) -> Iterator[None]:
    """Mounts a file system of `size` at `directory`; skips the test where that is not allowed."""
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(path: Path) -> None:
    """Takes all the space that there is."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def until_reserved(data: Path) -> None:
    """Waits until the journal has its spare segments, so that nothing else takes or frees space."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        spares = [path.stat().st_size for path in data.glob("spare-*.seg")]
        if len(spares) == 2 and spares[0] == spares[1] > 0:
            return
        assert time.monotonic() < deadline, "the journal has no reserve"
        time.sleep(_LOOK_S)


def live_on_64_kib(data: Path) -> None:
    """In a process of its own: an engine of 8 KiB segments until the disk is full, and after."""

    def call(number: int) -> Any:
        params = json.dumps([1, "BTC", "test", number, "1", {}]).encode()
        return json.loads(engine.call(UPDATE_BALANCE, params))["error"]

    config = json.dumps(small_config())
    engine = _core.Engine(config, str(data), segment_bytes=SEGMENT_BYTES)
    until_reserved(data)
    fill(data / "ballast")
    number = 1
    while (error := call(number)) is None:
        number += 1
        assert number < 10_000, "the disk is never full"
    assert error["code"] == _UNAVAILABLE
    assert json.loads(engine.call(_QUERY, b'[1, "BTC"]'))["error"] is None
    (data / "ballast").unlink()
    deadline = time.monotonic() + DEADLINE_S
    while call(number) is not None:
        assert time.monotonic() < deadline, "writes do not go on"
        time.sleep(_LOOK_S)
    status = engine.status()
    assert status["sequence"] == number
    assert engine.stop()
    again = _core.Engine(config, str(data), segment_bytes=SEGMENT_BYTES)
    assert again.status()["digest"] == status["digest"]
