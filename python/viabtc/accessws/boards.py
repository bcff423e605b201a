"""Market data of the watched markets, kept up from the topic `deals`: pushes follow deals at once.

Each watched market has a board, which is seeded from marketprice and then follows the topic. While
it has none (nothing was traded yet, deals never came, marketprice is away) marketprice is asked for
everything, as it was before there were boards.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from viabtc import _core
from viabtc.accessws.follow import UNREADABLE
from viabtc.accessws.pushes import encode
from viabtc.accessws.questions import UNUSABLE, Questions, Reply
from viabtc.accessws.seed import (
    COVERED_S,
    Candles,
    NothingTradedError,
    SeedError,
    new_board,
    read_newest,
    windows,
)
from viabtc.contract.methods import BY_NAME
from viabtc.edges.clock import ZoneTable
from viabtc.edges.kafka import Message

_SEEDS_MAX: Final = 4
"""Markets that are seeded at once: marketprice has others to answer too."""

_DEALS: Final = (1_000, 10_000)
"""Deals that a seed asks for: more only when so many were made in one second."""

_RENEW_S: Final = (720, 900)
"""Age at which a board is seeded anew, drawn between these: it never outgrows its answers."""

_ARRIVED_MAX: Final = 20_000
"""Deals that may come while a market is being seeded."""

_RETRY_MIN_S: Final = 0.2
_RETRY_MAX_S: Final = 10.0
"""Pauses between attempts double from the one to the other."""

_INVALID_ARGUMENT: Final = 1

_MEMBERS_MIN: Final = 12
"""Of a message; the last of them is the deal's id."""


class _Seen(NamedTuple):
    """The newest deal of the topic."""

    market: str
    id: int


class _Watched:
    """A market."""

    def __init__(self) -> None:
        self.board: _core.MarketBoard | None = None
        self.until_s = 0.0
        """When the board becomes too old, on the loop's clock."""
        self.arrived: list[Message] | None = None
        """What came since the seed was begun; None when it is not wanted, or was too much."""
        self.traded = asyncio.Event()
        """A deal came since the seed was begun."""
        self.task: asyncio.Task[None] | None = None


class Boards:
    """Those of all watched markets.

    Args:
        questions: To marketprice.
        zone: Whose midnights begin days; marketprice's.
        noted: Gets `deals MARKET` when something changed.
        log: Where failures are told.
    """

    def __init__(
        self, questions: Questions, zone: ZoneTable, noted: Callable[[str], None], log: Any
    ) -> None:
        self.figures = {"seeds_total": 0, "seeds_failed_total": 0, "refused_total": 0}
        self._questions = questions
        self._zone = zone
        self._noted = noted
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._markets: dict[str, _Watched] = {}
        self._seen: _Seen | None = None
        self._has_seen = asyncio.Event()
        self._seeds = asyncio.Semaphore(_SEEDS_MAX)

    def __len__(self) -> int:
        return sum(watched.board is not None for watched in self._markets.values())

    def watched(self, market: str) -> None:
        """Somebody watches a market."""
        self._markets[market] = _Watched()
        self._begin(market)

    def unwatched(self, market: str) -> None:
        """Nobody does any more."""
        watched = self._markets.pop(market, None)
        if watched is not None and watched.task is not None:
            watched.task.cancel()

    def answer(self, market: str, method: str, params: bytes) -> Reply | None:
        """What the board says now; None when marketprice must be asked."""
        watched = self._markets.get(market)
        if watched is None or watched.board is None or self._loop.time() > watched.until_s:
            return None
        body = watched.board.call(BY_NAME[method].command, params)
        return msgspec.json.decode(body, type=Reply)

    def take(self, messages: Sequence[Message]) -> None:
        """Counts messages of the topic in, oldest first, each once."""
        fresh: dict[str, list[Message]] = {}
        for offset, payload, _ in messages:
            try:
                members = msgspec.json.decode(payload or b"", type=list[Any])
                market, number = msgspec.convert(
                    (members[1], members[_MEMBERS_MIN - 1]), type=tuple[str, int]
                )
            except UNREADABLE as error:
                self._refuse(offset, str(error))
                continue
            self._seen = _Seen(market, number)
            if market in self._markets:
                # What repeats was left out already, by number.
                fresh.setdefault(market, []).append((offset, payload, None))
        if self._seen is not None:
            self._has_seen.set()
        for market, deals in fresh.items():
            self._count(self._markets[market], deals)
            self._noted(f"deals {market}")

    def lost(self, count: int) -> None:
        """Messages never came: every board is seeded anew."""
        self._log.warning("deals never came; market data is asked for anew", count=count)
        self._seen = None
        self._has_seen.clear()
        for market, watched in list(self._markets.items()):
            if watched.task is not None:
                watched.task.cancel()
            self._markets[market] = _Watched()
            self._begin(market)
            self._noted(f"deals {market}")

    async def close(self) -> None:
        """Follows nothing more."""
        tasks = [watched.task for watched in self._markets.values() if watched.task is not None]
        for market in list(self._markets):
            self.unwatched(market)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, market: str) -> None:
        watched = self._markets[market]
        watched.task = asyncio.create_task(self._keep(market, watched))

    def _count(self, watched: _Watched, deals: list[Message]) -> None:
        watched.traded.set()
        if watched.board is not None:
            self._apply(watched.board, deals)
        if watched.arrived is not None:
            watched.arrived.extend(deals)
            if len(watched.arrived) > _ARRIVED_MAX:
                watched.arrived = None

    def _apply(self, board: _core.MarketBoard, deals: list[Message]) -> None:
        for offset, reason in board.apply_messages(deals)["refused"]:
            self._refuse(offset, reason)

    def _refuse(self, offset: int, reason: str) -> None:
        self.figures["refused_total"] += 1
        self._log.error("a message is not counted", topic="deals", offset=offset, reason=reason)

    async def _keep(self, market: str, watched: _Watched) -> None:
        """Seeds a market again and again, until it is cancelled."""
        pause_s = _RETRY_MIN_S
        while True:
            await self._has_seen.wait()
            try:
                async with self._seeds:
                    watched.traded.clear()
                    watched.arrived = []
                    board = await self._try_seed(market)
                self._catch_up(board, watched)
            except NothingTradedError:
                watched.arrived = None
                await watched.traded.wait()
                # What was traded is on its way to marketprice as well.
                await asyncio.sleep(_RETRY_MIN_S)
            except SeedError as error:
                self.figures["seeds_failed_total"] += 1
                if pause_s == _RETRY_MAX_S:
                    self._log.warning("no market data", market=market, reason=str(error))
                watched.arrived = None
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _RETRY_MAX_S)
            else:
                pause_s = _RETRY_MIN_S
                watched.board = board
                watched.until_s = self._loop.time() + COVERED_S - 1
                self.figures["seeds_total"] += 1
                self._noted(f"deals {market}")
                await asyncio.sleep(random.uniform(*_RENEW_S))

    def _catch_up(self, board: _core.MarketBoard, watched: _Watched) -> None:
        """Counts in what came since the seed was begun."""
        arrived, watched.arrived = watched.arrived, None
        if arrived is None:
            message = f"more than {_ARRIVED_MAX} deals came meanwhile"
            raise SeedError(message)
        self._apply(board, arrived)

    async def _try_seed(self, market: str) -> _core.MarketBoard:
        try:
            return await self._seed(market)
        except UNUSABLE as error:
            self._questions.complain(market, error)
            message = "an answer cannot be used"
            raise SeedError(message) from error

    async def _seed(self, market: str) -> _core.MarketBoard:
        """A board as of some deal behind the newest that the topic had shown before.

        Raises:
            NothingTradedError: there is nothing to begin with.
            SeedError: it did not work.
        """
        seen = self._seen
        if seen is None:
            message = "deals never came"
            raise SeedError(message)
        for limit in _DEALS:
            # One after the other on one connection: nothing is older than what was checked.
            reached, result, last = await asyncio.gather(
                self._ask("market.deals", seen.market, 1, 0),
                self._ask("market.deals", market, limit, 0),
                self._ask("market.last", market),
            )
            _check_reached(reached, seen)
            try:
                newest = read_newest(result, limit)
                break
            except SeedError:
                if limit == _DEALS[-1]:
                    raise
        asked = windows(newest.second, int(time.time()))
        reached, *answers = await asyncio.gather(
            self._ask("market.deals", seen.market, 1, 0),
            *(self._ask("market.kline", market, *window) for window in asked),
        )
        _check_reached(reached, seen)
        rows = Candles(*(msgspec.json.decode(answer) for answer in answers))
        return new_board(market, self._zone, newest, rows, msgspec.json.decode(last, type=str))

    async def _ask(self, method: str, *params: Any) -> bytes:
        answered: asyncio.Future[Reply | None] = self._loop.create_future()

        def then(reply: Reply | None) -> None:
            if not answered.done():
                answered.set_result(reply)

        self._questions.ask(method, encode(params), then)
        reply = await answered
        if reply is None:
            message = f"{method} got no answer"
            raise SeedError(message)
        if reply.error is not None:
            if reply.error.get("code") == _INVALID_ARGUMENT:
                raise NothingTradedError
            message = f"{method}: {reply.error}"
            raise SeedError(message)
        return bytes(reply.result)


def _check_reached(result: bytes, seen: _Seen) -> None:
    """Whether marketprice has counted the newest deal of the topic in.

    Raises:
        SeedError: it has not, so that what it says may lack deals which will not come again.
    """
    newest = msgspec.json.decode(result)
    if not newest or newest[0]["id"] < seen.id:
        message = f"marketprice is behind deal {seen.id}"
        raise SeedError(message)
