"""Answers the questions of the ports: parameters, one query, the result's text."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from viabtc import _core
from viabtc.contract.errors import ErrorCode
from viabtc.edges.store import StoreError
from viabtc.readhistory.queries import Dialect, read_query
from viabtc.readhistory.records import answer

QUESTIONS_PER_WORKER: Final = 1 + 10
"""Open questions for each worker: the one that is asked, and ten that wait. More get error 3,
before their parameters are looked at. Source: the original's readhistory."""

UNSHARDED: Final = Dialect(lambda family, _key: family, "?")
"""The embedded store."""


class Reader(Protocol):
    """A store that answers queries."""

    async def fetch(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Rows of a query.

        Raises:
            StoreError: it cannot be answered.
        """


class HistoryService:
    """Answers questions, several at a time."""

    def __init__(
        self, answers: _core.Answers, reader: Reader, dialect: Dialect, workers: int, log: Any
    ) -> None:
        self.answers = answers
        self._reader = reader
        self._dialect = dialect
        self._workers = asyncio.Semaphore(workers)
        self._batch_max = workers * QUESTIONS_PER_WORKER
        self._log = log
        self._counts = {"failures_total": 0}

    async def run(self) -> None:
        """Answers until it is cancelled."""
        news = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.answers.fileno(), news.set)
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    questions = self.answers.batch(self._batch_max)
                    for number, command, params in questions:
                        tasks.create_task(self._answer(number, command, params))
                    if not questions:
                        await news.wait()
                        news.clear()
                        self.answers.clear()
        finally:
            loop.remove_reader(self.answers.fileno())

    def figures(self) -> Mapping[str, float]:
        """Metrics."""
        return {**self.answers.metrics(), **self._counts}

    async def call(self, command: int, params: bytes) -> bytes:
        """Answers one method within this process, as its port would."""
        async with self._workers:
            result = await self._result(command, params)
        if isinstance(result, bytes):
            return b'{"error": null, "result": ' + result + b', "id": 0}'
        error = {"code": result, "message": ErrorCode(result).message}
        return json.dumps({"error": error, "result": None, "id": 0}).encode()

    async def _answer(self, number: int, command: int, params: bytes) -> None:
        async with self._workers:
            self.answers.reply([(number, await self._result(command, params))])

    async def _result(self, command: int, params: bytes) -> bytes | int:
        query = read_query(command, json.loads(params))
        if query is None:
            return ErrorCode.INVALID_ARGUMENT
        try:
            rows = await self._reader.fetch(*query.sql(self._dialect))
        except StoreError as error:
            self._counts["failures_total"] += 1
            self._log.error("history cannot be read", command=command, reason=str(error))
            return ErrorCode.INTERNAL_ERROR
        return answer(command, query, rows)
