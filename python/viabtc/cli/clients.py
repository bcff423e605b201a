"""The commands that are clients of a running exchange."""

from pathlib import Path
from typing import Annotated

import typer

from viabtc.cli.options import place

clients_app = typer.Typer()


@clients_app.command(epilog="Example: viabtc replay orders.csv.gz --market BTCUSDT")
def replay(
    file: Annotated[
        Path, typer.Argument(help="Order events, .csv or .csv.gz.", show_default=False)
    ],
    http: Annotated[str, typer.Option(help="Front door of a running exchange.")] = "127.0.0.1:8080",
    market: Annotated[str, typer.Option(help="Market to play in.")] = "BTCUSDT",
    window: Annotated[int, typer.Option(help="Requests in flight.", min=1, max=512)] = 64,
) -> None:
    """Play real order flow through a running exchange and check the outcome."""
    from viabtc.replay.play import play

    raise SystemExit(play(file, place("--http", http), market, window))


@clients_app.command(epilog="Example: viabtc watch BTCUSDT")
def watch(
    market: Annotated[str, typer.Argument(help="Such as BTCUSDT.", show_default=False)],
    url: Annotated[
        str, typer.Option(help="ws://HOST:PORT of the websocket, or wss://HOST behind a proxy.")
    ] = "ws://127.0.0.1:8090",
    seconds: Annotated[float | None, typer.Option(help="End after this time.", min=0)] = None,
) -> None:
    """Show a market's book and trades in the terminal as they change."""
    from viabtc.client.watch import watch as show

    raise SystemExit(show(url, market, for_s=seconds))
