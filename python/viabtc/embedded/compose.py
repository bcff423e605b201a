"""`viabtc run`: all services in one process, on embedded parts."""

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from viabtc import __version__, _core
from viabtc.accessws.embedded import Backends, open_hub
from viabtc.accessws.main import HubPart
from viabtc.contract.methods import BY_NAME
from viabtc.edges.rpc import RemoteSettings, open_link
from viabtc.embedded.demo import MARKET, fill
from viabtc.embedded.history import FILE, HistoryPart, open_history
from viabtc.embedded.settings import RunSettings
from viabtc.marketprice.embedded import MarketPart, open_market
from viabtc.matchengine.main import EnginePart, open_engine
from viabtc.matchengine.slices import SlicePlace
from viabtc.matchengine.snapshots import Slicing
from viabtc.protocol.addresses import Place
from viabtc.service import logs, run
from viabtc.service.auditlog import AuditLog, open_audit_log
from viabtc.service.failure import EXIT_OK, core_failures
from viabtc.service.projection import keep_positions
from viabtc.service.requests import RequestLog
from viabtc.service.tokens import ADMIN, Tokens, open_tokens

if TYPE_CHECKING:
    from fastapi import FastAPI
    from prometheus_client import Histogram
    from prometheus_client.registry import Collector

    from viabtc.rest.exchange import Caller

DEPOSIT: Final = {
    "method": "balance.update",
    "params": [1, "USDT", "deposit", 1, "1000", {}],
    "id": 1,
}
"""The first request that the banner shows."""

_REPLY_BYTES_MAX: Final = 64 << 20
"""Largest answer that the API reads from the engine of its own process."""

_TIMEOUT_S: Final = 5.0
"""How long the API waits for the engine of its own process."""


class ExchangePart(run.Part):
    """All services of the process."""

    def __init__(
        self,
        settings: RunSettings,
        engine: EnginePart,
        market: MarketPart,
        history: HistoryPart,
        door: _core.FrontDoor,
        hub: HubPart,
        audit: AuditLog,
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.market = market
        self.history = history
        self.door = door
        self.hub = hub
        self.times: Histogram | None = None
        """Of the API, once it is there."""
        self.audit = audit
        self.tasks = hub.tasks

    def is_alive(self) -> bool:
        return self.engine.is_alive() and self.market.is_alive() and self.history.is_alive()

    def ports(self) -> Sequence[run.Port]:
        return (self.door, self.hub.hub)

    def is_ready(self) -> bool:
        parts = (self.market, self.history, self.hub)
        return all(part.is_ready() for part in parts)

    async def beat(self) -> None:
        await super().beat()
        await self.engine.beat()

    def status(self) -> dict[str, Any]:
        ports = {"http": self.door.addresses, "websocket": self.hub.hub.addresses}
        own = {"market": self.market.status(), "audit_log": self.audit.state()}
        return {**self.engine.status(), **ports, **own}

    def figures(self) -> Mapping[str, run.Figures]:
        return {
            **self.engine.figures(),
            **self.market.figures(),
            **self.history.figures(),
            **self.hub.figures(),
            "door": self.door.metrics(),
        }

    def collectors(self) -> Sequence["Collector"]:
        return () if self.times is None else (self.times,)

    def extend(self, app: Any) -> None:
        self.engine.extend(app)

    def addresses(self) -> dict[str, str]:
        """What a user finds where."""
        return {
            "page, REST, control": f"http://{_shown(self.settings.places.rest)}/",
            "JSON-RPC over HTTP": f"http://{self.door.addresses[0].partition('@')[2]}/",
            "websocket": f"ws://{self.hub.hub.addresses[0].partition('@')[2]}/",
            "binary RPC": self.engine.rpc.addresses[0],
            "console": _shown(self.engine.console),
        }


def main(settings: RunSettings) -> int:
    """Runs the exchange; the exit code.

    Raises:
        StartFailure: it cannot start.
    """
    written = logs.set_up("run", logs.TERMINAL)
    log = written.log
    for warning in settings.warnings:
        log.warning("configuration", key=warning.key, what=warning.what, right=warning.right)

    async def serve() -> int:
        async with contextlib.AsyncExitStack() as stack:
            told = asyncio.create_task(RequestLog(written).run())
            stack.push_async_callback(run.cancel, told)
            rest = stack.enter_context(run.listen(*settings.places.rest, "REST and control"))
            # With the port that the system chose for 0.
            places = replace(settings.places, rest=rest.getsockname())
            engine = await stack.enter_async_context(
                open_engine(settings.engine, settings.rpc, settings.places.console, log)
            )
            market = await stack.enter_async_context(
                open_market(
                    engine.engine,
                    settings.engine.data,
                    settings.market,
                    settings.markets,
                    log,
                    indented=settings.is_indented,
                )
            )
            history = await stack.enter_async_context(
                open_history(
                    engine.engine, settings.engine.data, log, indented=settings.is_indented
                )
            )
            sliced = SlicePlace(store=settings.engine.data / FILE)
            engine.snapshots.begin_slices(Slicing(settings.slices, lambda: sliced))
            host, port = settings.places.http
            with core_failures("--http"):
                door = _core.FrontDoor(
                    [f"tcp@{host}:{port}"],
                    engine=engine.engine,
                    market=market.board,
                    readhistory=history.service.answers,
                )
            stack.push_async_callback(asyncio.to_thread, door.stop)
            if settings.is_demo:
                fill(engine.engine)
            tokens = open_tokens(settings.engine.data / "tokens")
            audit = open_audit_log(settings.engine.data / "audit", log)
            backends = Backends(engine.engine, market.board, history.service.answers)
            hub = await stack.enter_async_context(
                open_hub(backends, settings.engine.data, settings.places.ws, tokens, log)
            )
            positions = {
                "market": lambda: market.stored_sequence,
                "history": lambda: history.projection.position.sequence,
            }
            keeping = asyncio.create_task(keep_positions(settings.engine.data, positions, log))
            stack.push_async_callback(run.cancel, keeping)
            opened = replace(settings, places=places)
            part = ExchangePart(opened, engine, market, history, door, hub, audit)
            remote = RemoteSettings((engine.rpc.addresses[0],), _REPLY_BYTES_MAX)
            link = await stack.enter_async_context(open_link(remote, _TIMEOUT_S))
            callers: dict[str, Caller] = {
                "matchengine": link,
                "marketprice": market,
                "readhistory": history.service,
            }
            app = _build_app(part, callers, tokens, written)
            await stack.enter_async_context(run.serving(app, rest))
            run.settle()
            code = await run.until_stopped(part, lambda: print(_banner(part, tokens), flush=True))
            print("\nStopping: answering what was accepted, sealing the journal ...", flush=True)
        print("Stopped." if code == EXIT_OK else "Stopped: the engine ended by itself.", flush=True)
        return code

    return run.run(serve)


def _build_app(
    part: ExchangePart,
    callers: Mapping[str, "Caller"],
    tokens: Tokens,
    written: logs.Logs,
) -> "FastAPI":
    # Imported when the data ports already serve.
    from viabtc.contract.asyncapi import asyncapi
    from viabtc.contract.openrpc import openrpc
    from viabtc.rest.app import build_app
    from viabtc.rest.context import Desk
    from viabtc.rest.exchange import Exchange
    from viabtc.rest.limits import OrderPace
    from viabtc.rest.pages import PageSettings
    from viabtc.service.control import build_control

    identities = [pair for pair in tokens.by_name.items() if pair[0] != ADMIN]
    port = int(part.hub.hub.addresses[0].rpartition(":")[2])
    page = PageSettings(websocket_port=port)
    if part.settings.is_demo:
        page = PageSettings(websocket_port=port, market=MARKET, identities=identities)
    desk = Desk(Exchange(callers), part.settings.fees, OrderPace(part.settings.pace))
    app = build_app(desk, tokens, part.audit, page)
    part.times = app.state.times.histogram

    @app.get("/openrpc.json", include_in_schema=False)
    async def methods() -> dict[str, Any]:
        return openrpc(__version__)

    @app.get("/asyncapi.json", include_in_schema=False)
    async def channels() -> dict[str, Any]:
        return asyncapi(__version__)

    app.mount("/control", build_control("run", part, written, part.audit))
    return app


def _markets(engine: _core.Engine) -> list[str]:
    reply = json.loads(engine.call(BY_NAME["market.list"].command, b"[]"))
    return [market["name"] for market in reply["result"]]


def _shown(place: Place | str | None) -> str:
    if place is None or isinstance(place, str):
        return place or "off"
    return f"{place[0]}:{place[1]}"


def _banner(part: ExchangePart, tokens: Tokens) -> str:
    settings = part.settings
    rows = {
        **part.addresses(),
        # Also those that commands added: the file does not know them.
        "markets": " ".join(_markets(part.engine.engine)),
        "data": str(settings.engine.data.resolve()),
    }
    lines = [f"viabtc {__version__} serves.", ""]
    lines += [f"  {name:<20} {value}" for name, value in rows.items()]
    lines += [f"  {f'token of {name}':<20} {token}" for name, token in tokens.by_name.items()]
    lines.append("")
    recovery: dict[str, Any] = part.engine.engine.recovery
    if recovery["sequence"]:
        how = "" if recovery["was_clean"] else " after an unclean stop"
        lines.append(
            f"Continues at command {recovery['sequence']}{how}: {recovery['replayed']} replayed"
            f" in {recovery['seconds']:.2f} s, audited."
        )
        lines += [f"  {note}" for note in recovery["notes"]]
        lines.append("")
    if settings.left_aside:
        lines += [f"Left aside from the file: {', '.join(settings.left_aside)}", ""]
    lines.append("A first request:")
    lines.append(f"  curl {rows['JSON-RPC over HTTP']} -d '{json.dumps(DEPOSIT)}'")
    lines.append(
        f"Open {rows['page, REST, control']} to trade. Ctrl-C stops; the next start continues here."
    )
    return "\n".join(lines)
