"""`viabtc klines` and `viabtc import-deals`: tools for market data that nobody else writes."""

import asyncio
import contextlib
import fcntl
import json
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from viabtc.edges import store as stores
from viabtc.edges.httpclient import DoorError
from viabtc.edges.kafka import TopicError, open_topic
from viabtc.edges.mysql import MysqlReader
from viabtc.edges.redis import open_redis
from viabtc.marketprice.board import BoardSettings
from viabtc.marketprice.embedded import FILE
from viabtc.marketprice.history import DealHistory
from viabtc.marketprice.imports import from_file
from viabtc.marketprice.listing import listed_markets
from viabtc.marketprice.rebuild import RebuildError, Report, Sources, from_sources
from viabtc.marketprice.redis_store import RedisStore
from viabtc.marketprice.settings import MarketpriceSettings, read_marketprice
from viabtc.marketprice.sqlite_store import open_sqlite_store
from viabtc.marketprice.store import StoreError
from viabtc.protocol.addresses import read_place
from viabtc.service.failure import EXIT_FAULT, EXIT_OK, StartFailure

_TIMEOUT_S = 10.0
"""Calls of the broker end within this."""


def verify(config: Path) -> int:
    """Compares Redis with topic and history; the exit code."""
    settings, _ = read_marketprice(config)
    return _run(_against_deals(settings, is_written=False))


def rebuild(config: Path) -> int:
    """Writes Redis anew from topic and history; the exit code."""
    settings, _ = read_marketprice(config)
    _check_stopped(settings)
    return _run(_against_deals(settings, is_written=True))


def import_into_redis(file: Path, config: Path) -> int:
    """Adds past deals to Redis; the exit code."""
    settings, _ = read_marketprice(config)
    _check_stopped(settings)

    async def work() -> Report:
        async with open_redis(settings.redis, is_once=True) as client:
            return await from_file(RedisStore(client), settings.board, file)

    return _run(work())


def import_into_directory(file: Path, data: Path, timezone: str) -> int:
    """Adds past deals to the market data of `viabtc run`, which must be stopped; the exit code."""

    async def work() -> Report:
        async with open_sqlite_store(data / FILE) as store:
            return await from_file(store, BoardSettings(timezone=timezone), file)

    if not data.is_dir():
        raise StartFailure(f"{data} is no directory", "name the data directory of `viabtc run`")
    with (data / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StartFailure(f"an engine uses {data}", "stop `viabtc run` first") from error
        return _run(work())


async def _against_deals(settings: MarketpriceSettings, *, is_written: bool) -> Report:
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(open_redis(settings.redis, is_once=True))
        topic = await stack.enter_async_context(open_topic(settings.deals, timeout_s=_TIMEOUT_S))
        history = None
        if settings.history is not None:
            reader = MysqlReader(settings.history, sessions=1)
            stack.push_async_callback(reader.close)
            history = DealHistory(reader)
        store = RedisStore(client, is_reader=not is_written)
        sources = Sources(topic, history, await _listed(settings))
        return await from_sources(store, sources, settings.board, is_written=is_written)


async def _listed(settings: MarketpriceSettings) -> frozenset[str]:
    """Markets whose first candles may open at 0; without a front door, what is stored tells."""
    if settings.board.first_candle_zero:
        with contextlib.suppress(DoorError, OSError):
            return frozenset(await listed_markets(settings.accesshttp))
    return frozenset()


def _check_stopped(settings: MarketpriceSettings) -> None:
    """Raises when the service answers: it would undo what is written."""
    for address in settings.bind:
        place = read_place(address)
        if place is None or not address.lower().startswith("tcp@"):
            continue
        try:
            socket.create_connection(place, timeout=1).close()
        except OSError:
            continue
        raise StartFailure(
            f"somebody listens on {address}: marketprice keeps what it knows in Redis",
            "stop marketprice first",
        )


def _run(work: Coroutine[Any, Any, Report]) -> int:
    try:
        report = asyncio.run(work)
    except RebuildError as error:
        raise StartFailure(str(error), "nothing was changed; correct it and try again") from error
    except (StoreError, stores.StoreError) as error:
        raise StartFailure(str(error), "start the store, or correct its address") from error
    except TopicError as error:
        raise StartFailure(f"kafka: {error}", "start the broker, or correct deals") from error
    print(json.dumps(report))  # noqa: T201 - the tool's answer
    return EXIT_OK if report["ok"] else EXIT_FAULT
