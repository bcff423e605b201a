"""Redis and its Sentinels: what the master keeps, and whether a failover could happen."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from viabtc.doctor.check import OK, SKEW_MAX_S, WARNING, WRONG, Check, first
from viabtc.edges.redis import RedisSettings, Unreachable, ask_sentinel, open_redis, quorum_problem
from viabtc.protocol.addresses import Place, read_port

_LOST: Final = {
    "marketprice": "candles are made again from history and topic, which takes long",
    "alertcenter": "alerts that nobody was told of are gone",
}
"""What the end of a Redis that keeps nothing costs."""

_FULL_SHARE: Final = 0.9


def places(section: Mapping[str, Any]) -> tuple[Place, ...]:
    """Addresses of the section; hosts may be names."""
    listed = section.get("addr", [])
    found = []
    for text in listed if isinstance(listed, list) else [listed]:
        host, _, port = str(text).rpartition(":")
        number = read_port(port)
        if host and number is not None:
            found.append((host, number))
    return tuple(found)


async def master(name: str, section: Mapping[str, Any]) -> list[Check]:
    """Whether a master answers, and will keep what it is given."""
    at = places(section)
    group = str(section.get("name", ""))
    subject = f"redis {group or ' '.join(f'{host}:{port}' for host, port in at)}"
    try:
        async with open_redis(RedisSettings(group, at, int(section.get("db", 0)))) as client:
            found = await client.info()
            seconds, microseconds = await client.time()
    except (*Unreachable, IndexError) as error:
        do = "start Redis and its Sentinels, or correct the section redis"
        return [Check(name, subject, WRONG, f"no master can be used: {error}", do)]
    skew_s = abs(time.time() - seconds - microseconds / 1e6)
    what = f"a master answers, version {found['redis_version']}"
    checks = list(_keeping(name, subject, found))
    if skew_s > SKEW_MAX_S:
        do = "let both machines keep the same time, by chrony or systemd-timesyncd"
        checks.append(Check(name, subject, WARNING, f"its clock differs by {skew_s:.1f} s", do))
    return first(checks, Check(name, subject, OK, what))


def _keeping(name: str, subject: str, found: Mapping[str, Any]) -> Iterator[Check]:
    """What of `INFO` says that something will be lost."""
    if found.get("loading"):
        yield Check(name, subject, WARNING, "it still reads its files", "wait until it is done")
    policy, most = str(found.get("maxmemory_policy", "")), int(found.get("maxmemory", 0))
    if most and policy != "noeviction":
        what = f"maxmemory-policy is {policy}: when it is full it throws candles and alerts away"
        do = "redis-cli config set maxmemory-policy noeviction, then config rewrite"
        yield Check(name, subject, WRONG, what, do)
    if most and int(found.get("used_memory", 0)) > _FULL_SHARE * most:
        what = f"{found['used_memory'] >> 20} of {most >> 20} MiB are used"
        do = "raise maxmemory: when it is full it refuses what is written"
        yield Check(name, subject, WRONG, what, do)
    if found.get("aof_last_write_status", "ok") != "ok":
        what = "it cannot write its append-only file, and refuses what is written"
        yield Check(name, subject, WRONG, what, "look at its log and at the space of its disk")
    elif found.get("rdb_last_bgsave_status", "ok") != "ok":
        what = "its last snapshot failed, and it may refuse what is written"
        yield Check(name, subject, WRONG, what, "look at its log, at its disk, and at its memory")
    if not found.get("aof_enabled"):
        lost = _LOST.get(name, "what it holds is gone")
        what = f"it keeps no append-only file: when its process ends, {lost}"
        do = "redis-cli config set appendonly yes, then config rewrite"
        yield Check(name, subject, WARNING, what, do)


async def sentinels(name: str, section: Mapping[str, Any]) -> list[Check]:
    """Whether each Sentinel answers, all name one master, and enough of them could replace it."""
    group = str(section.get("name", ""))
    masters: dict[str, str] = {}
    troubles: dict[str, str] = {}
    checks = []
    for place in places(section) if group else ():
        subject = f"sentinel {place[0]}:{place[1]}"
        try:
            masters[subject] = await ask_sentinel(place, group)
            if masters[subject]:
                troubles[subject] = await quorum_problem(place, group)
        except Unreachable as error:
            do = "start it: a failover needs the most of them"
            checks.append(Check(name, subject, WARNING, f"does not answer: {error}", do))
    agree = len(set(masters.values())) <= 1
    for subject, named in masters.items():
        if not named:
            do = f"let it watch the group {group}, or correct redis.name"
            checks.append(Check(name, subject, WRONG, f"does not watch {group}", do))
        elif not agree:
            do = "wait for a failover to end, or reset those that are wrong"
            checks.append(Check(name, subject, WRONG, f"names {named}", do))
        elif troubles.get(subject):
            do = "start the others, or lower the quorum: a master that dies is not replaced"
            checks.append(Check(name, subject, WRONG, troubles[subject], do))
        else:
            checks.append(Check(name, subject, OK, f"names {named}"))
    return checks
