"""Halts, new markets and assets, their settings: the administrator's, while the exchange runs."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path

from viabtc.rest.audited import AuditedRoute
from viabtc.rest.context import PREFIX, Ex
from viabtc.rest.errors import ApiError, documented
from viabtc.rest.exchange import Exchange
from viabtc.rest.keys import Administrator, admin
from viabtc.rest.models import (
    AssetChange,
    Done,
    KeptAsset,
    MarketChange,
    NewAsset,
    NewMarket,
    Reasoned,
    State,
)

router = APIRouter(
    prefix=f"{PREFIX}/admin",
    tags=["administration"],
    dependencies=[Depends(admin)],
    route_class=AuditedRoute,
)

_ADMIN = ("unauthenticated", "forbidden", "not_found")

MarketName = Annotated[str, Path(max_length=30, examples=["BTCUSDT"])]
AssetName = Annotated[str, Path(max_length=15, examples=["BTC"])]


async def _change(exchange: Exchange, method: str, *params: object) -> Done:
    await exchange.ask(method, *params)
    exchange.forget()
    return Done()


def _said(**settings: object) -> dict[str, Any]:
    """What is to be changed.

    Raises:
        ApiError: nothing is.
    """
    said = {name: value for name, value in settings.items() if value is not None}
    if not said:
        raise ApiError("invalid_argument", "name at least one setting")
    return said


@router.get(
    "/state", summary="Halted markets, and decimals that are kept", responses=documented(*_ADMIN)
)
async def state(exchange: Ex) -> State:
    row = await exchange.ask("exchange.state")
    assets = [
        KeptAsset(name=one["name"], decimals_kept=one["prec_save"], decimals=one["prec_show"])
        for one in row["assets"]
    ]
    return State(
        halted=row["halted"],
        assets=assets,
        sequence=row["sequence"],
        changed_at=row["changed_at"],
    )


@router.post(
    "/markets/{market}/halt",
    summary="Refuse new orders in a market",
    description="Cancels, balance updates and queries go on.",
    responses=documented(*_ADMIN, "unchanged"),
)
async def halt(exchange: Ex, actor: Administrator, market: MarketName, body: Reasoned) -> Done:
    name = (await exchange.market(market)).name
    return await _change(exchange, "market.halt", name, actor, body.note)


@router.post(
    "/markets/{market}/resume",
    summary="Take new orders in a halted market again",
    responses=documented(*_ADMIN, "unchanged"),
)
async def resume(exchange: Ex, actor: Administrator, market: MarketName, body: Reasoned) -> Done:
    name = (await exchange.market(market)).name
    return await _change(exchange, "market.resume", name, actor, body.note)


@router.post(
    "/markets",
    summary="Open a market of two assets that exist",
    status_code=201,
    responses=documented(*_ADMIN, "name_taken", "not_possible"),
)
async def add_market(exchange: Ex, actor: Administrator, body: NewMarket) -> Done:
    settings = {
        "stock": await exchange.asset(body.base),
        "money": await exchange.asset(body.quote),
        "stock_prec": body.amount_decimals,
        "money_prec": body.price_decimals,
        "fee_prec": body.fee_decimals,
        "min_amount": body.min_amount,
    }
    return await _change(exchange, "market.add", body.name, settings, actor, body.note)


@router.patch(
    "/markets/{market}",
    summary="Change the smallest order of a market, or raise its decimals",
    responses=documented(*_ADMIN, "unchanged", "not_possible"),
)
async def set_market(
    exchange: Ex, actor: Administrator, market: MarketName, body: MarketChange
) -> Done:
    name = (await exchange.market(market)).name
    settings = _said(
        stock_prec=body.amount_decimals,
        money_prec=body.price_decimals,
        fee_prec=body.fee_decimals,
        min_amount=body.min_amount,
    )
    return await _change(exchange, "market.set", name, settings, actor, body.note)


@router.post(
    "/assets",
    summary="Add an asset",
    status_code=201,
    responses=documented(*_ADMIN, "name_taken", "not_possible"),
)
async def add_asset(exchange: Ex, actor: Administrator, body: NewAsset) -> Done:
    settings = {"prec_save": body.decimals_kept, "prec_show": body.decimals}
    return await _change(exchange, "asset.add", body.name, settings, actor, body.note)


@router.patch(
    "/assets/{asset}",
    summary="Raise the decimals that are kept or shown of an asset",
    responses=documented(*_ADMIN, "unchanged", "not_possible"),
)
async def set_asset(
    exchange: Ex, actor: Administrator, asset: AssetName, body: AssetChange
) -> Done:
    name = await exchange.asset(asset)
    settings = _said(prec_save=body.decimals_kept, prec_show=body.decimals)
    return await _change(exchange, "asset.set", name, settings, actor, body.note)
