"""The accessws configuration file."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from viabtc.accessws.sources import Paces
from viabtc.edges.kafka import TopicSettings
from viabtc.edges.rpc import RemoteSettings
from viabtc.protocol.addresses import Place
from viabtc.service.remote import read_remotes
from viabtc.service.sections import Common, read_common
from viabtc.service.settings import Findings, Section, read_file

CONTROL: Final = "127.0.0.1:9104"
"""Address of the control app when the file names none."""

DEPTH_LIMITS: Final = (1, 5, 10, 20, 30, 50, 100)
"""Limits of the sample file."""

DEPTH_INTERVALS: Final = ("0", *(f"{10**-places:.{places}f}" for places in range(8, 0, -1)))
"""Intervals of the sample file: none, and 0.00000001 to 0.1."""

_ORIGIN: Final = re.compile(r"null|[a-z][a-z0-9+.-]*://[^/?#@\sA-Z]+")
"""What a browser says; with a slash at the end it would never be the same."""

_SIZED: Final = "the system sizes socket buffers"

_INTERVAL_MAX_S: Final = 3600


@dataclass(frozen=True, slots=True)
class AccesswsSettings:
    """Everything that the service is made of."""

    common: Common
    bind: tuple[str, ...]
    hub: dict[str, Any]
    """Options of `_core.Hub`."""
    paces: Paces
    timeout_s: float
    auth_url: str
    sign_url: str
    recheck_s: float
    """Pause between two questions whether a token that is in use still counts; 0 asks never."""
    signed_s: float
    """How long a connection may stand on one signature of `server.sign`; 0 for ever."""
    monitor: Place | None
    orders: TopicSettings
    balances: TopicSettings
    deals: TopicSettings
    timezone: str
    """Zone whose midnights begin days, as marketprice has it; empty for the machine's."""
    remotes: dict[str, RemoteSettings]


def read_accessws(path: Path) -> tuple[AccesswsSettings, Findings]:
    """Reads and checks a file.

    Raises:
        SettingsError: with every problem.
    """
    return read_file(path, _read)


def _read(root: Section) -> AccesswsSettings:
    common = read_common(root, CONTROL)
    root.idle("the services lay replies out", "debug")
    root.idle("nothing reads it", "timeout")
    root.idle("answers are never older than their question", "cache_timeout")
    root.leave("viabtc")
    own = root.section("viabtc", is_required=False)
    own.leave("control", "log_format", "audit_log")
    server, monitor = root.section("svr"), root.section("monitor")
    monitor.idle("what comes is discarded", "max_pkg_size")
    server.idle(_SIZED, "read_mem", "write_mem")
    orders = _topic(root.section("orders"))
    settings = AccesswsSettings(
        common=common,
        bind=server.addresses("bind", ("tcp", "stream")),
        hub=_read_hub(root, server, own),
        paces=Paces(**{name: _interval(root, name) for name in Paces.__dataclass_fields__}),
        timeout_s=root.seconds("backend_timeout", 1.0, low=0.001, high=3600),
        auth_url=root.url("auth_url"),
        sign_url=root.url("sign_url"),
        recheck_s=own.seconds("auth_recheck", 0, low=0, high=3600),
        signed_s=own.seconds("sign_lifetime", 0, low=0, high=30 * 86_400),
        monitor=monitor.place("bind"),
        orders=orders,
        balances=_topic(root.section("balances")),
        deals=_deals(root, orders),
        timezone=own.text("timezone", ""),
        remotes=read_remotes(root),
    )
    for section in (server, monitor, own, root):
        section.close()
    return settings


def _read_hub(root: Section, server: Section, own: Section) -> dict[str, Any]:
    max_pkg_size = server.integer("max_pkg_size", low=1, high=2**31 - 1)
    server.idle("what waits for a reader is bounded by viabtc.queue_bytes_max", "buf_limit")
    keep_alive = server.integer("keep_alive", 3600, low=-(2**31), high=2**31 - 1)
    origins = own.texts("origins", ())
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            right = "an origin as browsers send it, such as https://example.org, with no path"
            own.problem("origins", f'holds "{origin[:60]}"', right)
    return {
        "protocol": server.text("protocol", "chat"),
        "origin_suffix": server.text("origin", ""),
        "origins": list(origins),
        "trusts_forwarded": own.flag("trusts_forwarded", default=False),
        "frame_bytes_max": max_pkg_size,
        "message_bytes_max": max(own.integer("message_bytes_max", 1 << 20), max_pkg_size),
        "queue_bytes_max": own.integer("queue_bytes_max", 256 * 1024, low=4096),
        "keep_alive_s": float(max(0, keep_alive)),
        "ping_interval_s": own.seconds("ping_interval", 0, low=0, high=3600),
        "connections_max": own.integer("connections_max", 65_536, low=1, high=2**24),
        "connections_per_address_max": own.integer("connections_per_address_max", 0),
        "auth_timeout_s": own.seconds("auth_timeout", 0, low=0, high=3600),
        "message_timeout_s": own.seconds("message_timeout", 60, low=1, high=3600),
        "subscriptions_max": own.integer("subscriptions_max", 1024, low=1),
        "deflate": own.flag("deflate", default=False),
        "frames_per_second_max": own.integer("frames_per_second_max", 0),
        "stream_message_bytes_max": own.integer("stream_message_bytes_max", 64 * 1024, low=1024),
        "stream_frames_per_second_max": own.integer("stream_frames_per_second_max", 10),
        "stream_connections_per_address_max": own.integer(
            "stream_connections_per_address_max", 256
        ),
        "stream_subscriptions_max": own.integer("stream_subscriptions_max", 200, low=1),
        "stream_ping_interval_s": own.seconds("stream_ping_interval", 20, low=0, high=3600),
        "threads": root.integer("worker_num", 1, low=1, high=64),
        "shared": True,
        "depth_limits": _depth_limits(root),
        "depth_intervals": _depth_intervals(root),
    }


def _topic(section: Section) -> TopicSettings:
    topic = TopicSettings(
        section.text("brokers"), section.text("topic"), section.integer("partition", 0)
    )
    section.idle("batches are bounded", "limit")
    section.idle("users are told what happens from the start on", "offset")
    section.close()
    return topic


def _deals(root: Section, orders: TopicSettings) -> TopicSettings:
    """The original reads no such key: without one the topic stands beside the orders."""
    if not isinstance(root.data.get("deals", {}), dict):
        root.idle("it is no topic", "deals")
        return TopicSettings(orders.brokers, "deals")
    section = root.section("deals", is_required=False)
    topic = TopicSettings(
        section.text("brokers", orders.brokers),
        section.text("topic", "deals"),
        section.integer("partition", 0),
    )
    section.idle("batches are bounded", "limit")
    section.idle("market data is seeded from marketprice", "offset")
    section.close()
    return topic


def _interval(root: Section, name: str) -> float:
    return root.seconds(f"{name}_interval", 0.5, low=0.001, high=_INTERVAL_MAX_S)


def _depth_limits(root: Section) -> list[int]:
    limits = root.data.get("depth_limit")
    root.leave("depth_limit")
    is_list = isinstance(limits, list) and len(limits) > 0
    if not is_list or not all(isinstance(limit, int) and limit for limit in limits or ()):
        root.problem("depth_limit", "is no list of integers", "a list such as [5, 10, 20]")
        return []
    return list(limits or ())


def _depth_intervals(root: Section) -> list[str]:
    intervals = root.data.get("depth_merge")
    root.leave("depth_merge")
    is_list = isinstance(intervals, list) and len(intervals) > 0
    if not is_list or not all(isinstance(interval, str) for interval in intervals or ()):
        root.problem("depth_merge", "is no list of texts", 'a list such as ["0", "0.01"]')
        return []
    return list(intervals or ())
