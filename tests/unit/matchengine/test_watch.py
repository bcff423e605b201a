"""The engine's watch: an imbalance is told once and soon, a change leads to a slice."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from viabtc.matchengine.watch import Watch

if TYPE_CHECKING:
    from viabtc import _core
    from viabtc.matchengine.snapshots import Snapshots

HALT = {"asset": "BTC", "detail": "1 is not 2", "command": 102, "sequence": 7, "time_us": 1}
HALT |= {"file": "imbalance-7.txt"}

DEADLINE_S = 1.0


class FakeEngine:
    """Says what it is told to say."""

    def __init__(self) -> None:
        self.halt: dict[str, Any] | None = None
        self.changed_at = 0
        self.recovery = {"sequence": 3}

    def status(self) -> dict[str, Any]:
        return {"changed_at": self.changed_at}


class FakeSnapshots:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.last_slice = 0

    def ask(self) -> None:
        self.asked += 1


class FakeLog:
    """Keeps critical lines, which go to the alert centre."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def critical(self, text: str, **fields: Any) -> None:
        self.lines.append((text, fields))


def watched(act: Callable[[FakeEngine, FakeSnapshots, FakeLog, Watch], Any]) -> None:
    """Runs a watch over fakes while `act` goes on."""

    async def run() -> None:
        engine, snapshots, log = FakeEngine(), FakeSnapshots(), FakeLog()
        watch = Watch(cast("_core.Engine", engine), cast("Snapshots", snapshots), log)
        task = asyncio.create_task(watch.run())
        await act(engine, snapshots, log, watch)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())


async def until(look: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
    end = time.monotonic() + deadline_s
    while not look():
        assert time.monotonic() < end, "did not come true"
        await asyncio.sleep(0.01)


def test_an_imbalance_is_told_within_a_second_and_once() -> None:
    async def act(engine: FakeEngine, snapshots: FakeSnapshots, log: FakeLog, _: Watch) -> None:
        engine.halt = HALT
        await until(lambda: log.lines)
        engine.changed_at = 9
        await until(lambda: snapshots.asked)
        (line,) = log.lines
        assert line[0].startswith("trading is halted")
        assert (line[1]["asset"], line[1]["command"]) == ("BTC", 102)

    watched(act)


def test_a_change_closes_the_way_back_until_a_slice_is_made() -> None:
    async def act(engine: FakeEngine, snapshots: FakeSnapshots, _: FakeLog, watch: Watch) -> None:
        assert watch.way_back() == "open"
        # One of an earlier run: whether a slice came behind it is not known.
        engine.changed_at = 2
        await until(lambda: watch.way_back() != "open")
        assert snapshots.asked == 0
        engine.changed_at = 8
        await until(lambda: snapshots.asked)
        assert watch.way_back() == "closed by command 8, until the next slice"
        snapshots.last_slice = int(time.time()) + 1
        assert watch.way_back() == "open"

    watched(act)
