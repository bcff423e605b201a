"""`viabtc replay`: funds the users, sends the requests in order, checks answers and outcome."""

import asyncio
import itertools
import time
from array import array
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from decimal import Context, Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from viabtc.edges.httpclient import Answer, Door, DoorError, connect
from viabtc.replay.events import FileProblem, Side, read_events
from viabtc.replay.plan import (
    MAKER_FEE,
    TAKER_FEE,
    USERS,
    Cancel,
    Market,
    PlaceLimit,
    PlaceMarket,
    Plan,
    Step,
    make_plan,
    plain,
    units,
)
from viabtc.replay.report import Check, Outcome, progress, show
from viabtc.service.failure import EXIT_FAULT, EXIT_OK, StartFailure

SOURCE: Final = "replay"
"""Of every order, and reason of every deposit."""

_PAGE: Final = 101
"""Most entries that a list of the protocol has."""

_EXACT: Final = Context(prec=100)

_DIFFERENCES_MAX: Final = 20
"""After so many wrong answers the client knows nothing about the book any more."""


def play(file: Path, place: tuple[str, int], market: str, window: int) -> int:
    """Plays `file` and prints the outcome; the exit code is 1 when a check fails.

    Raises:
        StartFailure: the file or the exchange cannot be used.
    """
    console = Console(highlight=False)
    try:
        return asyncio.run(_play(console, file, place, market, window))
    except FileProblem as error:
        raise StartFailure(f"{file} cannot be played: {error}", error.right) from error


async def _play(
    console: Console, file: Path, place: tuple[str, int], name: str, window: int
) -> int:
    events = read_events(file)
    console.print(f"{file}: {len(events)} events", soft_wrap=True)
    host, port = place
    async with AsyncExitStack() as stack:
        try:
            door = await stack.enter_async_context(connect(host, port))
            plan = make_plan(events, await _market(door, name))
            await _clear(door, plan.market)
            before = await _totals(door, plan.market)
            funded = await _fund(door, plan)
        except OSError as error:
            raise StartFailure(
                f"no exchange answers at {host}:{port}: {error.strerror or error}",
                "start one with viabtc run, or name its front door with --http",
            ) from error
        except DoorError as error:
            raise StartFailure(str(error), "look at the exchange's log") from error
        outcome = Outcome(plan, len(events))
        try:
            await _Sending(door, plan, outcome, window).run(console)
            outcome.checks.append(_answers(outcome))
            if not outcome.differences:
                outcome.checks.append(await _book_as_orders(door, plan))
                outcome.checks.append(await _book_as_depth(door, plan))
                outcome.checks.extend(await _conservation(door, plan, before, funded))
        except DoorError as error:
            outcome.checks.append(Check("connection", str(error), is_ok=False))
    show(console, outcome)
    return EXIT_OK if all(check.is_ok for check in outcome.checks) else EXIT_FAULT


async def _ask(door: Door, method: str, *params: Any) -> Any:
    answer = await door.call(method, *params)
    if answer.code is not None:
        raise DoorError(f"{method} {list(params)} was refused: {answer.code} {answer.message}")
    return answer.result


async def _market(door: Door, name: str) -> Market:
    markets = {row["name"]: row for row in await _ask(door, "market.list")}
    if name not in markets:
        raise StartFailure(
            f"the exchange has no market {name}",
            f"name one of {', '.join(markets)} with --market",
        )
    row = markets[name]
    return Market(
        name,
        row["stock"],
        row["money"],
        row["stock_prec"],
        row["money_prec"],
        row["fee_prec"],
        Decimal(row["min_amount"]),
    )


async def _clear(door: Door, market: Market) -> None:
    """Cancels what an earlier run left; the market must be empty then."""
    for user in USERS:
        while True:
            page = await _ask(door, "order.pending", user, market.name, 0, _PAGE)
            if not page["records"]:
                break
            for order in page["records"]:
                await _ask(door, "order.cancel", user, market.name, order["id"])
    (summary,) = await _ask(door, "market.summary", market.name)
    count = summary["ask_count"] + summary["bid_count"]
    if count:
        raise StartFailure(
            f"market {market.name} has {count} open orders of other users",
            "name another market with --market, or play on an exchange with an empty --data",
        )


async def _totals(door: Door, market: Market) -> dict[str, Decimal]:
    rows = await _ask(door, "asset.summary", market.stock, market.money)
    return {row["name"]: Decimal(row["total_balance"]) for row in rows}


async def _fund(door: Door, plan: Plan) -> dict[str, int]:
    """Deposits what each user's balance lacks; what each asset got."""
    # A deposit is taken once for each identity: those of this run begin at its time.
    identity = itertools.count(time.time_ns() // 1000 * len(plan.needs))
    funded = {plan.market.stock: 0, plan.market.money: 0}
    for (user, asset), need in plan.needs.items():
        balance = (await _ask(door, "balance.query", user, asset))[asset]
        lack = need - int(Decimal(balance["available"]))
        if lack > 0:
            change = str(lack)
            await _ask(door, "balance.update", user, asset, SOURCE, next(identity), change, {})
            funded[asset] += lack
    return funded


@dataclass(slots=True)
class _Sending:
    """Keeps `window` requests under way on one connection, so that their order is kept."""

    door: Door
    plan: Plan
    outcome: Outcome
    window: int
    orders: dict[int, int] = field(default_factory=dict)
    """Identity at the exchange of each placement that was answered."""
    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    sent: int = 0
    answered: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)
    fault: DoorError | None = None

    async def run(self, console: Console) -> None:
        """Sends every step, until there is no point in going on.

        Raises:
            DoorError: the connection ended.
        """
        started = time.perf_counter()
        with progress(console, len(self.plan.steps)) as advance:
            for step in self.plan.steps:
                await self._until(partial(self._is_sendable, step))
                if self.fault or len(self.outcome.differences) >= _DIFFERENCES_MAX:
                    break
                self._send(step)
                advance(self.answered)
            await self._until(lambda: self.answered == self.sent)
            advance(self.answered)
        self.outcome.seconds = time.perf_counter() - started
        self.outcome.latencies = sorted(self.latencies)
        if self.fault:
            raise self.fault

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not (self.fault or is_so()):
            self.news.clear()
            await self.news.wait()

    def _is_sendable(self, step: Step) -> bool:
        """Whether there is room, and the order that is to be cancelled has its identity."""
        is_known = not isinstance(step, Cancel) or step.ticket in self.orders
        return is_known and self.sent - self.answered < self.window

    def _send(self, step: Step) -> None:
        method, params = self._request(step)
        begun = time.perf_counter()

        def then(outcome: Answer | DoorError) -> None:
            self.news.set()
            if isinstance(outcome, DoorError):
                self.fault = outcome
                return
            self.answered += 1
            self.latencies.append(time.perf_counter() - begun)
            self._check(step, method, outcome)

        self.sent += 1
        try:
            self.door.send(method, params, then)
        except DoorError as error:
            self.fault = error

    def _request(self, step: Step) -> tuple[str, list[Any]]:
        market = self.plan.market
        if isinstance(step, Cancel):
            return "order.cancel", [step.user, market.name, self.orders[step.ticket]]
        amount = plain(step.amount, market.stock_prec)
        head = [step.user, market.name, step.side.value, amount]
        if isinstance(step, PlaceMarket):
            return "order.put_market", [*head, market.fee(TAKER_FEE), SOURCE]
        price = plain(step.price, market.money_prec)
        fees = [market.fee(TAKER_FEE), market.fee(MAKER_FEE)]
        return "order.put_limit", [*head, price, *fees, SOURCE]

    def _check(self, step: Step, method: str, answer: Answer) -> None:
        """Compares an answer with what the client's own book says."""
        outcome = self.outcome
        outcome.requests[method] = outcome.requests.get(method, 0) + 1
        if isinstance(step, PlaceLimit):
            self.orders[step.ticket] = answer.result["id"] if answer.code is None else 0
        if answer.code is not None:
            self._differ(step, method, f"was refused: {answer.code} {answer.message}")
            return
        prec = self.plan.market.stock_prec
        traded = units_of(answer.result["deal_stock"], prec)
        if isinstance(step, PlaceMarket):
            if traded != step.traded:
                self._differ(step, method, f"traded {traded} units, {step.traded} are due")
        else:
            left = units_of(answer.result["left"], prec)
            if left != step.left:
                self._differ(step, method, f"left {left} units, {step.left} are due")
        if traded is not None and not isinstance(step, Cancel):
            outcome.volume += traded

    def _differ(self, step: Step, method: str, what: str) -> None:
        self.outcome.differences.append(f"line {step.line}: {method} {what}")


def units_of(text: str, prec: int) -> int | None:
    """A number of an answer in units of 10^-prec; None when it has more decimals."""
    return units(Decimal(text), prec)


def _answers(outcome: Outcome) -> Check:
    wanted = outcome.plan.volume
    if outcome.differences:
        shown = "\n".join(outcome.differences[:_DIFFERENCES_MAX])
        return Check("answers", shown, is_ok=False)
    count = sum(outcome.requests.values())
    what = f"all {count} are what the client's own book says"
    return Check("answers", what, is_ok=outcome.volume == wanted)


async def _book_as_orders(door: Door, plan: Plan) -> Check:
    """Order by order, first to trade first."""
    market = plan.market
    differences = []
    count = 0
    for side in Side:
        theirs: list[dict[str, Any]] = []
        while True:
            page = await _ask(door, "order.book", market.name, side.value, len(theirs), _PAGE)
            theirs.extend(page["orders"])
            if not page["orders"]:
                break
        ours = list(plan.book.orders(side))
        count += len(ours)
        for place, (mine, other) in enumerate(itertools.zip_longest(ours, theirs), 1):
            wanted = mine and (mine.user, mine.price, mine.left)
            found = other and (
                other["user"],
                units_of(other["price"], market.money_prec),
                units_of(other["left"], market.stock_prec),
            )
            if wanted != found:
                differences.append(f"{side.name.lower()} {place}: {found}, {wanted} is due")
    what = "\n".join(differences[:_DIFFERENCES_MAX]) or f"{count} orders in the order of the file"
    return Check("order book", what, is_ok=not differences)


async def _book_as_depth(door: Door, plan: Plan) -> Check:
    """Level by level, as far as the protocol shows them."""
    market = plan.market
    depth = await _ask(door, "order.depth", market.name, _PAGE, "0")
    differences = []
    count = 0
    for side, key in ((Side.ASK, "asks"), (Side.BID, "bids")):
        ours = plan.book.levels(side)[:_PAGE]
        theirs = [
            (units_of(price, market.money_prec), units_of(amount, market.stock_prec))
            for price, amount in depth[key]
        ]
        count += len(ours)
        for place, (mine, other) in enumerate(itertools.zip_longest(ours, theirs), 1):
            if mine != other:
                differences.append(f"{key} {place}: {other}, {mine} is due")
    what = "\n".join(differences[:_DIFFERENCES_MAX]) or f"{count} levels equal to the file's"
    return Check("depth", what, is_ok=not differences)


async def _conservation(
    door: Door, plan: Plan, before: dict[str, Decimal], funded: dict[str, int]
) -> list[Check]:
    """For each asset: what was there and was added is there, but for the fees."""
    market = plan.market
    after = await _totals(door, market)
    stock_decimals = market.stock_prec + market.fee_prec
    money_decimals = market.stock_prec + market.money_prec
    # A fee on money may have more decimals than its asset keeps; each is rounded up then, by less
    # than one unit of the decimals that every asset has.
    fees = (
        (market.stock, plan.stock_fees, stock_decimals, 0),
        (market.money, plan.money_fees, money_decimals + market.fee_prec, plan.money_fee_count),
    )
    checks = []
    for asset, fee_units, decimals, roundings in fees:
        put_in = _EXACT.add(before[asset], Decimal(funded[asset]))
        taken = _EXACT.subtract(put_in, after[asset])
        fee = Decimal(plain(fee_units, decimals))
        excess = _EXACT.subtract(taken, fee)
        slack = _EXACT.multiply(Decimal(roundings), Decimal(1).scaleb(-money_decimals))
        is_ok = excess == 0 or 0 < excess < slack
        what = (
            f"{put_in.normalize(_EXACT):f} in = {after[asset]:f} in balances"
            f" + {taken.normalize(_EXACT):f} fees"
        )
        if not is_ok:
            what += (
                f"; {fee.normalize(_EXACT):f} fees are due (did somebody else use the exchange"
                " meanwhile?)"
            )
        checks.append(Check(f"{asset} conserved", what, is_ok=is_ok))
    return checks
