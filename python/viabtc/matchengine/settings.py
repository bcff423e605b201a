"""The matchengine's configuration file: the original's keys, and ours under `viabtc`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from viabtc import _core
from viabtc.edges.mysql import MysqlSettings
from viabtc.protocol.addresses import Place
from viabtc.service.database import read_database
from viabtc.service.sections import Common, read_common
from viabtc.service.settings import Findings, Problem, Section, SettingsError, load

CONTROL: Final = "127.0.0.1:9100"
"""Address of the control app when the file names none."""

_SIZED: Final = "the system sizes socket buffers"


@dataclass(frozen=True, slots=True)
class RpcSettings:
    """The binary RPC port."""

    bind: tuple[str, ...]
    max_pkg_size: int
    buf_limit: int
    heartbeat_check: bool
    threads: int = 1


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The engine and its files."""

    config: str
    """JSON text of assets, markets and layout, as the engine reads it."""
    data: Path
    durability: str = "local"
    """`local`: acknowledged when synced; `operlog`: when MySQL has it too; `async`: at once, for
    comparisons."""
    segment_bytes: int = 64 << 20
    """Of the journal's files, and of the event feed's."""
    snapshot_interval_s: float = 60
    snapshot_commands: int = 1_000_000


@dataclass(frozen=True, slots=True)
class SliceSettings:
    """When slices are made, in seconds, and how long they stay."""

    interval_s: int = 86_400
    """One is made when a multiple of this has passed since 1970, as the original does."""
    keep_s: int = 259_200


@dataclass(frozen=True, slots=True)
class Databases:
    """Where history and operation log are written."""

    history: MysqlSettings
    log: MysqlSettings


@dataclass(frozen=True, slots=True)
class MatchengineSettings:
    """Everything that the service is made of."""

    file: Path
    common: Common
    engine: EngineSettings
    rpc: RpcSettings
    console: Place | str | None
    """A path for a UNIX socket."""
    brokers: str
    """Kafka brokers, `HOST:PORT` separated by commas; empty for no topics."""
    databases: Databases | None
    """None: no history, no operation log and no slices outside the journal."""
    slices: SliceSettings
    take_over: bool
    """Whether to write over an engine that wrote to the databases a moment ago."""


def read_matchengine(path: Path) -> tuple[MatchengineSettings, Findings]:
    """Reads and checks a file.

    Raises:
        SettingsError: with every problem.
    """
    data = load(path)
    findings = Findings()
    settings = _read(Section(data, findings), data, path)
    try:
        _core.validate_config(settings.engine.config)
    except _core.ConfigError as error:
        findings.problems.append(Problem(*error.args))
    if findings.problems:
        raise SettingsError(str(path), findings.problems)
    return settings, findings


def _read(root: Section, data: dict[str, Any], path: Path) -> MatchengineSettings:
    common = read_common(root, CONTROL)
    root.leave("debug", "assets", "markets")
    console = root.listener("cli")
    brokers = root.text("brokers", "")
    server = root.section("svr")
    databases = _read_databases(root)
    slices = SliceSettings(
        interval_s=root.integer("slice_interval", 86_400, low=1),
        keep_s=root.integer("slice_keeptime", 259_200, low=0),
    )
    root.idle("one session writes each database, many rows a statement", "history_thread")
    root.idle("depth is always fresh", "cache_timeout")
    own = root.section("viabtc", is_required=False)
    own.leave("control", "log_format", "audit_log", "update_window_days")
    # Of the market data of `viabtc run`.
    own.leave("timezone", "first_candle_zero", "limits")
    engine = EngineSettings(
        config=_engine_text(data),
        data=Path(own.text("data", str(path.parent / "viabtc-data"))),
        durability=own.word("durability", "local", "local", "operlog", "async"),
        segment_bytes=own.integer("segment_bytes", 64 << 20, low=1 << 20, high=1 << 30),
        snapshot_interval_s=own.seconds("snapshot_interval_s", 60, low=1, high=86_400),
        snapshot_commands=own.integer("snapshot_commands", 1_000_000, low=1_000),
    )
    rpc = RpcSettings(
        bind=server.addresses("bind"),
        max_pkg_size=server.integer("max_pkg_size", low=64, high=2**31 - 1),
        buf_limit=server.integer("buf_limit", 0),
        heartbeat_check=server.flag("heartbeat_check", default=True),
        threads=own.integer("threads", 1, low=1, high=64),
    )
    if engine.durability == "operlog" and databases is None:
        own.problem("durability", '"operlog" needs a database', "db_log and db_history, or local")
    server.idle(_SIZED, "read_mem", "write_mem")
    take_over = own.flag("take_over", default=False)
    for section in (server, own, root):
        section.close()
    return MatchengineSettings(
        path, common, engine, rpc, console, brokers, databases, slices, take_over
    )


def _read_databases(root: Section) -> Databases | None:
    if "db_log" not in root.data and "db_history" not in root.data:
        root.leave("db_log", "db_history")
        return None
    return Databases(
        history=read_database(root.section("db_history")),
        log=read_database(root.section("db_log")),
    )


def _engine_text(data: dict[str, Any]) -> str:
    own = data.get("viabtc")
    days = own.get("update_window_days") if isinstance(own, dict) else None
    keys = {name: data[name] for name in ("assets", "markets", "debug") if name in data}
    return json.dumps(keys if days is None else {**keys, "update_window_days": days})
