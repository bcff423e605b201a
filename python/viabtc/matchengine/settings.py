"""The matchengine's configuration file: the original's keys, and ours under `viabtc`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from viabtc import _core
from viabtc.service.settings import Findings, Problem, Section, SettingsError, load, split_address

NOT_YET: Final = "this version writes no databases and no topics yet"


@dataclass(frozen=True, slots=True)
class RpcSettings:
    """The binary RPC port."""

    bind: tuple[str, ...]
    max_pkg_size: int
    buf_limit: int
    heartbeat_check: bool


@dataclass(frozen=True, slots=True)
class MatchengineSettings:
    """Everything that the service is made of."""

    engine: str
    """JSON text of assets and markets, for the engine."""
    rpc: RpcSettings
    console: tuple[str, int] | None
    log_path: str | None
    data: Path
    durability: str
    segment_bytes: int
    snapshot_interval_s: float
    snapshot_commands: int
    control: tuple[str, int]
    threads: int


def read_matchengine(path: Path) -> tuple[MatchengineSettings, Findings]:
    """Reads and checks a file.

    Raises:
        SettingsError: with every problem.
    """
    data = load(path)
    findings = Findings()
    settings = _read(Section(data, findings), data, path)
    try:
        _core.validate_config(_engine_text(data))
    except _core.ConfigError as error:
        known = {problem.key for problem in findings.problems}
        problem = Problem(*error.args)
        if problem.key not in known:
            findings.problems.append(problem)
    if findings.problems:
        raise SettingsError(str(path), findings.problems)
    return settings, findings


def _engine_text(data: dict[str, Any]) -> str:
    own = data.get("viabtc")
    days = own.get("update_window_days") if isinstance(own, dict) else None
    keys = {name: data[name] for name in ("assets", "markets", "debug") if name in data}
    return json.dumps(keys if days is None else {**keys, "update_window_days": days})


def _read(root: Section, data: dict[str, Any], path: Path) -> MatchengineSettings:
    root.flag("debug", False)
    root.leave("assets", "markets")
    process = root.section("process", is_required=False)
    process.idle("file_limit", "limits are set by systemd or the shell")
    process.idle("core_limit", "limits are set by systemd or the shell")
    process.close()
    log = root.section("log")
    log_path = log.text("path")
    log.text("flag")
    for name in ("shift", "pid", "fork", "max", "num", "keep"):
        log.idle(name, "lines are JSON; rotate them with logrotate")
    log.close()
    root.idle("alert", "alerts come with a later version")
    console_text = root.text("cli")
    console = split_address(root, "cli", console_text) if console_text else None
    rpc = _read_rpc(root.section("svr"))
    for name in (
        "db_log",
        "db_history",
        "brokers",
        "slice_interval",
        "slice_keeptime",
        "history_thread",
    ):
        root.idle(name, NOT_YET)
    root.idle("cache_timeout", "depth is always fresh")
    own = root.section("viabtc", is_required=False)
    settings = MatchengineSettings(
        engine=_engine_text(data),
        rpc=rpc,
        console=console,
        log_path=log_path,
        data=Path(own.text("data", str(path.parent / "viabtc-data"))),
        durability=own.text("durability", "local"),
        segment_bytes=own.integer("segment_bytes", 64 << 20, low=1 << 20, high=1 << 30),
        snapshot_interval_s=own.number("snapshot_interval_s", 60, low=1, high=86_400),
        snapshot_commands=own.integer("snapshot_commands", 1_000_000, low=1_000),
        control=split_address(own, "control", own.text("control", "127.0.0.1:9100")) or ("", 0),
        threads=own.integer("threads", 1, low=1, high=64),
    )
    if settings.durability not in {"local", "async"}:
        own.problem("durability", f'is "{settings.durability}"', "local or async")
    own.leave("update_window_days")
    own.close()
    root.close()
    return settings


def _read_rpc(section: Section) -> RpcSettings:
    rpc = RpcSettings(
        bind=tuple(section.texts("bind")),
        max_pkg_size=section.integer("max_pkg_size", low=64, high=2**31 - 1),
        buf_limit=section.integer("buf_limit", 0),
        heartbeat_check=section.flag("heartbeat_check", True),
    )
    for name in ("read_mem", "write_mem"):
        section.idle(name, "the system sizes socket buffers")
    section.close()
    return rpc
