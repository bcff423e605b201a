"""The marketprice process: deals from Kafka, candles in Redis, answers over RPC."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from viabtc import _core
from viabtc.edges.httpclient import DoorError
from viabtc.edges.mysql import MysqlReader
from viabtc.edges.redis import open_redis
from viabtc.marketprice.board import new_board
from viabtc.marketprice.follow import Follower
from viabtc.marketprice.history import DealHistory
from viabtc.marketprice.keeper import Keeper
from viabtc.marketprice.listing import listed_markets
from viabtc.marketprice.redis_store import RedisStore
from viabtc.marketprice.settings import MarketpriceSettings, read_marketprice
from viabtc.marketprice.store import StoreError
from viabtc.protocol.addresses import Place
from viabtc.service import run
from viabtc.service.failure import StartFailure, core_failures

LIST_INTERVAL_S: Final = 2.0
"""Pause between two looks at the list of markets: so soon a new one is answered for."""

_LOAD_ATTEMPTS: Final = 5
"""A failover in progress may cost the first ones."""

_LOAD_RETRY_S: Final = 1.0


class MarketpricePart(run.Part):
    """The board with what fills, keeps and shows it."""

    def __init__(
        self,
        board: _core.MarketBoard,
        rpc: _core.RpcServer,
        keeper: Keeper,
        follower: Follower,
        tasks: "list[asyncio.Task[None]]",
    ) -> None:
        self.rpc = rpc
        self.tasks = tasks
        self._board = board
        self._keeper = keeper
        self._follower = follower

    def is_ready(self) -> bool:
        return self._follower.has_caught_up

    def ports(self) -> Sequence[run.Port]:
        return (self.rpc,)

    async def beat(self) -> None:
        await super().beat()
        # Whoever counts deals in holds the board, and must let go of it.
        await asyncio.to_thread(self._board.metrics)

    def status(self) -> dict[str, Any]:
        stored = self._keeper.stored
        return {
            "rpc": self.rpc.addresses,
            "markets": len(self._board.markets),
            "offset": self._board.position["offset"],
            "number": self._board.position["number"],
            "stored_offset": stored.offset if stored else None,
            "rebuilds": self._keeper.rebuilds,
            "topic": self._follower.problem or "followed",
        }

    def figures(self) -> Mapping[str, run.Figures]:
        keeper = {
            "flushes_total": self._keeper.flushes,
            "flush_failures": self._keeper.failures,
            "rebuilds_total": self._keeper.rebuilds,
        }
        return {
            "market": self._board.metrics(),
            "store": keeper,
            "deals": self._follower.counts,
            "rpc": self.rpc.metrics(),
        }


@contextlib.asynccontextmanager
async def _open(settings: MarketpriceSettings, log: Any) -> AsyncIterator[MarketpricePart]:
    async with contextlib.AsyncExitStack() as stack:
        board = await new_board(settings.board, (), debug=settings.debug)
        client = await stack.enter_async_context(open_redis(settings.redis, is_once=True))
        keeper = Keeper(board, RedisStore(client), settings.flush_interval_s, log)
        if problem := await _list_markets(board, settings.accesshttp):
            log.warning("the list of markets is not known yet", reason=problem)
        await _load(keeper, log)
        with core_failures("svr"):
            rpc = _core.RpcServer(
                board,
                list(settings.bind),
                max_pkg_size=settings.max_pkg_size,
                buf_limit=settings.buf_limit,
                heartbeat_check=settings.heartbeat_check,
                threads=settings.threads,
            )
        stack.push_async_callback(asyncio.to_thread, rpc.stop)
        history = None
        if settings.history is not None:
            reader = MysqlReader(settings.history, sessions=1)
            stack.push_async_callback(reader.close)
            history = DealHistory(reader)
        follower = Follower(board, settings.deals, history, log)
        stack.push_async_callback(keeper.close)
        listing = _keep_listing(board, settings.accesshttp, log, problem)
        tasks = run.start_tasks(stack, follower.run(), keeper.run(), listing)
        yield MarketpricePart(board, rpc, keeper, follower, tasks)


async def _load(keeper: Keeper, log: Any) -> None:
    """Reads the board from Redis.

    Raises:
        StartFailure: Redis does not answer.
    """
    for attempt in range(1, _LOAD_ATTEMPTS + 1):
        try:
            position = await keeper.load()
        except StoreError as error:
            if attempt == _LOAD_ATTEMPTS:
                raise StartFailure(
                    f"the market data cannot be read: {error}",
                    "start Redis and its Sentinels, or correct the section redis",
                ) from error
            if attempt == 1:
                log.warning("waiting for redis: the market data cannot be read", reason=str(error))
            await asyncio.sleep(_LOAD_RETRY_S)
        else:
            offset = position.offset if position is not None else None
            log.info("market data loaded", markets=len(keeper.board.markets), offset=offset)
            return


async def _list_markets(board: _core.MarketBoard, door: Place) -> str | None:
    """Makes the exchange's markets known; what is in the way, if something is."""
    try:
        names = await listed_markets(door)
    except (DoorError, OSError) as error:
        return str(error) or type(error).__name__
    await asyncio.to_thread(board.list_markets, names)
    return None


async def _keep_listing(
    board: _core.MarketBoard, door: Place, log: Any, problem: str | None
) -> None:
    """Looks for new markets until it is cancelled; says once what is in the way."""
    while True:
        await asyncio.sleep(LIST_INTERVAL_S)
        before, problem = problem, await _list_markets(board, door)
        if problem is not None and before is None:
            log.warning("the list of markets cannot be read", reason=problem)


SERVICE = run.Service("marketprice", read_marketprice, _open)
