"""The exchange behind the API: calls over RPC, refusals as `ApiError`, what is listed."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Protocol

import msgspec

from viabtc import _core
from viabtc.contract.errors import ErrorCode
from viabtc.contract.methods import BY_NAME
from viabtc.edges.rpc import LinkDownError, LinkTimeoutError
from viabtc.rest.errors import ApiError

CATALOGUE_S: Final = 2.0
"""Age at which assets and markets are asked for again."""

_STATE_AGAIN_S: Final = 600.0
"""Pause after which an engine that does not tell its state, as an original, is asked again."""


class Caller(Protocol):
    """A service that answers RPC."""

    async def call(self, command: int, params: bytes) -> bytes:
        """The body of the reply."""


@dataclass(frozen=True, slots=True)
class Market:
    """A market as the engine lists it."""

    name: str
    base: str
    quote: str
    base_scale: int
    """Decimals of amounts."""
    quote_scale: int
    """Decimals of prices."""
    min_amount: Decimal
    is_halted: bool
    """Whether new orders are refused."""


class _Reply(msgspec.Struct):
    error: dict[str, Any] | None
    result: Any


_decode: Final = msgspec.json.Decoder(_Reply).decode
_encode: Final = msgspec.json.Encoder().encode

_SHARED: Final = {int(code): code.name.lower() for code in ErrorCode}


class Exchange:
    """Asks the services of the exchange."""

    def __init__(self, services: Mapping[str, Caller]) -> None:
        self._services = services
        self._assets: dict[str, int] = {}
        self._markets: dict[str, Market] = {}
        self._listed = float("-inf")
        self._state_from = float("-inf")

    def forget(self) -> None:
        """Asks for assets and markets anew when they are wanted next: they have just changed."""
        self._listed = float("-inf")

    async def ask(self, method: str, *params: object) -> Any:
        """The result of a method.

        Raises:
            ApiError: refused, or nobody answered.
        """
        row = BY_NAME[method]
        service = self._services.get(row.owner)
        if service is None:
            raise ApiError("service_unavailable", f"{row.owner} is not configured")
        try:
            body = await service.call(row.command, _checked(params))
        except LinkDownError as error:
            raise ApiError("service_unavailable", f"{row.owner} cannot be reached") from error
        except LinkTimeoutError as error:
            raise ApiError("service_timeout", f"{row.owner} did not answer in time") from error
        reply = _decode(body)
        if reply.error is None:
            return reply.result
        code = reply.error["code"]
        reason = reply.error["message"].partition(": ")[2] if row.is_own else ""
        name = _SHARED.get(code) or dict(row.errors).get(code, "internal_error")
        raise ApiError(name, reason or None)

    async def assets(self) -> dict[str, int]:
        """Assets in configuration order, with the decimals that they show."""
        await self._list()
        return self._assets

    async def markets(self) -> dict[str, Market]:
        """Markets in configuration order."""
        await self._list()
        return self._markets

    async def market(self, name: str) -> Market:
        """A market.

        Raises:
            ApiError: there is none of this name.
        """
        market = (await self.markets()).get(name)
        if market is None:
            raise ApiError("not_found", f"there is no market {name}")
        return market

    async def asset(self, name: str) -> str:
        """The name of an asset that exists.

        Raises:
            ApiError: there is none of this name.
        """
        if name not in await self.assets():
            raise ApiError("not_found", f"there is no asset {name}")
        return name

    async def _list(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._listed < CATALOGUE_S:
            return
        assets = await self.ask("asset.list")
        markets = await self.ask("market.list")
        self._assets = {asset["name"]: asset["prec"] for asset in assets}
        halted = await self._halted(now)
        self._markets = {market["name"]: _market(market, halted) for market in markets}
        self._listed = now

    async def _halted(self, now: float) -> frozenset[str]:
        """Markets that take no new orders."""
        if now < self._state_from:
            return frozenset()
        try:
            state = await self.ask("exchange.state")
        except ApiError as error:
            if error.code not in {"method_not_found", "service_timeout"}:
                raise
            self._state_from = now + _STATE_AGAIN_S
            return frozenset()
        return frozenset(state["halted"])


def _checked(params: tuple[object, ...]) -> bytes:
    """Parameters as services read them: a call that they cannot read ends the calls of everybody.

    Raises:
        ApiError: they hold what no service reads.
    """
    try:
        text = _encode(params)
        _core.validate_params(text)
    except ValueError as error:
        raise ApiError(
            "invalid_argument",
            "a text holds U+0000 or half a character, an integer has more than 64 bits, or a"
            " document is nested too deeply",
        ) from error
    return text


def _market(row: Mapping[str, Any], halted: frozenset[str]) -> Market:
    return Market(
        name=row["name"],
        base=row["stock"],
        quote=row["money"],
        base_scale=row["stock_prec"],
        quote_scale=row["money_prec"],
        min_amount=Decimal(row["min_amount"]),
        is_halted=row["name"] in halted,
    )
