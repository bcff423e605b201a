"""The matchengine process: engine, RPC port, console, snapshots."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from viabtc import __version__, _core
from viabtc.contract.methods import BY_NAME
from viabtc.matchengine.console import Console, serve_console
from viabtc.matchengine.databases import HISTORY, OPERLOG, open_projections
from viabtc.matchengine.holder import open_holder
from viabtc.matchengine.settings import (
    Databases,
    EngineSettings,
    MatchengineSettings,
    RpcSettings,
    read_matchengine,
)
from viabtc.matchengine.shared_log import SharedLog, open_shared_log
from viabtc.matchengine.slices import SlicePlace
from viabtc.matchengine.snapshots import Slicing, Snapshots
from viabtc.matchengine.succession import refuse_unknown_entries
from viabtc.matchengine.topics import NAME as TOPICS
from viabtc.matchengine.topics import open_topics
from viabtc.matchengine.watch import Watch
from viabtc.protocol.addresses import Place
from viabtc.service import run
from viabtc.service.failure import StartFailure, core_failures
from viabtc.service.projection import keep_positions

if TYPE_CHECKING:
    from fastapi import FastAPI

    from viabtc.service.projection import Projection


_DRAIN_S: Final = 2.0
"""How long a stop waits for the operation log to take what is not acknowledged."""


class EnginePart(run.Part):
    """A running engine with its ports."""

    def __init__(
        self,
        engine: _core.Engine,
        rpc: _core.RpcServer,
        snapshots: Snapshots,
        watch: Watch,
    ) -> None:
        self.engine = engine
        self.rpc = rpc
        self.console: Place | str | None = None
        """Where it listens, if there is one."""
        self.projections: dict[str, Projection] = {}
        self.awaited: Projection | None = None
        """The one that acknowledges writes, if one does."""
        self.snapshots = snapshots
        self._watch = watch

    def is_alive(self) -> bool:
        is_fenced = any(projection.is_fenced for projection in self.projections.values())
        return super().is_alive() and self.engine.is_alive() and not is_fenced

    def pending(self, name: str) -> int:
        """Commands that a projection has not taken yet; 0 for one that nobody writes."""
        projection = self.projections.get(name)
        return 0 if projection is None else projection.lag()

    def ports(self) -> Sequence[run.Port]:
        return (self.rpc,)

    def is_ready(self) -> bool:
        return self.awaited is None or self.awaited.has_caught_up

    async def beat(self) -> None:
        await super().beat()
        await asyncio.to_thread(self.engine.status)

    def status(self) -> dict[str, Any]:
        return {
            "rpc": self.rpc.addresses,
            "console": self.console,
            "recovery": self.engine.recovery,
            "snapshot_sequence": self.snapshots.last_sequence,
            "slice_time": self.snapshots.last_slice,
            "way_back": self._watch.way_back(),
            "halt": self.engine.halt,
            "halted_markets": self._halted(),
            "sums": {
                row["name"]: {name: row[name] for name in ("total", "fees_collected", "supply")}
                for row in self.engine.summaries()
            },
            "projections": {
                name: {
                    "sequence": projection.position.sequence,
                    "part": projection.position.part,
                    "lag_commands": projection.lag(),
                    "problem": projection.problem,
                }
                for name, projection in self.projections.items()
            },
            **self.engine.status(),
        }

    def _halted(self) -> list[str]:
        """Markets that take no new orders."""
        state = json.loads(self.engine.call(BY_NAME["exchange.state"].command, b"[]"))
        halted: list[str] = state["result"]["halted"]
        return halted

    def figures(self) -> Mapping[str, run.Figures]:
        snapshots = {
            "last_sequence": self.snapshots.last_sequence,
            "failures_total": self.snapshots.failures,
            "last_slice_time": self.snapshots.last_slice,
            "slice_failures_total": self.snapshots.slice_failures,
        }
        return {
            "engine": self.engine.metrics(),
            "rpc": self.rpc.metrics(),
            "snapshots": snapshots,
            **{name: projection.figures() for name, projection in self.projections.items()},
        }

    def extend(self, app: "FastAPI") -> None:
        from fastapi.responses import JSONResponse

        @app.post("/audit")
        def audit() -> JSONResponse:
            """Recomputes every invariant from the whole state; the engine waits meanwhile."""
            report = self.engine.audit()
            return JSONResponse(report, status_code=200 if report["ok"] else 500)


def start_engine(settings: EngineSettings, shared: SharedLog | None = None) -> _core.Engine:
    """Recovers and starts the engine.

    Raises:
        StartFailure: it cannot start.
    """
    with core_failures():
        return _core.Engine(
            settings.config,
            str(settings.data),
            durability=settings.durability,
            segment_bytes=settings.segment_bytes,
            epoch_min=0 if shared is None else shared.epoch,
            is_continued=shared is not None,
            build=f"viabtc {__version__}",
        )


@contextlib.asynccontextmanager
async def open_engine(
    settings: EngineSettings,
    rpc: RpcSettings,
    console: Place | str | None,
    log: Any,
    shared: SharedLog | None = None,
    databases: Databases | None = None,
) -> AsyncIterator[EnginePart]:
    """Opens engine and ports; closing answers what was taken and seals the journal.

    Args:
        settings: Of the engine.
        rpc: Of its port.
        console: Where it listens, a path for a UNIX socket; None for no console.
        log: Of the service.
        shared: A log that the engine continues before a port is open.
        databases: Where the engine writes, if the journal alone says where it goes on.

    Raises:
        StartFailure: something cannot be opened.
    """
    async with contextlib.AsyncExitStack() as stack:
        engine = await asyncio.to_thread(start_engine, settings, shared)
        stack.push_async_callback(asyncio.to_thread, engine.stop)
        if shared is not None:
            with core_failures():
                await shared.continue_engine(engine)
        elif databases is not None:
            await refuse_unknown_entries(databases, engine, log)
        if settings.durability == "async":
            log.warning("writes are acknowledged before they are on the disk", durability="async")
        with core_failures("svr"):
            server = _core.RpcServer(
                engine,
                list(rpc.bind),
                max_pkg_size=rpc.max_pkg_size,
                buf_limit=rpc.buf_limit,
                heartbeat_check=rpc.heartbeat_check,
                threads=rpc.threads,
            )
        stack.push_async_callback(asyncio.to_thread, server.stop)
        snapshots = Snapshots(engine, settings, log)
        watch = Watch(engine, snapshots, log)
        tasks = run.start_tasks(stack, snapshots.run(), watch.run())
        part = EnginePart(engine, server, snapshots, watch)
        part.tasks = tasks
        if console is not None:
            answering = Console(engine, snapshots.ask, part.pending)
            part.console = await _open_console(answering, console, stack)
        yield part


async def _open_console(
    console: Console, place: Place | str, stack: contextlib.AsyncExitStack
) -> Place | str:
    try:
        server = await serve_console(console, place)
    except OSError as error:
        where = place if isinstance(place, str) else f"{place[0]}:{place[1]}"
        raise StartFailure(
            f"cannot listen on {where} for the console: {os.strerror(error.errno or 0)}",
            "stop the process that listens there, or choose another address",
        ) from error
    stack.callback(server.close)
    name: Place | str = server.sockets[0].getsockname()
    return name


@contextlib.asynccontextmanager
async def _open(settings: MatchengineSettings, log: Any) -> AsyncIterator[EnginePart]:
    async with contextlib.AsyncExitStack() as stack:
        holder = stack.enter_context(open_holder(settings.engine.data))
        shared = None
        if settings.engine.durability == "operlog" and settings.databases is not None:
            shared = await stack.enter_async_context(
                open_shared_log(
                    settings.databases,
                    settings.engine,
                    log,
                    holder,
                    take_over=settings.take_over,
                )
            )
        part = await stack.enter_async_context(
            open_engine(
                *(settings.engine, settings.rpc, settings.console, log, shared),
                databases=settings.databases,
            )
        )
        data = settings.engine.data
        if settings.brokers:
            topics = open_topics(part.engine, settings.brokers, data, log)
            projection = await stack.enter_async_context(topics)
            part.projections[projection.name] = projection
        if settings.databases is not None:
            projections = await stack.enter_async_context(
                open_projections(
                    part.engine,
                    settings.databases,
                    log,
                    holder,
                    take_over=settings.take_over,
                    claimed=None if shared is None else shared.store,
                )
            )
            part.projections.update({projection.name: projection for projection in projections})
            log_of = part.projections[OPERLOG]

            def place() -> SlicePlace | None:
                # Until the lease is ours, the database may be another engine's.
                epoch = log_of.epoch
                return None if epoch is None else SlicePlace(config=settings.file, epoch=epoch)

            part.snapshots.begin_slices(
                Slicing(settings.slices, place), is_one_due=shared is not None
            )
            if shared is not None:
                part.awaited = log_of
                stack.push_async_callback(_answer_held, part.engine, log_of)
        for name in {TOPICS, HISTORY, OPERLOG} - part.projections.keys():
            # The feed need not wait for those that nobody writes.
            await asyncio.to_thread(_core.keep_feed_position, str(data), name, None)
        positions = {name: made.reached for name, made in part.projections.items()}
        keeping = asyncio.create_task(keep_positions(data, positions, log))
        stack.push_async_callback(run.cancel, keeping)
        yield part


async def _answer_held(engine: _core.Engine, log_of: "Projection") -> None:
    """Takes no more writes, and answers those that wait for the operation log if it is there."""
    engine.shut()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            await log_of.until_caught_up()


SERVICE = run.Service("matchengine", read_matchengine, _open)
