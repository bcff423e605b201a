"""The operator console: text lines in, text tables out. Source: me_cli.c."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from viabtc import _core
from viabtc.protocol.addresses import Place
from viabtc.protocol.console import LINE_BYTES_MAX, read_number, split_line

MARKET_LIST: Final = 307
MARKET_SUMMARY: Final = 308
_USER_MAX: Final = 2**32

_SOCKET_MODE: Final = 0o660
"""The original's is open to everybody on the machine."""

_BALANCES: Final = "{:<10} {:<16} {:<10} {}"
_SUMMARY: Final = "{:<16} {:<30} {:<10} {:<30} {:<10} {:<30}"
_MARKETS: Final = "{:<10} {:<10} {:<20} {:<10} {:<20}"


class Console:
    """Answers lines from an engine."""

    def __init__(
        self,
        engine: _core.Engine,
        make_slice: Callable[[], None],
        pending: Callable[[str], int] = lambda _: 0,
    ) -> None:
        """A console.

        Args:
            engine: That is asked.
            make_slice: Called for `makeslice`.
            pending: How many commands `operlog`, `history` or `topics` has not taken yet.
        """
        self._engine = engine
        self._make_slice = make_slice
        self._pending = pending

    def answer(self, line: str) -> str:
        """The reply to a line; empty for none."""
        words = split_line(line)
        if not words:
            return ""
        return "".join(f"{row}\n" for row in self._rows(words[0], words[1:]))

    def _rows(self, command: str, words: list[str]) -> Iterable[str]:
        match command:
            case "help":
                return ("balance", "makeslice", "status", "market")
            case "status":
                return self._status()
            case "balance":
                return self._balance(words)
            case "market":
                is_summary = words[:1] == ["summary"]
                return self._markets() if is_summary else ("usage market summary",)
            case "makeslice":
                self._make_slice()
                return ("OK",)
        return ("command not found",)

    def _balance(self, words: list[str]) -> Iterable[str]:
        match words:
            case ["list", asset]:
                return self._balances(self._engine.balances(asset=asset))
            case ["list", *_]:
                return self._balances(self._engine.balances())
            case ["get", user]:
                return self._balances(self._engine.balances(user=read_number(user) % _USER_MAX))
            case ["get", *_]:
                return ("usage: balance get user_id",)
            case ["summary", *_]:
                return self._summary()
        return ("usage: balance list/get/summary",)

    def _status(self) -> list[str]:
        status = self._engine.status()
        # All three topics are sent together.
        messages = self._pending("topics")
        return [
            f"order last ID: {status['order_id']}",
            f"deals last ID: {status['deal_id']}",
            f"operlog last ID: {status['operlog_id']}",
            f"operlog pending: {self._pending('operlog')}",
            f"history pending {self._pending('history')}",
            f"message deals pending: {messages}",
            f"message orders pending: {messages}",
            f"message balances pending: {messages}",
        ]

    def _balances(self, rows: list[tuple[int, str, str, str]]) -> list[str]:
        return [
            _BALANCES.format("user", "asset", "type", "amount"),
            *(_BALANCES.format(*row) for row in rows),
        ]

    def _summary(self) -> list[str]:
        head = _SUMMARY.format("asset", "total", "available", "available", "freeze", "freeze")
        return [head, *(_summary_row(asset) for asset in self._engine.summaries())]

    def _markets(self) -> list[str]:
        decimals = {market["name"]: market["stock_prec"] for market in self._ask(MARKET_LIST)}
        rows = [_MARKETS.format("market", "ask count", "ask amount", "bid count", "bid amount")]
        for market in self._ask(MARKET_SUMMARY):
            cells = [market["name"]]
            for side in ("ask", "bid"):
                count, amount = market[f"{side}_count"], market[f"{side}_amount"]
                cells += [count, _raw(amount, decimals[market["name"]]) if count else "0"]
            rows.append(_MARKETS.format(*cells))
        return rows

    def _ask(self, command: int) -> list[dict[str, Any]]:
        """The rows of a query without parameters."""
        rows: list[dict[str, Any]] = json.loads(self._engine.call(command, b"[]"))["result"]
        return rows


def _raw(amount: str, decimals: int) -> str:
    """An amount with all its decimals, of which replies drop trailing zeros."""
    whole, _, fraction = amount.partition(".")
    return f"{whole}.{fraction:0<{decimals}}" if decimals else whole


def _summary_row(asset: dict[str, Any]) -> str:
    def shown(amount: str, count: int) -> str:
        return amount if count else "0"

    return _SUMMARY.format(
        asset["name"],
        shown(asset["total"], asset["available_count"] + asset["frozen_count"]),
        asset["available_count"],
        shown(asset["available"], asset["available_count"]),
        asset["frozen_count"],
        shown(asset["frozen"], asset["frozen_count"]),
    )


async def serve_console(console: Console, place: Place | str) -> asyncio.Server:
    """Opens the console's port, or its UNIX socket, which only our user and group may use.

    Raises:
        OSError: the address cannot be used.
    """

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A line that is too long ends the connection, as does its peer.
        with contextlib.suppress(asyncio.LimitOverrunError, ValueError, ConnectionError):
            while line := await reader.readline():
                text = line.decode(errors="replace")
                try:
                    reply = await asyncio.to_thread(console.answer, text)
                except _core.UnavailableError:
                    break
                writer.write(reply.encode())
                await writer.drain()
        writer.close()

    if isinstance(place, str):
        # A socket that is in the way is removed, as the original does.
        server = await asyncio.start_unix_server(talk, place, limit=LINE_BYTES_MAX)
        Path(place).chmod(_SOCKET_MODE)  # noqa: ASYNC240
        return server
    return await asyncio.start_server(talk, *place, limit=LINE_BYTES_MAX)
