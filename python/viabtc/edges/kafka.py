"""Kafka: one partition of a topic read from an offset, without a group.

Whoever reads keeps the position with its own state; the broker knows nothing of it.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

BATCH_MAX: Final = 5_000
"""Messages that are handed over at once."""

FETCH_BYTES_MAX: Final = 4 << 20

NUMBER_MAX: Final = 2**63 - 1
"""Numbers count messages from 1: whatever is larger was written by somebody else."""

_WAIT_MS: Final = 500
"""How long a read waits for something new."""

_NUMBER: Final = "number"
"""Header with the message's place in the topic, dense from 1."""

# Failures are reported once by whoever uses the connection, not at every attempt.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


class TopicError(Exception):
    """The broker is away, or the topic cannot be read; trying again may help."""


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """Where messages are read."""

    brokers: str
    """`HOST:PORT`, separated by commas."""
    topic: str
    partition: int = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Offsets that the broker holds."""

    beginning: int
    """Of the oldest message."""
    end: int
    """Of the next message that will come."""


Message = tuple[int, bytes | None, int | None]
"""Offset, payload, number; messages of an original have no number."""


class TopicReader:
    """A partition of a topic; `open_topic` makes one."""

    def __init__(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
        self._consumer = consumer
        self._partition = partition

    async def bounds(self) -> Bounds:
        """What the broker holds now.

        Raises:
            TopicError: it does not answer.
        """
        try:
            beginning = await self._consumer.beginning_offsets([self._partition])
            end = await self._consumer.end_offsets([self._partition])
        except (KafkaError, OSError, TimeoutError) as error:
            raise TopicError(str(error) or type(error).__name__) from error
        return Bounds(beginning[self._partition], end[self._partition])

    def partitions(self) -> int:
        """How many the topic has."""
        return len(self._consumer.partitions_for_topic(self._partition.topic) or ())

    def seek(self, offset: int) -> None:
        """Goes on at `offset`."""
        self._consumer.seek(self._partition, offset)

    async def batch(self) -> list[Message]:
        """The next messages, oldest first; none when nothing came for a while.

        Raises:
            IndexError: the broker does not hold what comes next.
            TopicError: the broker failed.
        """
        try:
            records = await self._consumer.getmany(
                self._partition, timeout_ms=_WAIT_MS, max_records=BATCH_MAX
            )
        except OffsetOutOfRangeError as error:
            raise IndexError("the topic does not hold the wanted offset") from error
        except (KafkaError, OSError, TimeoutError) as error:
            raise TopicError(str(error) or type(error).__name__) from error
        return [
            (record.offset, record.value, _number(record.headers))
            for record in records.get(self._partition, ())
        ]


@contextlib.asynccontextmanager
async def open_topic(settings: TopicSettings, *, timeout_s: float) -> AsyncIterator[TopicReader]:
    """Connects to a topic; the first read begins where `seek` says.

    Raises:
        TopicError: no broker answers, or there is no such topic.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.brokers,
        auto_offset_reset="none",
        enable_auto_commit=False,
        fetch_max_bytes=FETCH_BYTES_MAX,
        max_partition_fetch_bytes=FETCH_BYTES_MAX,
        request_timeout_ms=int(timeout_s * 1000),
        metadata_max_age_ms=10_000,
    )
    partition = TopicPartition(settings.topic, settings.partition)
    try:
        async with asyncio.timeout(timeout_s):
            await consumer.start()
        consumer.assign([partition])
        yield TopicReader(consumer, partition)
    except (KafkaError, TimeoutError) as error:
        raise TopicError(str(error) or type(error).__name__) from error
    finally:
        with contextlib.suppress(KafkaError, TimeoutError, OSError):
            async with asyncio.timeout(timeout_s):
                await consumer.stop()


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """How a broker keeps a topic."""

    partitions: int
    replicas: int
    """Fewest of a partition."""
    settings: Mapping[str, str]
    """By the broker's names, such as `cleanup.policy`."""
    broker: Mapping[str, str]
    """Settings of the broker that answered."""


async def describe_topic(settings: TopicSettings, *, timeout_s: float) -> TopicFacts:
    """Asks how a topic is kept.

    Raises:
        TopicError: no broker answers, it does not tell, or there is no such topic.
    """
    admin = AIOKafkaAdminClient(
        bootstrap_servers=settings.brokers, request_timeout_ms=int(timeout_s * 1000)
    )
    try:
        async with asyncio.timeout(2 * timeout_s):
            await admin.start()
            (topic,) = await admin.describe_topics([settings.topic])
            cluster = await admin.describe_cluster()
            node = str(cluster["brokers"][0]["node_id"])
            asked = [
                ConfigResource(ConfigResourceType.TOPIC, settings.topic),
                ConfigResource(ConfigResourceType.BROKER, node),
            ]
            answers = await admin.describe_configs(asked)
    except (KafkaError, OSError, TimeoutError) as error:
        raise TopicError(str(error) or type(error).__name__) from error
    finally:
        with contextlib.suppress(KafkaError, TimeoutError, OSError):
            async with asyncio.timeout(timeout_s):
                await admin.close()
    if topic["error_code"]:
        raise TopicError(f"there is no topic {settings.topic}")
    told: dict[int, dict[str, str]] = {}
    for answer in answers:
        for code, reason, kind, _, entries in answer.resources:
            if code:
                raise TopicError(f"its settings are not told: {reason}")
            told[kind] = {entry[0]: entry[1] or "" for entry in entries}
    partitions = topic["partitions"]
    return TopicFacts(
        partitions=len(partitions),
        replicas=min(len(partition["replicas"]) for partition in partitions),
        settings=told.get(ConfigResourceType.TOPIC, {}),
        broker=told.get(ConfigResourceType.BROKER, {}),
    )


def _number(headers: Any) -> int | None:
    """The number among a message's headers; None without one that our publisher could have written.

    Whoever may write to the topic chooses headers: a value may be absent, no number, or endless.
    """
    for name, value in headers:
        if name == _NUMBER and value is not None and value.isdigit():
            number = int(value) if len(value) <= len(str(NUMBER_MAX)) else 0
            return number if 0 < number <= NUMBER_MAX else None
    return None
