"""The board's own settings, which every composition with market data reads."""

from dataclasses import dataclass

from viabtc import _core
from viabtc.service.settings import Section
from viabtc.service.zone import configured_zone


@dataclass(frozen=True, slots=True)
class BoardSettings:
    """How long candles are kept, what a day is, and how a market begins."""

    sec_max: int = 604_800
    """Candles of a second are kept so many seconds."""
    min_max: int = 525_600
    """Candles of a minute are kept so many minutes."""
    hour_max: int = 87_600
    """Candles of an hour are kept so many hours."""
    timezone: str = ""
    """Name of the zone whose midnights begin days; empty for the machine's."""
    first_candle_zero: bool = False
    """Whether first candles open, and have their low, at 0 as the original's do."""


def read_board(root: Section, own: Section) -> BoardSettings:
    """Reads the original's retention keys from `root` and ours from `own`."""
    return BoardSettings(
        sec_max=root.integer("sec_max", 604_800, low=1, high=31_622_400),
        min_max=root.integer("min_max", 525_600, low=1, high=52_560_000),
        hour_max=root.integer("hour_max", 87_600, low=1, high=876_000),
        timezone=own.text("timezone", ""),
        first_candle_zero=own.flag("first_candle_zero", default=False),
    )


async def new_board(
    settings: BoardSettings, markets: tuple[str, ...], *, debug: bool
) -> _core.MarketBoard:
    """An empty board.

    Raises:
        StartFailure: there is no such time zone.
    """
    return _core.MarketBoard(
        markets,
        zone=await configured_zone(settings.timezone),
        sec_max=settings.sec_max,
        min_max=settings.min_max,
        hour_max=settings.hour_max,
        first_candle_zero=settings.first_candle_zero,
        debug=debug,
    )
