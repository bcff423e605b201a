"""The accesshttp configuration file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from viabtc.service.settings import Findings, Section, SettingsError, load, split_address

SERVICES: Final = ("matchengine", "marketprice", "readhistory")

REQUEST_BYTES_MAX: Final = 10_240
"""Largest frame that the sample services read; `request_max_pkg_size` of a section says otherwise."""


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """The link to one service."""

    addresses: tuple[str, ...]
    max_pkg_size: int
    request_bytes_max: int
    reconnect_timeout_s: float
    heartbeat_timeout_s: float


@dataclass(frozen=True, slots=True)
class AccesshttpSettings:
    """Everything that the service is made of."""

    bind: tuple[str, ...]
    max_pkg_size: int
    buf_limit: int
    keep_alive_s: float
    timeout_s: float
    worker_num: int
    monitor: tuple[str, int] | None
    log_path: str
    control: tuple[str, int]
    remotes: dict[str, RemoteSettings]


def read_accesshttp(path: Path) -> tuple[AccesshttpSettings, Findings]:
    """Reads and checks a file.

    Raises:
        SettingsError: with every problem.
    """
    findings = Findings()
    settings = _read(Section(load(path), findings))
    if findings.problems:
        raise SettingsError(str(path), findings.problems)
    return settings, findings


def _read(root: Section) -> AccesshttpSettings:
    root.idle("debug", "the services lay replies out")
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
    server = root.section("svr")
    monitor = root.section("monitor")
    monitor_bind = monitor.text("bind")
    monitor.idle("max_pkg_size", "what comes is discarded")
    own = root.section("viabtc", is_required=False)
    settings = AccesshttpSettings(
        bind=tuple(server.texts("bind")),
        max_pkg_size=server.integer("max_pkg_size", low=1, high=2**31 - 1),
        buf_limit=server.integer("buf_limit", 0),
        keep_alive_s=max(0, server.integer("keep_alive", 3600, low=-1, high=2**31 - 1)),
        timeout_s=root.number("timeout", 1.0, low=0.001, high=3600),
        worker_num=root.integer("worker_num", 1, low=1, high=64),
        monitor=split_address(monitor, "bind", monitor_bind) if monitor_bind else None,
        log_path=log_path,
        control=split_address(own, "control", own.text("control", "127.0.0.1:9103")) or ("", 0),
        remotes={name: _read_remote(root.section(name)) for name in SERVICES},
    )
    for name in ("read_mem", "write_mem"):
        server.idle(name, "the system sizes socket buffers")
    for section in (server, monitor, own, root):
        section.close()
    return settings


def _read_remote(section: Section) -> RemoteSettings:
    section.text("name")
    remote = RemoteSettings(
        addresses=tuple(section.texts("addr")),
        max_pkg_size=section.integer("max_pkg_size", low=64, high=2**31 - 1),
        request_bytes_max=section.integer(
            "request_max_pkg_size", REQUEST_BYTES_MAX, low=64, high=2**31 - 1
        ),
        reconnect_timeout_s=section.number("reconnect_timeout", 1.0, low=0, high=3600) or 1.0,
        heartbeat_timeout_s=min(
            600.0, max(2.0, section.number("heartbeat_timeout", 3.0, low=0, high=3600) or 3.0)
        ),
    )
    for name in ("buf_limit", "read_mem", "write_mem"):
        section.idle(name, "requests in flight are bounded, and the system sizes socket buffers")
    section.close()
    return remote
