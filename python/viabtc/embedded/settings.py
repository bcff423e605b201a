"""What `viabtc run` is made of: built-in defaults, a matchengine file if given, flags on top."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from viabtc import _core
from viabtc.matchengine.settings import read_matchengine
from viabtc.service.settings import Findings, load

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

_USED: Final = {"assets", "markets", "debug", "svr", "viabtc"}
"""Keys of a matchengine file that count here."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything that the process is made of."""

    engine: str
    """JSON text of assets and markets."""
    markets: tuple[str, ...]
    data: Path
    http: tuple[str, int]
    rest: tuple[str, int]
    rpc: tuple[str, int]
    console: tuple[str, int]
    max_pkg_size: int
    durability: str
    segment_bytes: int
    snapshot_interval_s: float
    snapshot_commands: int
    left_aside: tuple[str, ...]


def run_settings(
    config: Path | None,
    data: Path,
    http: tuple[str, int],
    rest: tuple[str, int],
    rpc: tuple[str, int],
    console: tuple[str, int],
) -> RunSettings:
    """Puts the parts together.

    Raises:
        SettingsError: the file cannot be used.
    """
    if config is None:
        engine = json.dumps(DEFAULTS)
        markets = tuple(market["name"] for market in DEFAULTS["markets"])
        _core.validate_config(engine)
        return RunSettings(
            engine,
            markets,
            data,
            http,
            rest,
            rpc,
            console,
            10_240,
            "local",
            64 << 20,
            60,
            1_000_000,
            (),
        )
    settings, findings = read_matchengine(config)
    names = tuple(market["name"] for market in load(config)["markets"])
    return RunSettings(
        settings.engine,
        names,
        data,
        http,
        rest,
        rpc,
        console,
        settings.rpc.max_pkg_size,
        settings.durability,
        settings.segment_bytes,
        settings.snapshot_interval_s,
        settings.snapshot_commands,
        _left_aside(config, findings),
    )


def _left_aside(config: Path, findings: Findings) -> tuple[str, ...]:
    top = [name for name in load(config) if name not in _USED]
    unknown = [problem.key for problem in findings.unknown if problem.key not in top]
    return (*top, *unknown)
