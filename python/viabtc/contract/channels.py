"""The channels of the stream: the typed view of `_core.CHANNELS`, with what each one tells.

The checksum of a book stands here because both ends compute it.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from viabtc import _core

PATH: Final = _core.STREAM_PATH
"""Where a client connects."""

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_NUMBER: Final[dict[str, Any]] = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
_LEVEL: Final[dict[str, Any]] = {
    "type": "array",
    "prefixItems": [_NUMBER, _NUMBER],
    "minItems": 2,
    "maxItems": 2,
    "description": "Price and amount; an amount of 0 says that the level is gone.",
}


def _object(**members: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": list(members)}


def _list(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


_TRADE: Final = _object(
    id={"type": "integer"},
    time={"type": "number"},
    price=_NUMBER,
    amount=_NUMBER,
    type={"enum": ["buy", "sell"]},
)
_CANDLE: Final = _object(
    time={"type": "integer"},
    **dict.fromkeys(("open", "close", "high", "low", "volume", "turnover"), _NUMBER),
)
_BALANCE: Final = _object(available=_NUMBER, freeze=_NUMBER)
_ORDER: Final = _object(id={"type": "integer"}, market=_TEXT, price=_NUMBER, left=_NUMBER)

_DATA: Final[dict[str, dict[str, Any]]] = {
    "trades": _list(_TRADE),
    "book": _object(asks=_list(_LEVEL), bids=_list(_LEVEL), checksum={"type": "integer"}),
    "bbo": _object(
        bid={"anyOf": [_LEVEL, {"type": "null"}]}, ask={"anyOf": [_LEVEL, {"type": "null"}]}
    ),
    "candles": _list(_CANDLE),
    "ticker": _object(
        **dict.fromkeys(("last", "open", "close", "high", "low", "volume", "deal"), _NUMBER)
    ),
    "orders": _object(open=_list(_ORDER), gone=_list({"type": "integer"})),
    "balances": {"type": "object", "additionalProperties": _BALANCE},
}
"""JSON Schema of `data`, of snapshots and updates alike."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A kind of channels."""

    name: str
    parameters: tuple[str, ...]
    is_private: bool
    """It shows what belongs to the connection's user."""
    is_conflated: bool
    """A reader who is behind may get the whole in the place of what he has not read."""
    summary: str
    data: dict[str, Any]
    """JSON Schema of what its messages hold."""


def _channel(row: dict[str, Any]) -> Channel:
    name, *parameters = row["form"].split(":")
    return Channel(
        name,
        tuple(parameters),
        row["is_private"],
        row["is_conflated"],
        row["summary"],
        _DATA[name],
    )


CHANNELS: Final = {channel.name: channel for channel in map(_channel, _core.CHANNELS)}
"""All of them, by their names."""


def book_checksum(asks: Iterable[tuple[str, str]], bids: Iterable[tuple[str, str]]) -> int:
    """CRC-32 of a book: `PRICE AMOUNT` and a line feed for each level.

    Asks stand before bids, and the best price of each side first.
    """
    lines = (f"{price} {amount}\n" for side in (asks, bids) for price, amount in side)
    return zlib.crc32("".join(lines).encode())
