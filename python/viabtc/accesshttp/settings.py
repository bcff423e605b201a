"""The accesshttp configuration file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from viabtc.edges.rpc import RemoteSettings
from viabtc.protocol.addresses import Place
from viabtc.service.remote import read_remotes
from viabtc.service.sections import Common, read_common
from viabtc.service.settings import Findings, Section, read_file

CONTROL: Final = "127.0.0.1:9103"
"""Address of the control app when the file names none."""

_SIZED: Final = "the system sizes socket buffers"


@dataclass(frozen=True, slots=True)
class AccesshttpSettings:
    """Everything that the service is made of."""

    common: Common
    bind: tuple[str, ...]
    max_pkg_size: int
    buf_limit: int
    keep_alive_s: float
    timeout_s: float
    threads: int
    monitor: Place | None
    remotes: dict[str, RemoteSettings]


def read_accesshttp(path: Path) -> tuple[AccesshttpSettings, Findings]:
    """Reads and checks a file.

    Raises:
        SettingsError: with every problem.
    """
    return read_file(path, _read)


def _read(root: Section) -> AccesshttpSettings:
    common = read_common(root, CONTROL)
    root.idle("the services lay replies out", "debug")
    root.leave("viabtc")
    own = root.section("viabtc", is_required=False)
    own.leave("control", "log_format", "audit_log")
    server, monitor = root.section("svr"), root.section("monitor")
    monitor.idle("what comes is discarded", "max_pkg_size")
    settings = AccesshttpSettings(
        common=common,
        bind=server.addresses("bind", ("tcp", "stream")),
        max_pkg_size=server.integer("max_pkg_size", low=1, high=2**31 - 1),
        buf_limit=server.integer("buf_limit", 0),
        keep_alive_s=max(0, server.integer("keep_alive", 3600, low=-(2**31), high=2**31 - 1)),
        timeout_s=root.seconds("timeout", 1.0, low=0.001, high=3600),
        threads=root.integer("worker_num", 1, low=1, high=64),
        monitor=monitor.place("bind"),
        remotes=read_remotes(root),
    )
    server.idle(_SIZED, "read_mem", "write_mem")
    for section in (server, monitor, own, root):
        section.close()
    return settings
