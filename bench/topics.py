"""Messages to and from a real broker: `.venv/bin/python bench/topics.py`.

Writes rendered deals as the matching engine does, reads them back and counts them into candles as
marketprice does. The broker, a process of the same machine, is started and stopped here; its jars
come from Maven Central once.
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
import uvloop

from viabtc import _core
from viabtc.edges.kafka import TopicSettings
from viabtc.edges.store import Position
from viabtc.edges.topics import TopicsStore
from viabtc.marketprice.follow import Follower
from viabtc.matchengine.topics import MESSAGES_MAX

ROOT: Final = Path(__file__).parents[1]
LOOK_S: Final = 0.005
DEADLINE_S: Final = 600.0
"""By then the messages have been counted, or never will be."""

DEAL: Final = (
    '[%d.134876, "BTCUSDT", 3, 2, 1, 2, "9.50000000", "1.00000000", "0.01900000000000000000",'
    ' "0.001500000000", 1, %d, "BTC", "USDT"]'
)

FIRST_S: Final = 1_795_426_011
"""Second of the first deal; a thousand follow in each."""

TARGETS: Final = {"written": 150_000, "counted": 100_000}
"""Messages per second. Source: the figures of the design."""


@dataclass
class Batch:
    """What the feed would give."""

    sequence: int
    content: dict[str, Any]
    part: int = 0
    rows: int = 0


class Watch:
    """Wall clock and CPU of this process from here on."""

    def __init__(self) -> None:
        self._started, self._cpu = time.perf_counter(), cpu_s()

    def say(self, what: str, count: int) -> None:
        wall, cpu = time.perf_counter() - self._started, cpu_s() - self._cpu
        mark = "met" if count / wall >= TARGETS[what] else "missed"
        print(
            f"{what:<8} {count / wall:>10,.0f}/s {count / cpu:>12,.0f} per CPU-second,"
            f" target {TARGETS[what]:,}/s {mark}"
        )


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def measure(broker: str, file: Path, count: int) -> None:
    log = structlog.get_logger()
    numbers = range(1, count + 1)
    deals = [(n, n, 0, (DEAL % (FIRST_S + n // 1000, n)).encode()) for n in numbers]
    store = TopicsStore(broker, file, 1, log)
    await store.position()
    watch = Watch()
    for start in range(0, count, MESSAGES_MAX):
        part = deals[start : start + MESSAGES_MAX]
        content = {"balances": [], "orders": [], "deals": part}
        await store.write(Batch(part[-1][1], content), Position())
    watch.say("written", count)
    await store.close()

    board = _core.MarketBoard(["BTCUSDT"])
    follower = Follower(board, TopicSettings(broker, "deals"), None, log)
    watch = Watch()
    task = asyncio.create_task(follower.run())
    async with asyncio.timeout(DEADLINE_S):
        while not follower.has_caught_up:  # noqa: ASYNC110 - the follower has no reason to tell
            await asyncio.sleep(LOOK_S)
    watch.say("counted", count)
    if board.position["number"] != count:
        raise SystemExit(f"only {board.position['number']} of {count} deals came")
    task.cancel()
    await asyncio.wait([task])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=300_000)
    count = parser.parse_args().messages
    sys.path.insert(0, str(ROOT / "tests"))
    from harness.kafka import Broker

    with tempfile.TemporaryDirectory() as directory:
        broker = Broker(Path(directory) / "broker")
        try:
            broker.start()
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(measure(broker.place, Path(directory) / "topics.json", count))
        finally:
            broker.close()


if __name__ == "__main__":
    main()
