"""The readhistory process: an RPC port whose questions are answered from the history database.

It keeps no state, so any number of processes may serve the same database.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from viabtc import _core
from viabtc.edges.mysql import MysqlReader
from viabtc.readhistory.queries import Dialect
from viabtc.readhistory.service import QUESTIONS_PER_WORKER, HistoryService
from viabtc.readhistory.settings import ReadhistorySettings, read_readhistory
from viabtc.service import run
from viabtc.service.failure import core_failures

SHARDED: Final = Dialect(lambda family, key: f"{family}_{key % 100}", "%s")
"""The original's tables."""


class ReadhistoryPart(run.Part):
    """An open port, and what answers."""

    def __init__(
        self, rpc: _core.RpcServer, service: HistoryService, tasks: "list[asyncio.Task[None]]"
    ) -> None:
        self.rpc = rpc
        self.service = service
        self.tasks = tasks

    def ports(self) -> Sequence[run.Port]:
        return (self.rpc,)

    def status(self) -> dict[str, Any]:
        return {"rpc": self.rpc.addresses}

    def figures(self) -> Mapping[str, run.Figures]:
        return {"readhistory": self.service.figures(), "rpc": self.rpc.metrics()}


@contextlib.asynccontextmanager
async def _open(settings: ReadhistorySettings, log: Any) -> AsyncIterator[ReadhistoryPart]:
    async with contextlib.AsyncExitStack() as stack:
        reader = MysqlReader(settings.database, settings.workers)
        stack.push_async_callback(reader.close)
        answers = _core.Answers(
            "readhistory",
            capacity=settings.workers * QUESTIONS_PER_WORKER,
            indented=settings.is_indented,
        )
        service = HistoryService(answers, reader, SHARDED, settings.workers, log)
        tasks = run.start_tasks(stack, service.run())
        with core_failures("svr"):
            rpc = _core.RpcServer(
                answers,
                list(settings.bind),
                max_pkg_size=settings.max_pkg_size,
                buf_limit=settings.buf_limit,
                heartbeat_check=settings.heartbeat_check,
            )
        stack.push_async_callback(asyncio.to_thread, rpc.stop)
        yield ReadhistoryPart(rpc, service, tasks)


SERVICE = run.Service("readhistory", read_readhistory, _open)
