"""Kafka: the broker, and whether it keeps a topic's messages whole and long enough."""

from collections.abc import Iterator
from typing import Final

from viabtc.doctor.check import OK, PATIENCE_S, WARNING, WRONG, Check
from viabtc.edges.kafka import TopicError, TopicFacts, TopicSettings, describe_topic, open_topic
from viabtc.edges.topics import BATCH_BYTES_MAX

_RETENTION_MIN_MS: Final = 24 * 3_600_000
"""As long as the engine can send messages again, and a reader may stand still."""

_RETENTION_BYTES_MIN: Final = 1 << 30
"""Millions of deals."""

_BATCH_ROOM_BYTES: Final = 1_024
"""What a batch has beside its messages."""


async def topic(name: str, brokers: str, wanted: str) -> list[Check]:
    """Whether a topic can be read, and how it is kept."""
    subject = f"topic {wanted}"
    settings = TopicSettings(brokers, wanted)
    try:
        async with open_topic(settings, timeout_s=PATIENCE_S) as reader:
            bounds = await reader.bounds()
            count = reader.partitions()
    except TopicError as error:
        do = f"start Kafka at {brokers}, and make the topic with one partition"
        return [Check(name, subject, WRONG, f"cannot be read: {error}", do)]
    if count != 1:
        do = "make it anew with one partition: messages are in order in one only"
        return [Check(name, subject, WRONG, f"has {count} partitions", do)]
    try:
        facts = await describe_topic(settings, timeout_s=PATIENCE_S)
    except TopicError as error:
        do = "let this user describe it, to have its settings looked at"
        return [Check(name, subject, WARNING, str(error), do)]
    version = facts.broker.get("inter.broker.protocol.version", "").partition("-")[0]
    said = f"ends at offset {bounds.end}" + (f", Kafka {version}" if version else "")
    return list(_keeping(name, wanted, facts)) or [Check(name, subject, OK, said)]


def _keeping(name: str, wanted: str, facts: TopicFacts) -> Iterator[Check]:
    subject, settings = f"topic {wanted}", facts.settings

    def alter(setting: str) -> str:
        return f"kafka-configs.sh --alter --topic {wanted} --add-config {setting}"

    if "compact" in settings.get("cleanup.policy", ""):
        what = "is compacted, which takes no messages without a key, such as the engine's"
        yield Check(name, subject, WRONG, what, alter("cleanup.policy=delete"))
    kept_ms = _integer(settings.get("retention.ms"))
    if kept_ms is not None and 0 <= kept_ms < _RETENTION_MIN_MS:
        what = f"forgets after {kept_ms / 3_600_000:.1f} h what whoever stood still has not read"
        yield Check(name, subject, WARNING, what, alter("retention.ms=604800000"))
    kept_bytes = _integer(settings.get("retention.bytes"))
    if kept_bytes is not None and 0 <= kept_bytes < _RETENTION_BYTES_MIN:
        what = f"keeps {kept_bytes >> 20} MiB: busy hours push out what was not read yet"
        yield Check(name, subject, WARNING, what, alter("retention.bytes=-1"))
    most = _integer(settings.get("max.message.bytes"))
    least = BATCH_BYTES_MAX + _BATCH_ROOM_BYTES
    if most is not None and most < least:
        what = f"takes batches of {most} bytes, and the engine's have up to {least}"
        yield Check(name, subject, WRONG, what, alter("max.message.bytes=1048588"))
    in_sync = _integer(settings.get("min.insync.replicas"))
    if in_sync is not None and in_sync > facts.replicas:
        what = f"wants {in_sync} replicas in sync and has {facts.replicas}: nothing can be written"
        yield Check(name, subject, WRONG, what, alter(f"min.insync.replicas={facts.replicas}"))
    if facts.replicas > 1 and settings.get("unclean.leader.election.enable") == "true":
        what = "lets a replica lead that lacks messages, which are gone then"
        yield Check(name, subject, WARNING, what, alter("unclean.leader.election.enable=false"))


def _integer(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None
