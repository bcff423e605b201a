"""The exchange behind the API: calls over RPC, refusals as `ApiError`, what is listed."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Protocol

import msgspec

from viabtc.contract.errors import ErrorCode
from viabtc.contract.methods import BY_NAME
from viabtc.edges.rpc import LinkDownError, LinkTimeoutError
from viabtc.rest.errors import ApiError

CATALOGUE_S: Final = 10.0
"""Age at which assets and markets are asked for again."""


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
    fee_scale: int
    min_amount: Decimal


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
            body = await service.call(row.command, _encode(params))
        except LinkDownError as error:
            raise ApiError("service_unavailable", f"{row.owner} cannot be reached") from error
        except LinkTimeoutError as error:
            raise ApiError("service_timeout", f"{row.owner} did not answer in time") from error
        reply = _decode(body)
        if reply.error is None:
            return reply.result
        code = reply.error["code"]
        raise ApiError(_SHARED.get(code) or dict(row.errors).get(code, "internal_error"))

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
        self._markets = {market["name"]: _market(market) for market in markets}
        self._listed = now


def _market(row: Mapping[str, Any]) -> Market:
    return Market(
        name=row["name"],
        base=row["stock"],
        quote=row["money"],
        base_scale=row["stock_prec"],
        quote_scale=row["money_prec"],
        fee_scale=row["fee_prec"],
        min_amount=Decimal(row["min_amount"]),
    )
