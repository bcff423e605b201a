"""The sections of services that are called over RPC."""

from typing import Final

from viabtc.contract.methods import OWNERS
from viabtc.edges.rpc import RemoteSettings
from viabtc.service.settings import Section

REQUEST_BYTES_MAX: Final = 10_240
"""Largest frame that the sample services read, unless `request_max_pkg_size` says otherwise."""


def read_remotes(root: Section) -> dict[str, RemoteSettings]:
    """Reads the sections of all services that answer methods."""
    return {name: _read_remote(root.section(name)) for name in OWNERS}


def _read_remote(section: Section) -> RemoteSettings:
    section.text("name")
    remote = RemoteSettings(
        addresses=section.addresses("addr", ("tcp", "stream")),
        max_pkg_size=section.integer("max_pkg_size", low=64, high=2**31 - 1),
        request_bytes_max=section.integer(
            "request_max_pkg_size", REQUEST_BYTES_MAX, low=64, high=2**31 - 1
        ),
        reconnect_timeout_s=section.seconds("reconnect_timeout", 1.0, low=0, high=3600) or 1.0,
        heartbeat_timeout_s=_clamped(section.seconds("heartbeat_timeout", 3.0, low=0, high=3600)),
    )
    section.idle("requests in flight are bounded", "buf_limit")
    section.idle("the system sizes socket buffers", "read_mem", "write_mem")
    section.close()
    return remote


def _clamped(timeout_s: float) -> float:
    """As the original's client: 0 is 3 s, the rest from 2 to 600 s."""
    return min(600.0, max(2.0, timeout_s or 3.0))
