"""The configuration file of the public API; its sections are those of accesshttp."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from viabtc.edges.rpc import RemoteSettings
from viabtc.protocol.addresses import Place
from viabtc.rest.context import Fees
from viabtc.rest.limits import Pace
from viabtc.service.remote import read_remotes
from viabtc.service.sections import Common, read_common
from viabtc.service.settings import Findings, Section, read_file
from viabtc.service.tokens import USERS

CONTROL: Final = "127.0.0.1:9106"
"""Address of the control app when the file names none."""

_RATE: Final = re.compile(r"0(\.[0-9]{1,18})?")


@dataclass(frozen=True, slots=True)
class RestSettings:
    """Everything that the service is made of."""

    common: Common
    bind: Place
    timeout_s: float
    tokens: Path
    users: Path
    """Users and tokens that administrators make."""
    fees: Fees
    pace: Pace
    remotes: dict[str, RemoteSettings]


def read_rest(path: Path) -> tuple[RestSettings, Findings]:
    """Reads and checks a file.

    Raises:
        SettingsError: with every problem.
    """
    return read_file(path, lambda root: _read(root, path))


def _read(root: Section, path: Path) -> RestSettings:
    common = read_common(root, CONTROL)
    own = root.section("viabtc", is_required=False)
    own.leave("control", "log_format", "audit_log")
    server = root.section("svr")
    fees = root.section("fees", is_required=False)
    limits = root.section("limits", is_required=False)
    settings = RestSettings(
        common=common,
        bind=server.place("bind") or ("", 0),
        timeout_s=root.seconds("timeout", 1.0, low=0.001, high=3600),
        tokens=path.parent / root.text("tokens", "tokens"),
        users=path.parent / root.text("users", USERS),
        fees=Fees(_rate(fees, "taker", "0.002"), _rate(fees, "maker", "0.001")),
        pace=read_pace(limits),
        remotes=read_remotes(root),
    )
    for section in (server, fees, limits, own, root):
        section.close()
    return settings


def read_pace(section: Section) -> Pace:
    """How often a user may place orders; 0 a second for no bound."""
    usual = Pace()
    return Pace(
        section.integer("orders_per_s", usual.orders_per_s, high=1_000_000),
        section.integer("orders_burst", usual.orders_burst, low=1, high=1_000_000),
    )


def _rate(section: Section, name: str, default: str) -> str:
    rate = section.text(name, default)
    if not _RATE.fullmatch(rate):
        section.problem(name, f'is "{rate}"', 'a decimal text in [0, 1), such as "0.002"')
    return rate
