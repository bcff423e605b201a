"""`viabtc doctor`: what is wrong with a machine and with what services need, and what to do."""

import asyncio
import dataclasses
import ipaddress
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from viabtc.doctor import databases, files, machine, stores, topics
from viabtc.doctor.check import OK, PATIENCE_S, WARNING, WRONG, Check
from viabtc.doctor.files import Read, own
from viabtc.protocol.addresses import read_place
from viabtc.protocol.frames import heartbeat
from viabtc.service.settings import SettingsError, load

__all__ = ["OK", "WARNING", "WRONG", "Check", "examine", "show"]


def examine(services: Mapping[str, Path], read: Read) -> list[Check]:
    """Looks at everything that the files name."""
    loaded: dict[str, dict[str, Any]] = {}
    for name, path in services.items():
        try:
            loaded[name] = load(path)
        except SettingsError:
            # Looking at the file says so.
            continue
    has_redis = any(_has_redis(data) for data in loaded.values())
    checks: list[Check] = [machine.clock(), *machine.memory(has_redis=has_redis)]
    for name, path in services.items():
        found = list(files.file(name, path, read))
        checks += found
        if name not in loaded or any(check.state == WRONG for check in found):
            # What a file that cannot be used names may be anything.
            continue
        data = loaded[name]
        checks += files.ports(name, data)
        checks += machine.open_files(name, data, files.figures(name, data))
        if name == "matchengine":
            checks += files.disk(name, Path(own(data).get("data", path.parent / "viabtc-data")))
        checks += asyncio.run(_outside(name, data))
    return checks


def show(checks: list[Check], *, as_json: bool) -> int:
    """Prints what was found; 0 when nothing is wrong, else 1."""
    if as_json:
        print(json.dumps([dataclasses.asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            do = f". What to do: {check.do}" if check.do else ""
            print(f"{check.state:<8} {check.service} {check.subject}: {check.what}{do}")
    return 1 if any(check.state == WRONG for check in checks) else 0


def _has_redis(data: Mapping[str, Any]) -> bool:
    """Whether a Redis of this machine is named."""
    section = data.get("redis")
    return isinstance(section, dict) and any(_is_here(host) for host, _ in stores.places(section))


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _outside(name: str, data: Mapping[str, Any]) -> list[Check]:
    checks: list[Check] = []
    is_awaited = own(data).get("durability") == "operlog"
    for key, folder in (("db_log", "log"), ("db_history", "history")):
        section = data.get(key, own(data).get(key))
        if isinstance(section, dict):
            checks += await databases.database(name, key, folder, section, is_awaited=is_awaited)
    if isinstance(section := data.get("redis"), dict):
        checks += await stores.master(name, section)
        checks += await stores.sentinels(name, section)
    for key in ("matchengine", "marketprice", "readhistory"):
        if isinstance(section := data.get(key), dict):
            addresses = section.get("addr", [])
            for text in addresses if isinstance(addresses, list) else [addresses]:
                checks.append(await _remote(name, key, str(text)))
    brokers = data.get("brokers")
    wanted = [(brokers, topic) for topic in ("balances", "orders", "deals") if brokers]
    for key in ("deals", "orders", "balances"):
        section = data.get(key)
        if isinstance(section, dict) and "brokers" in section:
            wanted.append((section["brokers"], section.get("topic", key)))
    for broker, topic in wanted:
        checks += await topics.topic(name, str(broker), str(topic))
    return checks


async def _remote(name: str, service: str, text: str) -> Check:
    """Whether a service that is called answers a heartbeat."""
    subject = f"{service} {text}"
    if (place := read_place(text)) is None:
        return Check(name, subject, OK, "is no port of TCP and is not looked at")
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(*place)
            try:
                writer.write(heartbeat(int(PATIENCE_S * 1000)))
                answer = await reader.read(1)
            finally:
                writer.close()
    except TimeoutError:
        reason = "it takes too long"
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
    else:
        reason = ""
    if reason:
        do = f"start {service}, or correct {service}.addr; its answers are errors until then"
        return Check(name, subject, WRONG, f"cannot be reached: {reason}", do)
    if not answer:
        do = f"correct {service}.addr: what listens there is no service of the exchange"
        return Check(name, subject, WRONG, "closes the connection at a heartbeat", do)
    return Check(name, subject, OK, "answers")
