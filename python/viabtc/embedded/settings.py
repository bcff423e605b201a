"""What `viabtc run` is made of: built-in defaults, a matchengine file if given, flags on top."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from viabtc.marketprice.board import BoardSettings, read_board
from viabtc.matchengine.settings import (
    EngineSettings,
    RpcSettings,
    SliceSettings,
    read_matchengine,
)
from viabtc.protocol.addresses import Place
from viabtc.rest.context import Fees
from viabtc.rest.limits import Pace
from viabtc.rest.settings import read_pace
from viabtc.service.failure import EXIT_CONFIGURATION, StartFailure
from viabtc.service.settings import Problem, Section, SettingsError, load

_MAX_PKG_SIZE: Final = 10_240

DEFAULTS: Final[dict[str, Any]] = {
    "assets": [
        {"name": "BTC", "prec_save": 12, "prec_show": 8},
        {"name": "ETH", "prec_save": 12, "prec_show": 8},
        {"name": "USDT", "prec_save": 20, "prec_show": 8},
    ],
    "markets": [
        {
            "name": "BTCUSDT",
            "stock": {"name": "BTC", "prec": 8},
            "money": {"name": "USDT", "prec": 8},
            "min_amount": "0.00000001",
        },
        {
            "name": "ETHUSDT",
            "stock": {"name": "ETH", "prec": 8},
            "money": {"name": "USDT", "prec": 8},
            "min_amount": "0.00000001",
        },
        {
            "name": "ETHBTC",
            "stock": {"name": "ETH", "prec": 4},
            "money": {"name": "BTC", "prec": 8},
            "min_amount": "0.0001",
        },
    ],
}
"""Assets and markets without a file."""

_USED: Final = {
    *("assets", "markets", "debug", "svr", "slice_interval", "slice_keeptime", "viabtc"),
}
"""Keys of a matchengine file that count here."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the process listens."""

    http: Place
    ws: Place
    rest: Place
    rpc: Place
    console: Place


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything that the process is made of."""

    engine: EngineSettings
    rpc: RpcSettings
    slices: SliceSettings
    places: Places
    market: BoardSettings
    fees: Fees
    """Rates of orders that come through the API."""
    pace: Pace
    """How often a user may place them."""
    markets: tuple[str, ...]
    is_indented: bool
    """Whether answers are laid out over several lines, as `debug` says."""
    left_aside: tuple[str, ...]
    """Keys of the file that have no effect here."""
    warnings: tuple[Problem, ...]
    is_demo: bool
    """Whether the demo users have funds, a first book, and a place on the page."""


def run_settings(config: Path | None, data: Path, places: Places) -> RunSettings:
    """Puts the parts together.

    Raises:
        SettingsError: the file cannot be used.
        StartFailure: two ports have one address.
    """
    _check_distinct(places)
    host, port = places.rpc
    bind = (f"tcp@{host}:{port}",)
    if config is None:
        engine = EngineSettings(json.dumps(DEFAULTS), data)
        rpc = RpcSettings(bind, _MAX_PKG_SIZE, 0, heartbeat_check=False)
        return RunSettings(
            engine,
            rpc,
            SliceSettings(),
            places,
            BoardSettings(),
            Fees(),
            Pace(),
            markets=_names(DEFAULTS),
            is_indented=False,
            left_aside=(),
            warnings=(),
            is_demo=True,
        )
    settings, findings = read_matchengine(config)
    file = load(config)
    root = Section(file, findings)
    own = root.section("viabtc", is_required=False)
    market = read_board(root, own)
    limits = own.section("limits", is_required=False)
    pace = read_pace(limits)
    limits.close()
    if settings.engine.durability == "operlog":
        right = "local, or `viabtc matchengine`, which writes to MySQL"
        findings.problems.append(Problem("viabtc.durability", "is operlog", right))
    if findings.problems:
        raise SettingsError(str(config), findings.problems)
    return RunSettings(
        replace(settings.engine, data=data),
        replace(settings.rpc, bind=bind, heartbeat_check=False),
        settings.slices,
        places,
        market,
        Fees(),
        pace,
        markets=_names(file),
        is_indented=file.get("debug", False),
        left_aside=tuple(name for name in file if name not in _USED),
        warnings=tuple(
            problem for problem in findings.unknown if problem.key in file or "." in problem.key
        ),
        is_demo=False,
    )


def _check_distinct(places: Places) -> None:
    """The second of two ports at one address would find the first one in its way."""
    first: dict[Place, str] = {}
    for name, place in asdict(places).items():
        other = first.setdefault(place, name)
        if other != name and place[1]:
            raise StartFailure(
                f"--{other} and --{name} name one address, {place[0]}:{place[1]}",
                "give each a port of its own",
                EXIT_CONFIGURATION,
            )


def _names(config: dict[str, Any]) -> tuple[str, ...]:
    return tuple(market["name"] for market in config["markets"])
