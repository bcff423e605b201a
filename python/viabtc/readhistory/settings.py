"""The readhistory's configuration file: the original's keys, and ours under `viabtc`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from viabtc.edges.mysql import MysqlSettings
from viabtc.service.database import read_database
from viabtc.service.sections import Common, read_common
from viabtc.service.settings import Findings, Section, read_file

CONTROL: Final = "127.0.0.1:9102"
"""Address of the control app unless the file says otherwise."""


@dataclass(frozen=True, slots=True)
class ReadhistorySettings:
    """Everything that the service is made of."""

    common: Common
    bind: tuple[str, ...]
    max_pkg_size: int
    buf_limit: int
    heartbeat_check: bool
    database: MysqlSettings
    workers: int
    is_indented: bool


def read_readhistory(path: Path) -> tuple[ReadhistorySettings, Findings]:
    """Reads and checks a file.

    Raises:
        SettingsError: with every problem.
    """
    return read_file(path, _read)


def _read(root: Section) -> ReadhistorySettings:
    common = read_common(root, CONTROL)
    server = root.section("svr")
    settings = ReadhistorySettings(
        common=common,
        bind=server.addresses("bind"),
        max_pkg_size=server.integer("max_pkg_size", low=64, high=2**31 - 1),
        buf_limit=server.integer("buf_limit", 0),
        heartbeat_check=server.flag("heartbeat_check", default=True),
        database=read_database(root.section("db_history")),
        workers=root.integer("worker_num", 10, low=1, high=1_000),
        is_indented=root.flag("debug", default=False),
    )
    server.idle("the system sizes socket buffers", "read_mem", "write_mem")
    own = root.section("viabtc", is_required=False)
    own.leave("control", "log_format", "audit_log")
    for section in (server, own, root):
        section.close()
    return settings
