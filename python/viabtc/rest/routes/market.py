"""Public market data."""

import time
from typing import Annotated

from fastapi import APIRouter, Query

from viabtc.rest.context import PREFIX, Ex, Limit, MarketInPath, microseconds
from viabtc.rest.errors import documented
from viabtc.rest.models import (
    POSITIVE,
    Asset,
    Candle,
    Depth,
    MarketInfo,
    ServerTime,
    Side,
    Ticker,
    Trade,
)

router = APIRouter(prefix=PREFIX, tags=["market data"])

DAY_S = 86_400

_TAKERS: dict[str, Side] = {"sell": "ask", "buy": "bid"}


@router.get("/time", summary="The server's clock")
async def server_time() -> ServerTime:
    return ServerTime(time=time.time_ns() // 1000)


@router.get("/assets", summary="All assets", responses=documented())
async def assets(exchange: Ex) -> list[Asset]:
    found = await exchange.assets()
    return [Asset(name=name, decimals=decimals) for name, decimals in found.items()]


@router.get("/markets", summary="All markets", responses=documented())
async def markets(exchange: Ex) -> list[MarketInfo]:
    found = await exchange.markets()
    return [
        MarketInfo(
            name=market.name,
            base=market.base,
            quote=market.quote,
            amount_decimals=market.base_scale,
            price_decimals=market.quote_scale,
            min_amount=f"{market.min_amount:f}",
            status="halted" if market.is_halted else "trading",
        )
        for market in found.values()
    ]


async def _ticker(exchange: Ex, name: str) -> Ticker:
    row = await exchange.ask("market.status", name, DAY_S)
    return Ticker(
        market=name,
        last=row["last"],
        open=row["open"],
        high=row["high"],
        low=row["low"],
        volume=row["volume"],
        turnover=row["deal"],
    )


@router.get("/tickers", summary="Tickers of all markets", responses=documented())
async def tickers(exchange: Ex) -> list[Ticker]:
    return [await _ticker(exchange, name) for name in await exchange.markets()]


@router.get(
    "/markets/{market}/ticker", summary="Ticker of a market", responses=documented("not_found")
)
async def ticker(exchange: Ex, market: MarketInPath) -> Ticker:
    return await _ticker(exchange, (await exchange.market(market)).name)


@router.get("/markets/{market}/depth", summary="Order book", responses=documented("not_found"))
async def depth(
    exchange: Ex,
    market: MarketInPath,
    limit: Limit = 20,
    interval: Annotated[
        str,
        Query(
            pattern=POSITIVE,
            description="Prices are joined to multiples of it; 0 for none.",
        ),
    ] = "0",
) -> Depth:
    name = (await exchange.market(market)).name
    row = await exchange.ask("order.depth", name, limit, interval)
    return Depth(asks=row["asks"], bids=row["bids"])


@router.get("/markets/{market}/trades", summary="Recent deals", responses=documented("not_found"))
async def trades(
    exchange: Ex,
    market: MarketInPath,
    limit: Limit = 50,
    after: Annotated[int, Query(ge=0, le=2**63 - 1, description="Only ids above it.")] = 0,
) -> list[Trade]:
    name = (await exchange.market(market)).name
    rows = await exchange.ask("market.deals", name, limit, after)
    return [
        Trade(
            id=row["id"],
            time=microseconds(row["time"]),
            price=row["price"],
            amount=row["amount"],
            taker=_TAKERS[row["type"]],
        )
        for row in rows
    ]


@router.get("/markets/{market}/candles", summary="Candles", responses=documented("not_found"))
async def candles(
    exchange: Ex,
    market: MarketInPath,
    start: Annotated[
        int,
        Query(
            ge=1,
            le=2**40,
            description="Seconds since 1970-01-01 UTC.",
            examples=[1_795_478_400],
        ),
    ],
    end: Annotated[
        int,
        Query(ge=1, le=2**40, description="As start; included.", examples=[1_795_564_800]),
    ],
    interval: Annotated[
        int, Query(ge=1, le=2_592_000, description="Seconds; 2592000 is a calendar month.")
    ] = 60,
) -> list[Candle]:
    name = (await exchange.market(market)).name
    rows = await exchange.ask("market.kline", name, start, end, interval)
    return [
        Candle(
            time=begin,
            open=opened,
            close=close,
            high=high,
            low=low,
            volume=volume,
            turnover=turnover,
        )
        for begin, opened, close, high, low, volume, turnover, _ in rows
    ]
