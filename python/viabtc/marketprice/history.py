"""Deals as the history database has them, for when the topic lost them.

Each deal has one row of its taker in `user_deal_history_0` to `_99`. There is no index of deals,
but rows are written in the order of their deals, give or take those of a batch: a table is entered
by bisection, and the tables are merged.
"""

import heapq
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Final

from viabtc.edges.kafka import Message
from viabtc.edges.mysql import MysqlReader

BATCH: Final = 1_000
"""Deals that are handed over at once."""

DEAL_ID_MAX: Final = 2**63 - 1
"""Larger ids are no deals: the history's column holds no such."""

_SHARDS: Final = 100

_ROWS: Final = 500
"""Rows of a query, and how far rows of a table may be out of order."""

_TAKER: Final = 2

_FIRST: Final = "SELECT deal_id FROM user_deal_history_{} WHERE id >= %s ORDER BY id LIMIT 1"

_NEWEST: Final = "SELECT deal_id FROM user_deal_history_{} ORDER BY id DESC LIMIT 1"

_LAST: Final = "SELECT MAX(id) FROM user_deal_history_{}"

_PAGE: Final = (
    "SELECT id, CAST(time AS DECIMAL(20, 6)), market, deal_id, side, price, amount"
    " FROM user_deal_history_{} WHERE id > %s AND role = %s ORDER BY id LIMIT %s"
)


def deal_message(
    time: Decimal, market: str, price: str, amount: str, side: int, deal_id: int
) -> bytes:
    """A deal as a message of the topic; what market data do not use is 0.

    Args:
        time: Seconds.
        market: Name.
        price: Of one unit.
        amount: In base.
        side: Of the taker: 1 sells, 2 buys.
        deal_id: Its id.
    """
    members = json.dumps([market, 0, 0, 0, 0, price, amount, "0", "0", side, deal_id])
    return f"[{time:.6f}, {members[1:]}".encode()


def first_deal(messages: Sequence[Message]) -> int | None:
    """Id of the first deal among messages of the topic; None when none holds one."""
    for _, payload, _ in messages:
        try:
            deal_id = json.loads(payload or b"")[11]
        except (ValueError, LookupError, TypeError, RecursionError):
            continue
        if isinstance(deal_id, int) and 0 < deal_id <= DEAL_ID_MAX:
            return deal_id
    return None


class DealHistory:
    """The deals of a history database, by id."""

    def __init__(self, reader: MysqlReader) -> None:
        self._reader = reader

    async def newest(self) -> int:
        """Id of the newest deal, 0 when there is none: all before it can be read then.

        Raises:
            StoreError: the database cannot be read.
        """
        newest = 0
        for number in range(_SHARDS):
            for (deal_id,) in await self._reader.fetch(_NEWEST.format(number), ()):
                newest = max(newest, deal_id)
        return newest

    async def deals(self, after: int, before: int | None) -> AsyncIterator[list[bytes]]:
        """Deals as messages of the topic, ids ascending, in batches.

        Args:
            after: The id before the first one.
            before: The id behind the last one; None for all that there are.

        Raises:
            StoreError: the database cannot be read.
        """
        shards = [_Shard(self._reader, number) for number in range(_SHARDS)]
        for shard in shards:
            await shard.enter(after)
        heap = [(shard.rows[0][0], shard.number) for shard in shards if shard.rows]
        heapq.heapify(heap)
        batch: list[bytes] = []
        while heap:
            deal_id, number = heap[0]
            if before is not None and deal_id >= before:
                break
            shard = shards[number]
            _, message = shard.rows.popleft()
            if deal_id > after:
                batch.append(message)
            if len(batch) == BATCH:
                yield batch
                batch = []
            await shard.fill()
            if shard.rows:
                heapq.heapreplace(heap, (shard.rows[0][0], number))
            else:
                heapq.heappop(heap)
        if batch:
            yield batch


class _Shard:
    """One table, read forwards."""

    def __init__(self, reader: MysqlReader, number: int) -> None:
        self.number = number
        self.rows: deque[tuple[int, bytes]] = deque()
        """Read ahead: deal id and message, ascending."""
        self._reader = reader
        self._row = 0
        """Id of the last row that was read."""
        self._is_over = False

    async def enter(self, after: int) -> None:
        """Goes to where the deals behind `after` begin, or a little before."""
        ((high,),) = await self._reader.fetch(_LAST.format(self.number), ())
        low, high = 0, high or 0
        while after and high - low > _ROWS:
            middle = (low + high) // 2
            ((deal_id,),) = await self._reader.fetch(_FIRST.format(self.number), (middle,))
            low, high = (low, middle) if deal_id > after else (middle, high)
        self._row = max(0, low - _ROWS)
        await self.fill()

    async def fill(self) -> None:
        """Reads ahead so far that what comes first is known."""
        while not self._is_over and len(self.rows) <= _ROWS:
            values = (self._row, _TAKER, _ROWS)
            found = await self._reader.fetch(_PAGE.format(self.number), values)
            self._is_over = len(found) < _ROWS
            if found:
                self._row = found[-1][0]
            read = [
                (deal_id, deal_message(time, market, f"{price:f}", f"{amount:f}", side, deal_id))
                for _, time, market, deal_id, side, price, amount in found
            ]
            self.rows = deque(sorted([*self.rows, *read]))
