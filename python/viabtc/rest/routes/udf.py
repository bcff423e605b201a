"""TradingView's datafeed protocol over candles; numbers are written from their texts."""

import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from fastapi.responses import PlainTextResponse

from viabtc.rest.context import PREFIX, Ex
from viabtc.rest.errors import ApiError, documented

router = APIRouter(prefix=f"{PREFIX}/udf", tags=["charts"])

RESOLUTIONS: Final = {
    "1S": 1,
    "5S": 5,
    "15S": 15,
    "1": 60,
    "5": 300,
    "15": 900,
    "30": 1_800,
    "60": 3_600,
    "240": 14_400,
    "1D": 86_400,
    "D": 86_400,
    "1W": 604_800,
    "W": 604_800,
    "1M": 2_592_000,
    "M": 2_592_000,
}
"""Their names to our intervals in seconds."""

_LISTED: Final = ["1S", "5S", "15S", "1", "5", "15", "30", "60", "240", "1D", "1W", "1M"]

_BARS_MAX: Final = 5_000
"""Candles of one answer; the charts ask for less."""

Second = Annotated[
    int,
    Query(ge=0, le=2**40, description="Seconds since 1970-01-01 UTC.", examples=[1_795_564_800]),
]
Symbol = Annotated[
    str,
    Query(max_length=60, description="A market's name, or viabtc: and it.", examples=["ETHUSDT"]),
]


@router.get("/config", summary="What the datafeed can do")
async def config() -> dict[str, Any]:
    return {
        "supported_resolutions": _LISTED,
        "supports_search": True,
        "supports_group_request": False,
        "supports_marks": False,
        "supports_timescale_marks": False,
        "supports_time": True,
    }


@router.get("/time", summary="The server's clock, in seconds", response_class=PlainTextResponse)
async def clock() -> str:
    return str(int(time.time()))


@router.get("/symbols", summary="A market", responses=documented("not_found"))
async def symbols(exchange: Ex, symbol: Symbol) -> dict[str, Any]:
    market = await exchange.market(symbol.rpartition(":")[2])
    return {
        "name": market.name,
        "ticker": market.name,
        "description": f"{market.base} / {market.quote}",
        "type": "crypto",
        "exchange": "viabtc",
        "listed_exchange": "viabtc",
        "session": "24x7",
        "timezone": "Etc/UTC",
        "minmov": 1,
        "pricescale": 10**market.quote_scale,
        "volume_precision": market.base_scale,
        "has_intraday": True,
        "has_seconds": True,
        "has_weekly_and_monthly": True,
        "supported_resolutions": _LISTED,
        "data_status": "streaming",
    }


@router.get("/search", summary="Markets by a part of their name", responses=documented())
async def search(
    exchange: Ex,
    query: Annotated[str, Query(max_length=60)] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 30,
) -> list[dict[str, str]]:
    found = [
        market for market in (await exchange.markets()).values() if query.upper() in market.name
    ]
    return [
        {
            "symbol": market.name,
            "full_name": market.name,
            "ticker": market.name,
            "description": f"{market.base} / {market.quote}",
            "exchange": "viabtc",
            "type": "crypto",
        }
        for market in found[:limit]
    ]


@router.get("/history", summary="Candles in columns", responses=documented("not_found"))
async def history(
    exchange: Ex,
    symbol: Symbol,
    resolution: Annotated[str, Query(max_length=4, examples=["60"])],
    to: Second,
    start: Annotated[int, Query(alias="from", ge=0, le=2**40)] = 0,
    countback: Annotated[int, Query(ge=0, le=_BARS_MAX)] = 0,
) -> Response:
    market = await exchange.market(symbol.rpartition(":")[2])
    interval = RESOLUTIONS.get(resolution)
    if interval is None:
        known = ", ".join(_LISTED)
        raise ApiError("invalid_argument", f"resolution: is {resolution}, not one of {known}")
    if countback:
        start = min(start or to, to - countback * interval)
    # Their range excludes its end; ours includes it.
    end = min(to - 1, int(time.time()))
    start = max(1, start, end - _BARS_MAX * interval)
    rows = await exchange.ask("market.kline", market.name, start, end, interval) if end >= 1 else []
    if not rows:
        return Response('{"s": "no_data"}', media_type="application/json")
    names = ("t", "o", "c", "h", "l", "v")
    columns = (
        f'"{name}": [{", ".join(str(row[place]) for row in rows)}]'
        for place, name in enumerate(names)
    )
    return Response('{"s": "ok", ' + ", ".join(columns) + "}", media_type="application/json")
