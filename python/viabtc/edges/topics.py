"""Kafka: the engine's topics written in order, each message once as far as a broker can promise.

The topics themselves say what was sent: each message carries its number. A file beside them tells
what a topic must hold at least, so that one that lost its end is noticed and filled again.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from viabtc.edges.store import Batch, Position, StoreError

TOPICS: Final = ("balances", "orders", "deals")
"""Source: the original's fixed names, in the order in which it drains them."""

PARTITION: Final = 0

BATCH_BYTES_MAX: Final = 512 << 10
"""A broker takes batches of a mebibyte unless it is told otherwise."""

_TIMEOUT_S: Final = 10.0
"""A batch that is not taken within this counts as failed, and its fate is looked up."""

_SAVE_INTERVAL_S: Final = 1.0
"""Pause between two looks of the file; what it lacks, the topics say."""

# Failures are reported once by the projection, not at every attempt.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Sent:
    """The last message of a topic that is known to be there."""

    number: int = 0
    offset: int = -1
    sequence: int = 0
    """The command that made it."""
    part: int = 0
    """The event of that command."""

    @property
    def position(self) -> Position:
        """Everything of the topic up to here is there."""
        return Position(max(0, self.sequence - 1), self.part + 1 if self.number else 0)


class TopicsStore:
    """The three topics; `open_topics_store` makes one."""

    def __init__(self, brokers: str, file: Path, epoch: int, log: Any) -> None:
        self.sent: dict[str, Sent] = {}
        """By topic."""
        self._brokers = brokers
        self._file = file
        self.epoch = epoch
        self._log = log
        self._producer: AIOKafkaProducer | None = None
        self._position = Position()
        self._saved_s = float("-inf")

    async def position(self) -> Position:
        """As `Store.position`: what all topics hold."""
        await self.close()
        kept, position = self._read_file()
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._brokers,
                    # With these a broker that lost messages refuses those behind them.
                    acks="all",
                    enable_idempotence=True,
                    max_batch_size=BATCH_BYTES_MAX,
                    request_timeout_ms=int(_TIMEOUT_S * 1000),
                )
                self._producer = producer
                await producer.start()
                for topic in TOPICS:
                    # Asking for it makes it, as it does for the original's library.
                    await producer.partitions_for(topic)
                found = await self._find()
        except (KafkaError, OSError, TimeoutError) as error:
            raise _failed(error) from error
        positions = []
        for topic in TOPICS:
            tail, end = found[topic]
            before = kept.get(topic, Sent())
            if end <= before.offset:
                self._log.error(
                    "a topic lost its end and is filled again",
                    topic=topic,
                    end=end,
                    offset=before.offset,
                )
                self.sent[topic] = tail
                positions.append(tail.position)
            else:
                # Without a number the last message is an original's, or was removed by age.
                last = tail if tail.number >= before.number else replace(before, offset=end - 1)
                self.sent[topic] = last
                positions.append(max(position, last.position))
        self._position = min(positions)
        return self._position

    async def write(self, batch: Batch, after: Position) -> None:
        """As `Store.write`: sends what the topics lack, and waits until the broker has it."""
        del after
        producer = self._producer
        if producer is None:
            raise StoreError("no connection to the broker", retriable=True)
        try:
            async with asyncio.timeout(2 * _TIMEOUT_S):
                for topic in TOPICS:
                    await self._send(producer, topic, batch.content[topic])
        except (KafkaError, OSError, TimeoutError) as error:
            raise _failed(error) from error
        self._position = Position(batch.sequence, batch.part)
        self._save()

    async def beat(self) -> None:
        """The connection keeps itself alive."""

    async def write_around(self, batch: Batch, after: Position) -> int:
        """No message is refused for what it holds, so none is ever put aside."""
        await self.write(batch, after)
        return 0

    async def close(self) -> None:
        """Ends the connection."""
        self._save(is_due=True)
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(_TIMEOUT_S):
                    await producer.stop()

    async def _send(
        self,
        producer: AIOKafkaProducer,
        topic: str,
        messages: list[tuple[int, int, int, bytes]],
    ) -> None:
        last = self.sent[topic].number
        wanted = [message for message in messages if message[0] > last]
        if not wanted:
            return
        if last and wanted[0][0] != last + 1:
            self._log.error(
                "messages are no longer in the feed and are missing in the topic",
                topic=topic,
                first=last + 1,
                count=wanted[0][0] - last - 1,
            )
        # Batches of a topic leave one behind the other; a failed one fails those behind it.
        waiting: list[asyncio.Future[Any]] = []
        builder = producer.create_batch()
        for number, sequence, part, payload in wanted:
            headers = [
                ("epoch", str(self.epoch).encode()),
                ("sequence", b"%d" % sequence),
                ("part", b"%d" % part),
                ("number", b"%d" % number),
            ]
            while builder.append(timestamp=None, key=None, value=payload, headers=headers) is None:
                if builder.record_count() == 0:
                    raise StoreError(f"a message of {len(payload)} bytes", retriable=False)
                waiting.append(await _sending(producer, builder, topic))
                builder = producer.create_batch()
        waiting.append(await _sending(producer, builder, topic))
        count = builder.record_count()
        *_, newest = await asyncio.gather(*waiting)
        number, sequence, part, _ = wanted[-1]
        self.sent[topic] = Sent(number, newest.offset + count - 1, sequence, part)

    async def _find(self) -> dict[str, tuple[Sent, int]]:
        """The last message of each topic, and its end."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._brokers, auto_offset_reset="none", enable_auto_commit=False
        )
        try:
            await consumer.start()
            partitions = {topic: TopicPartition(topic, PARTITION) for topic in TOPICS}
            consumer.assign(list(partitions.values()))
            ends = await consumer.end_offsets(list(partitions.values()))
            beginnings = await consumer.beginning_offsets(list(partitions.values()))
            found = {}
            for topic, partition in partitions.items():
                tail, end = Sent(), ends[partition]
                if end > beginnings[partition]:
                    consumer.seek(partition, end - 1)
                    tail = _sent(await consumer.getone(partition))
                found[topic] = (tail, end)
            return found
        finally:
            await consumer.stop()

    def _read_file(self) -> tuple[dict[str, Sent], Position]:
        try:
            document = json.loads(self._file.read_text())
            sent = {topic: Sent(**kept) for topic, kept in document["topics"].items()}
            return sent, Position(*document["position"])
        except FileNotFoundError:
            return {}, Position()
        except (OSError, ValueError, LookupError, TypeError) as error:
            self._log.error("the file of the topics is left aside", error=repr(error))
            return {}, Position()

    def _save(self, *, is_due: bool = False) -> None:
        now = asyncio.get_running_loop().time()
        if not self.sent or (not is_due and now - self._saved_s < _SAVE_INTERVAL_S):
            return
        self._saved_s = now
        document = {
            "position": [self._position.sequence, self._position.part],
            "topics": {topic: asdict(sent) for topic, sent in self.sent.items()},
        }
        unfinished = self._file.with_suffix(".unfinished")
        try:
            unfinished.write_text(json.dumps(document))
            unfinished.replace(self._file)
        except OSError as error:
            self._log.warning("the file of the topics is not written", error=str(error))


@contextlib.asynccontextmanager
async def open_topics_store(
    brokers: str, file: Path, epoch: int, log: Any
) -> AsyncIterator[TopicsStore]:
    """The topics of some brokers; the connection is made when it is used."""
    store = TopicsStore(brokers, file, epoch, log)
    try:
        yield store
    finally:
        await store.close()


async def _sending(producer: AIOKafkaProducer, builder: Any, topic: str) -> "asyncio.Future[Any]":
    future: asyncio.Future[Any] = await producer.send_batch(builder, topic, partition=PARTITION)
    # Of several that fail only one is reported.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


def _sent(record: Any) -> Sent:
    headers = dict(record.headers)
    try:
        number, sequence, part = (int(headers[name]) for name in ("number", "sequence", "part"))
    except (KeyError, ValueError, TypeError):
        # Somebody else's: an original's have no headers, and values may be absent.
        return Sent(offset=record.offset)
    return Sent(number, record.offset, sequence, part)


def _failed(error: Exception) -> StoreError:
    return StoreError(f"kafka: {type(error).__name__} {error}".strip(), retriable=True)
