"""An engine of the test's process whose projections write to a real MariaDB."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.configs import small_config
from harness.mariadb import HISTORY, LOG, PASSWORD, USER, Mariadb
from viabtc import _core
from viabtc.edges.mysql import MysqlSettings
from viabtc.matchengine.databases import open_projections
from viabtc.matchengine.holder import open_holder
from viabtc.matchengine.settings import Databases

if TYPE_CHECKING:
    from viabtc.service.projection import Projection

DEADLINE_S: Final = 60.0
LOOK_S: Final = 0.005
"""Pause between looks at a condition."""


class Log:
    """Keeps what projections say."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def _note(self, text: str, **fields: Any) -> None:
        self.lines.append((text, fields))

    info = warning = error = _note


class Rig:
    """An engine of this process, and its projections."""

    def __init__(self, directory: Path) -> None:
        text = json.dumps({key: small_config()[key] for key in ("assets", "markets")})
        self.directory = directory
        self.engine = _core.Engine(text, str(directory))
        self.log = Log()
        self.projections: list[Projection] = []
        self._last = 0

    def call(self, command: int, *params: Any) -> Any:
        body = json.loads(self.engine.call(command, json.dumps(params).encode()))
        assert body["error"] is None, (command, params, body)
        return body["result"]

    def deposit(self, user: int, asset: str = "BTC", amount: str = "1", **detail: Any) -> None:
        self._last += 1
        self.call(102, user, asset, "deposit", self._last, amount, detail)

    def trade(self, count: int, seed: int = 1) -> None:
        """Deposits and crossing orders of three users."""
        draw = random.Random(seed)
        for user in (1, 2, 103):
            self.deposit(user, "BTC", "1000")
            self.deposit(user, "USDT", "1000000")
        for _ in range(count):
            side, price = draw.choice((1, 2)), str(draw.randrange(98, 103))
            order = (draw.choice((1, 2, 103)), "BTCUSDT", side, "0.01", price, "0.002", "0.001")
            self.call(201, *order, "it's")

    @contextlib.asynccontextmanager
    async def following(
        self, server: Mariadb, port: int | None = None, *, take_over: bool = False
    ) -> AsyncIterator[None]:
        databases = Databases(*(settings(server, name, port) for name in (HISTORY, LOG)))
        with open_holder(self.directory) as holder:
            async with open_projections(
                self.engine, databases, self.log, holder, take_over=take_over
            ) as projections:
                self.projections = list(projections)
                yield
        self.projections = []

    async def until_written(self) -> None:
        await until(lambda: all(projection.lag() == 0 for projection in self.projections), self)


def settings(server: Mariadb, name: str, port: int | None = None) -> MysqlSettings:
    return MysqlSettings("127.0.0.1", port or server.port, USER, PASSWORD, name)


async def until(is_so: Callable[[], bool], rig: Rig) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, rig.log.lines[-5:]
        await asyncio.sleep(LOOK_S)


def run(test: Any) -> None:
    asyncio.run(test)


def written(server: Mariadb) -> dict[str, list[dict[str, str]]]:
    """All rows of both databases but ours."""
    return {
        table: rows
        for database in (HISTORY, LOG)
        for table, rows in server.documents(database).items()
        if not table.startswith("viabtc_")
    }
