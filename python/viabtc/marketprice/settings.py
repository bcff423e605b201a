"""The marketprice configuration file: the original's keys, and ours under `viabtc`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from viabtc.edges.kafka import TopicSettings
from viabtc.edges.mysql import MysqlSettings
from viabtc.edges.redis import RedisSettings
from viabtc.marketprice.board import BoardSettings, read_board
from viabtc.protocol.addresses import Place
from viabtc.service.database import read_database
from viabtc.service.sections import Common, read_common
from viabtc.service.settings import Findings, Section, read_file
from viabtc.service.stores import read_redis

CONTROL: Final = "127.0.0.1:9101"
"""Address of the control app when the file names none."""

_SIZED: Final = "the system sizes socket buffers"


@dataclass(frozen=True, slots=True)
class MarketpriceSettings:
    """Everything that the service is made of."""

    common: Common
    bind: tuple[str, ...]
    max_pkg_size: int
    buf_limit: int
    heartbeat_check: bool
    threads: int
    debug: bool
    deals: TopicSettings
    redis: RedisSettings
    accesshttp: Place
    """Front door that is asked for the list of markets."""
    board: BoardSettings
    flush_interval_s: float
    history: MysqlSettings | None
    """Where deals are read that the topic lost."""


def read_marketprice(path: Path) -> tuple[MarketpriceSettings, Findings]:
    """Reads and checks a file.

    Raises:
        SettingsError: with every problem.
    """
    return read_file(path, _read)


def _read(root: Section) -> MarketpriceSettings:
    common = read_common(root, CONTROL)
    own = root.section("viabtc", is_required=False)
    own.leave("control", "log_format", "audit_log")
    server, deals = root.section("svr"), root.section("deals")
    deals.idle("the position stands in Redis", "offset")
    deals.idle("batches are bounded", "limit")
    root.idle("answers are always fresh", "cache_timeout")
    settings = MarketpriceSettings(
        common=common,
        bind=server.addresses("bind"),
        max_pkg_size=server.integer("max_pkg_size", low=64, high=2**31 - 1),
        buf_limit=server.integer("buf_limit", 0),
        heartbeat_check=server.flag("heartbeat_check", default=True),
        threads=own.integer("threads", 1, low=1, high=64),
        debug=root.flag("debug", default=False),
        deals=TopicSettings(
            deals.text("brokers"), deals.text("topic"), deals.integer("partition", 0)
        ),
        redis=read_redis(root.section("redis")),
        accesshttp=_door(root),
        board=read_board(root, own),
        flush_interval_s=own.seconds("flush_interval_s", 1.0, low=0.05, high=3600),
        history=read_database(own.section("db_history")) if "db_history" in own.data else None,
    )
    server.idle(_SIZED, "read_mem", "write_mem")
    for section in (server, deals, own, root):
        section.close()
    return settings


def _door(root: Section) -> Place:
    """Host and port of the URL of a front door, whose path is always `/`."""
    text = root.text("accesshttp")
    url = urlsplit(text)
    try:
        port = url.port or 80
    except ValueError:
        port = 0
    if text and (url.scheme != "http" or not url.hostname or not port):
        root.problem("accesshttp", f'is "{text}"', "http://HOST:PORT/ of a front door")
    return url.hostname or "", port
