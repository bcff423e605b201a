"""`viabtc watch`: the book and the trades of a market in the terminal, as they change."""

import asyncio
import contextlib
from collections import deque
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text
from websockets.exceptions import InvalidHandshake, InvalidURI

from viabtc.client.errors import StreamError
from viabtc.client.stream import StreamClient

if TYPE_CHECKING:
    from viabtc.client.book import Levels

_REFRESHES_PER_S: Final = 8
_BESIDE: Final = 7
"""Lines of the terminal that are not levels."""
_BAR_WIDTH: Final = 20


def watch(url: str, market: str, *, for_s: float | None = None) -> int:
    """Shows a market until it is interrupted; the exit code.

    Args:
        url: Of the websocket port.
        market: Its name.
        for_s: Ends after this time; None for never.
    """
    console, view = Console(), View(market)
    try:
        with contextlib.suppress(KeyboardInterrupt, TimeoutError):
            asyncio.run(_watch(console, view, url, market, for_s))
    except InvalidURI:
        problem = f"{url} is no websocket's address"
        remedy = "name one such as ws://127.0.0.1:8090 with --url"
    except InvalidHandshake as error:
        problem = f"what answers at {url} is no websocket of an exchange: {error}"
        remedy = "name that port with --url; `viabtc run` says which it is"
    except OSError as error:
        problem = f"no exchange answers at {url}: {error.strerror or error}"
        remedy = "start one, or name its websocket port with --url"
    except StreamError as error:
        problem, remedy = str(error), "`viabtc market list` says which there are"
    else:
        if not console.is_terminal:
            # Of a file or a pipe nobody sees it change.
            console.print(view.render(console.height))
        return 0
    Console(stderr=True).print(
        f"viabtc: {problem}.\nWhat to do: {remedy}.", highlight=False, markup=False, soft_wrap=True
    )
    return 1


async def _watch(
    console: Console, view: "View", url: str, market: str, for_s: float | None
) -> None:
    async with asyncio.timeout(for_s), StreamClient(url) as client:
        await client.subscribe(f"book:{market}", f"trades:{market}", f"ticker:{market}")
        with Live(console=console, refresh_per_second=_REFRESHES_PER_S, screen=True) as live:
            async for message in client:
                kind = message.channel.partition(":")[0]
                if kind == "book":
                    book = client.book(market)
                    view.asks, view.bids = book.asks, book.bids
                elif kind == "trades":
                    view.trades.extend(message.data)
                else:
                    view.ticker = message.data
                live.update(view.render(console.height))


class View:
    """What is shown."""

    def __init__(self, market: str) -> None:
        self.asks: Levels = []
        self.bids: Levels = []
        self.trades: deque[dict[str, Any]] = deque(maxlen=200)
        self.ticker: dict[str, Any] = {}
        self._market = market

    def render(self, height: int) -> Group:
        """The picture, for a terminal of that many lines."""
        lines = max(4, height - _BESIDE)
        both = Table.grid(padding=(0, 4))
        both.add_row(self._book(lines // 2), self._trades(lines))
        return Group(self._head(), Text(), both)

    def _head(self) -> Text:
        head = Text(f"{self._market}  ", style="bold")
        if self.ticker:
            rose = Decimal(self.ticker["last"]) >= Decimal(self.ticker["open"])
            head.append(self.ticker["last"], style="bold green" if rose else "bold red")
            rest = "  24h  high {high}  low {low}  volume {volume}".format(**self.ticker)
            head.append(rest, style="dim")
        return head

    def _book(self, depth: int) -> Table:
        table = Table(box=None, padding=(0, 1))
        table.add_column("amount", justify="right")
        table.add_column("price", justify="right")
        table.add_column("", width=_BAR_WIDTH)
        asks, bids = self.asks[:depth], self.bids[:depth]
        largest = max((Decimal(amount) for _, amount in asks + bids), default=Decimal(1))
        for price, amount in reversed(asks):
            table.add_row(amount, Text(price, "red"), Text(_bar(amount, largest), "red"))
        if asks and bids:
            spread = Decimal(asks[0][0]) - Decimal(bids[0][0])
            table.add_row("", Text(f"{spread:f}", "dim"), Text("spread", "dim"))
        for price, amount in bids:
            table.add_row(amount, Text(price, "green"), Text(_bar(amount, largest), "green"))
        return table

    def _trades(self, lines: int) -> Table:
        table = Table(box=None, padding=(0, 1))
        for name in ("time (UTC)", "price", "amount"):
            table.add_column(name, justify="right")
        for trade in list(self.trades)[: -lines - 1 : -1]:
            style = "green" if trade["type"] == "buy" else "red"
            time = datetime.fromtimestamp(trade["time"], UTC)
            table.add_row(f"{time:%H:%M:%S}", Text(trade["price"], style), trade["amount"])
        return table


def _bar(amount: str, largest: Decimal) -> str:
    return "█" * max(1, int(_BAR_WIDTH * Decimal(amount) / largest))
