"""A private Kafka broker: one process on free ports, its files in a folder of the test.

Its jars come from Maven Central into build/kafka, once.
"""

import asyncio
import fcntl
import socket
import subprocess
import threading
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from harness.places import ROOT
from harness.processes import Reserved

JARS: Final = ROOT / "build" / "kafka"
POM: Final = Path(__file__).with_name("kafka.pom.xml")

START_DEADLINE_S: Final = 180.0
"""After a kill a broker goes through all its logs; on a busy machine that takes minutes."""
STOP_DEADLINE_S: Final = 30.0

_JAVA: Final = ("java", "-Xmx512m", "-Xms256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

_LOOK_S: Final = 0.05

T = TypeVar("T")


def jars() -> str:
    """The class path; downloads it when it is not there."""
    JARS.mkdir(parents=True, exist_ok=True)
    with (JARS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not any(JARS.glob("kafka_*.jar")):
            subprocess.run(
                [
                    *("mvn", "--quiet", "--batch-mode", "--file", str(POM)),
                    *("dependency:copy-dependencies", f"-DoutputDirectory={JARS}"),
                ],
                check=True,
                timeout=600,
            )
    return f"{JARS}/*"


class Broker:
    """One broker, which can be stopped, killed and started again on the same files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._reserved = (Reserved(), Reserved())
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        self._config = directory / "server.properties"
        self._config.write_text(self._properties())
        # A first bit of 0 is a letter in base64: what begins with "-" would be an option.
        drawn = uuid.uuid4().int & ~(1 << 127)
        identity = urlsafe_b64encode(drawn.to_bytes(16)).decode().rstrip("=")
        self._run("kafka.tools.StorageTool", "format", "-t", identity, "-c", str(self._config))

    @property
    def place(self) -> str:
        """For clients: `HOST:PORT`."""
        return self._reserved[0].place

    @property
    def pid(self) -> int:
        """Of the running broker."""
        assert self._process is not None
        return self._process.pid

    @property
    def topics(self) -> Path:
        """Where the topics' files stand."""
        return self.directory / "topics"

    def start(self) -> None:
        """Starts the process and waits until it takes connections."""
        with (self.directory / "broker.out").open("ab") as output:
            self._process = subprocess.Popen(
                [*_JAVA, "-cp", jars(), "kafka.Kafka", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + START_DEADLINE_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self.directory / "broker.out").read_text(errors="replace")
                raise AssertionError(f"the broker did not start: {said[-2000:]}")
            time.sleep(_LOOK_S)

    def stop(self) -> None:
        """Stops it as an operator does."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(STOP_DEADLINE_S)
            self._process = None

    def kill(self) -> None:
        """Ends it as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Ends it and gives its ports back."""
        self.kill()
        for reserved in self._reserved:
            reserved.close()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._reserved[0].port), 1):
                return True
        except OSError:
            return False

    def _properties(self) -> str:
        broker, controller = (reserved.place for reserved in self._reserved)
        return "\n".join(
            [
                "process.roles=broker,controller",
                "node.id=1",
                f"controller.quorum.voters=1@{controller}",
                f"listeners=PLAINTEXT://{broker},CONTROLLER://{controller}",
                f"advertised.listeners=PLAINTEXT://{broker}",
                "controller.listener.names=CONTROLLER",
                f"log.dirs={self.topics}",
                "offsets.topic.replication.factor=1",
                "transaction.state.log.replication.factor=1",
                "transaction.state.log.min.isr=1",
                "num.partitions=1",
                # After a kill a broker waits until it is no longer thought alive.
                "broker.session.timeout.ms=1000",
                "broker.heartbeat.interval.ms=200",
                "controller.quorum.election.timeout.ms=200",
                "controller.quorum.fetch.timeout.ms=500",
                "controlled.shutdown.enable=false",
                "",
            ]
        )

    def _run(self, *arguments: str) -> None:
        subprocess.run(
            [*_JAVA, "-cp", jars(), *arguments],
            check=True,
            capture_output=True,
            timeout=START_DEADLINE_S,
        )


Headers = Mapping[str, int | bytes | None]
"""Of a message: numbers as texts, everything else as it is."""


class Publisher:
    """Sends messages in order, in a thread of its own; a killed broker may come back meanwhile."""

    def __init__(self, broker: str) -> None:
        self._broker = broker
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._producer = self._wait(self._start(broker))

    def send(self, topic: str, messages: Sequence[tuple[bytes, Headers]]) -> int:
        """Sends payloads with their headers; the offset of the last when the broker has all."""
        return self._wait(self._send(topic, messages))

    def trim(self, topic: str, offset: int) -> None:
        """Drops everything before an offset, as the broker does with what is too old."""
        self._wait(self._trim(topic, offset))

    def close(self) -> None:
        self._wait(self._producer.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self, broker: str) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=broker,
            acks="all",
            enable_idempotence=True,
            # A broker that was killed is back long before that.
            request_timeout_ms=60_000,
            retry_backoff_ms=100,
        )
        await producer.start()
        return producer

    async def _trim(self, topic: str, offset: int) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._broker)
        await admin.start()
        try:
            await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(offset)})
        finally:
            await admin.close()

    async def _send(self, topic: str, messages: Sequence[tuple[bytes, Headers]]) -> int:
        sent = [
            await self._producer.send(
                topic,
                payload,
                partition=0,
                headers=[
                    (name, b"%d" % value if isinstance(value, int) else value)
                    for name, value in headers.items()
                ],
            )
            for payload, headers in messages
        ]
        offset: int = max(record.offset for record in await asyncio.gather(*sent))
        return offset

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_DEADLINE_S * 2)


@dataclass(frozen=True)
class Record:
    """A message as a topic holds it."""

    offset: int
    payload: bytes
    headers: dict[str, int]


def records(broker: str, topic: str) -> list[Record]:
    """Everything that partition 0 of a topic holds."""

    async def read() -> list[Record]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=broker, auto_offset_reset="none", enable_auto_commit=False
        )
        await consumer.start()
        try:
            partition = TopicPartition(topic, 0)
            consumer.assign([partition])
            offset = (await consumer.beginning_offsets([partition]))[partition]
            end = (await consumer.end_offsets([partition]))[partition]
            consumer.seek(partition, offset)
            found: list[Record] = []
            while offset < end:
                for message in (await consumer.getmany(timeout_ms=500)).get(partition, ()):
                    headers = {name: int(value) for name, value in message.headers}
                    found.append(Record(message.offset, message.value, headers))
                    offset = message.offset + 1
            return found
        finally:
            await consumer.stop()

    return asyncio.run(read())
