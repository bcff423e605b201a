"""What only the administrator may do."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from viabtc.rest.audited import AuditedRoute
from viabtc.rest.context import PREFIX, Ex, check_decimals
from viabtc.rest.errors import ApiError, documented
from viabtc.rest.keys import admin
from viabtc.rest.models import Balance, BalanceUpdate, Done

router = APIRouter(
    prefix=f"{PREFIX}/admin",
    tags=["administration"],
    dependencies=[Depends(admin)],
    route_class=AuditedRoute,
)

_ADMIN = ("unauthenticated", "forbidden", "not_found")


@router.post(
    "/balance-updates",
    summary="Deposit or withdraw, once per user, asset, reason and reason_id",
    status_code=201,
    responses=documented(*_ADMIN, "repeat_update", "balance_not_enough"),
)
async def update(exchange: Ex, body: BalanceUpdate) -> Done:
    asset = await exchange.asset(body.asset)
    check_decimals("change", body.change, (await exchange.assets())[asset])
    params = (body.user, asset, body.reason, body.reason_id, body.change, body.detail)
    try:
        await exchange.ask("balance.update", *params)
    except ApiError as error:
        if error.code == "balance_not_enough":
            held = await exchange.ask("balance.query", body.user, asset)
            available = held[asset]["available"]
            raise ApiError(error.code, None, asset=asset, available=available) from error
        raise
    return Done()


@router.get(
    "/users/{user_id}/balances", summary="Balances of a user", responses=documented(*_ADMIN)
)
async def balances(
    exchange: Ex, user_id: Annotated[int, Path(ge=1, le=2**32 - 1, examples=[1])]
) -> list[Balance]:
    found = await exchange.ask("balance.query", user_id)
    return [
        Balance(asset=asset, available=held["available"], frozen=held["freeze"])
        for asset, held in found.items()
    ]
