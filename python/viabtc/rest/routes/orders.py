"""Orders and own trades of the user that the token stands for."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from viabtc.rest.context import (
    PREFIX,
    SIDES,
    Cursor,
    Ex,
    Limit,
    MarketInPath,
    MarketName,
    check_decimals,
    desk_of,
    finished_order,
    microseconds,
    open_order,
    plain,
    role_name,
    side_name,
)
from viabtc.rest.direct import DirectRoute
from viabtc.rest.errors import ApiError, documented
from viabtc.rest.exchange import Exchange, Market
from viabtc.rest.keys import Trader, User
from viabtc.rest.models import Order, OwnTrade, Page, PlaceOrder
from viabtc.rest.names import ClientOrderId, source_of
from viabtc.rest.paging import page_of

placing = APIRouter(prefix=PREFIX, tags=["orders"], route_class=DirectRoute)
router = APIRouter(prefix=PREFIX, tags=["orders"])

OrderId = Annotated[int, Path(ge=1, le=2**63 - 1, examples=[1])]
ClientOrderIdInPath = Annotated[ClientOrderId, Path(examples=["bot-1.42"])]

_PRIVATE = ("unauthenticated", "forbidden", "not_found")


@placing.post(
    "/orders",
    summary="Place an order",
    description="Whoever does not know whether an order arrived sends it again: under a"
    " `client_order_id` it takes effect once.",
    status_code=201,
    responses=documented(
        *_PRIVATE,
        "balance_not_enough",
        "amount_too_small",
        "no_enough_trader",
        "market_halted",
        "repeat_order",
        "not_possible",
        "too_many_orders",
    ),
)
async def place(request: Request, user: Trader, order: PlaceOrder) -> Order:
    desk = desk_of(request)
    desk.pace.take(user)
    exchange, fees = desk.exchange, desk.fees
    market = await exchange.market(order.market)
    check_decimals("amount", order.amount, market.base_scale)
    params: list[object] = [user, market.name, SIDES[order.side], order.amount]
    if order.type == "limit":
        if order.price is None:
            raise ApiError("invalid_argument", "price: a limit order needs one")
        check_decimals("price", order.price, market.quote_scale)
        params += [order.price, fees.taker, fees.maker]
        method = "order.put_limit"
    else:
        if order.price is not None:
            raise ApiError("invalid_argument", "price: a market order has none")
        params.append(fees.taker)
        method = "order.put_market"
    if order.client_order_id is not None:
        method += "_once"
    try:
        return open_order(await exchange.ask(method, *params, source_of(order.client_order_id)))
    except ApiError as error:
        raise await _explained(exchange, error, market, user, order) from error


async def _explained(
    exchange: Exchange, error: ApiError, market: Market, user: int, order: PlaceOrder
) -> ApiError:
    """The refusal with the numbers behind it."""
    if error.code == "amount_too_small":
        return ApiError(error.code, None, amount=order.amount, min_amount=plain(market.min_amount))
    if error.code == "balance_not_enough":
        asset = market.base if order.side == "ask" else market.quote
        held = await exchange.ask("balance.query", user, asset)
        return ApiError(error.code, None, asset=asset, available=held[asset]["available"])
    if error.code == "invalid_argument":
        # Everything else of an order was looked at before it was sent.
        limits = "amount and price have to be above 0, and their product below 10^14"
        return ApiError(error.code, limits)
    if order.client_order_id is not None:
        if error.code == "method_not_found":
            reason = "the engine here keeps no client_order_id: place the order without one"
            return ApiError("not_possible", reason)
        if error.code == "service_timeout":
            return ApiError(error.code, "send it again: under its client_order_id it counts once")
    return error


@router.delete(
    "/markets/{market}/orders/{order_id}",
    summary="Cancel an open order",
    responses=documented(*_PRIVATE, "order_not_found"),
)
async def cancel(exchange: Ex, user: Trader, market: MarketInPath, order_id: OrderId) -> Order:
    name = (await exchange.market(market)).name
    row = await exchange.ask("order.cancel", user, name, order_id)
    return open_order(row).model_copy(update={"status": "finished"})


@router.get(
    "/markets/{market}/orders/{order_id}",
    summary="One of the user's orders, open or finished",
    responses=documented(*_PRIVATE, "order_not_found"),
)
async def one(exchange: Ex, user: User, market: MarketInPath, order_id: OrderId) -> Order:
    name = (await exchange.market(market)).name
    row = await exchange.ask("order.pending_detail", name, order_id)
    if row is not None and row["user"] == user:
        return open_order(row)
    if row is None:
        row = await exchange.ask("order.finished_detail", order_id)
        if row is not None and row["user"] == user and row["market"] == name:
            return finished_order(row)
    raise ApiError("order_not_found")


async def _named(exchange: Exchange, user: int, client_order_id: str) -> int:
    """The id of an order.

    Raises:
        ApiError: there is none of this name, or not any more.
    """
    found = await exchange.ask("order.named", user, source_of(client_order_id))
    order_id: int | None = found["order_id"]
    if order_id is None:
        reason = "none of the last 24 hours was placed with this client_order_id"
        raise ApiError("order_not_found", reason)
    return order_id


def _gone(error: ApiError, order_id: int, what: str) -> ApiError:
    """The refusal about an order that there was, with its id and what is known of it."""
    if error.code != "order_not_found":
        return error
    reason = f"order {order_id} was placed under this client_order_id, {what}"
    return ApiError(error.code, reason, order_id=order_id)


@router.get(
    "/markets/{market}/orders/by-client-id/{client_order_id}",
    summary="One of the user's orders, by the name that it was placed with",
    description="For 24 hours from its placing, while it is open and when it was filled or partly"
    " filled. Of an order that was cancelled before anything was dealt nothing is kept but its id:"
    " the answer is then 404 `order_not_found` with that id in `details.order_id`, as it is for a"
    " moment between an order's end and its history. Without it no order has the name.",
    responses=documented(*_PRIVATE, "order_not_found"),
)
async def one_named(
    exchange: Ex, user: User, market: MarketInPath, client_order_id: ClientOrderIdInPath
) -> Order:
    order_id = await _named(exchange, user, client_order_id)
    try:
        return await one(exchange, user, market, order_id)
    except ApiError as error:
        what = (
            "and is neither open in this market nor in its history: it was cancelled before"
            " anything was dealt, or ended a moment ago"
        )
        raise _gone(error, order_id, what) from error


@router.delete(
    "/markets/{market}/orders/by-client-id/{client_order_id}",
    summary="Cancel an open order, by the name that it was placed with",
    description="For 24 hours from its placing. One that is not open any more is answered with 404"
    " `order_not_found` and its id in `details.order_id`; without it no order has the name.",
    responses=documented(*_PRIVATE, "order_not_found"),
)
async def cancel_named(
    exchange: Ex, user: Trader, market: MarketInPath, client_order_id: ClientOrderIdInPath
) -> Order:
    order_id = await _named(exchange, user, client_order_id)
    try:
        return await cancel(exchange, user, market, order_id)
    except ApiError as error:
        raise _gone(error, order_id, "and is not open in this market any more") from error


@router.get("/orders/open", summary="Open orders", responses=documented(*_PRIVATE))
async def open_orders(
    exchange: Ex, user: User, market: MarketName, cursor: Cursor = None, limit: Limit = 50
) -> Page[Order]:
    name = (await exchange.market(market)).name
    rows, following = await page_of(exchange, cursor, limit, "order.pending", user, name)
    return Page[Order](items=[open_order(row) for row in rows], next=following)


@router.get("/orders/finished", summary="Finished orders", responses=documented(*_PRIVATE))
async def finished_orders(
    exchange: Ex, user: User, market: MarketName, cursor: Cursor = None, limit: Limit = 50
) -> Page[Order]:
    name = (await exchange.market(market)).name
    rows, following = await page_of(exchange, cursor, limit, "order.finished", user, name, 0, 0)
    return Page[Order](items=[finished_order(row) for row in rows], next=following)


@router.get("/trades", summary="Own deals", responses=documented(*_PRIVATE))
async def own_trades(
    exchange: Ex, user: User, market: MarketName, cursor: Cursor = None, limit: Limit = 50
) -> Page[OwnTrade]:
    name = (await exchange.market(market)).name
    rows, following = await page_of(exchange, cursor, limit, "market.user_deals", user, name)
    return Page[OwnTrade](items=[_own_trade(row) for row in rows], next=following)


def _own_trade(row: dict[str, Any]) -> OwnTrade:
    return OwnTrade(
        id=row["id"],
        time=microseconds(row["time"]),
        market=row["market"],
        side=side_name(row["side"]),
        role=role_name(row["role"]),
        price=row["price"],
        amount=row["amount"],
        turnover=row["deal"],
        fee=row["fee"],
    )
