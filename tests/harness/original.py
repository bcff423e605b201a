"""How the original loads its state at a start, written from `spec/persistence.md` section 4 alone.

The newest slice and the operation log behind it, in plain decimals; the log is redone by the model.
"""

import json
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from harness.model import (
    ASK,
    CANCEL,
    PUT_LIMIT,
    PUT_MARKET,
    UPDATE_BALANCE,
    Model,
    Order,
    RejectedError,
)

Fetch = Callable[[str], Sequence[Sequence[Any]]]
"""Rows of a query."""

_COMMANDS: Final = {
    "update_balance": UPDATE_BALANCE,
    "limit_order": PUT_LIMIT,
    "market_order": PUT_MARKET,
    "cancel_order": CANCEL,
}

_ORDER: Final = (
    "id, t, side, user_id, market, price, amount, taker_fee, maker_fee, `left`, deal_stock,"
    " deal_money, deal_fee"
)

SOURCELESS: Final = "(null)"
"""What is left of the source of an order that was in a slice."""


def load(model: Model, fetch: Fetch, tables: Callable[[date], str]) -> int:
    """Fills an empty model; the last number of the operation log.

    Args:
        model: Of the configuration that the log is redone with.
        fetch: Asks the log database.
        tables: Name of the operation log of a day; an absent one is skipped.

    Raises:
        AssertionError: the original would not start.
    """
    last = 0
    today = first_day = _local_day(time.time())
    slices = fetch(
        "SELECT time, end_oper_id, end_order_id, end_deals_id FROM slice_history"
        " ORDER BY id DESC LIMIT 1"
    )
    if slices:
        when, last, model.last_order_id, model.last_deal_id = map(int, slices[0])
        _load_orders(model, fetch(f"SELECT {_ORDER} FROM slice_order_{when} ORDER BY id"))  # noqa: S608
        sql = f"SELECT user_id, asset, t, balance FROM slice_balance_{when} ORDER BY id"  # noqa: S608
        for user, asset, kind, balance in fetch(sql):
            entries = {1: model.available, 2: model.frozen}[int(kind)]
            entries[int(user), asset] = Decimal(balance).quantize(
                Decimal(1).scaleb(-model.scales[asset])
            )
        first_day = _local_day(when)
    for name in dict.fromkeys(
        tables(first_day + timedelta(days=day)) for day in range((today - first_day).days + 1)
    ):
        last = _redo(model, fetch, name, last)
    return last


def _local_day(seconds: float) -> date:
    return date(*time.localtime(seconds)[:3])


def _load_orders(model: Model, rows: Sequence[Sequence[Any]]) -> None:
    for number, kind, side, user, market, *texts in rows:
        assert market == model.market
        assert int(kind) == 1, "only limit orders rest"
        price, amount, taker_fee, maker_fee, left, *deals = map(Decimal, texts)
        order = Order(
            int(number),
            SOURCELESS,
            1,
            int(side),
            int(user),
            price.quantize(Decimal(1).scaleb(-model.money_prec)),
            amount.quantize(Decimal(1).scaleb(-model.stock_prec)),
            taker_fee.quantize(Decimal(1).scaleb(-model.fee_prec)),
            maker_fee.quantize(Decimal(1).scaleb(-model.fee_prec)),
            left.quantize(Decimal(1).scaleb(-model.stock_prec)),
            *deals,
        )
        model.resting[order.id] = order
        model.sides[order.side].append(order)
    for orders in model.sides.values():
        orders.sort(key=lambda order: order.place)
    asks = model.sides[ASK]
    assert all(order.side == ASK for order in asks)


def _redo(model: Model, fetch: Fetch, table: str, last: int) -> int:
    if not table:
        return last
    rows = fetch(f"SELECT id, detail FROM {table} WHERE id > {last} ORDER BY id")  # noqa: S608
    for number, detail in rows:
        assert int(number) == last + 1, f"entry {last + 1} is missing"
        last += 1
        entry = json.loads(detail)
        try:
            model.apply(_COMMANDS[entry["method"]], entry["params"])
        except RejectedError as error:
            raise AssertionError(f"entry {number} is refused: {detail}") from error
    return last
