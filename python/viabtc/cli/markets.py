"""`viabtc market` and `viabtc asset`: halts, new ones, their settings, over the RPC port."""

import getpass
import json
import re
import sys
from typing import Annotated, Any, Final

import typer

from viabtc import _core
from viabtc.contract.methods import BY_NAME
from viabtc.protocol.addresses import read_place
from viabtc.service.failure import EXIT_CONFIGURATION, EXIT_FAULT, StartFailure

_TIMEOUT_S: Final = 10.0
"""More decimals of an asset take a second for some million balances."""

_ACTOR_CHARACTERS_MAX: Final = 64

_NUMBER: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")


def _number(text: str | None) -> str | None:
    """What an option says, which must be digits and perhaps a point."""
    if text is not None and not _NUMBER.fullmatch(text):
        raise typer.BadParameter(f'"{text}" is no number, such as 0.001')
    return text


Rpc = Annotated[str, typer.Option(help="RPC port of the matchengine.")]
Note = Annotated[str, typer.Option(help="Why, for those who look later.")]
Name = Annotated[str, typer.Argument(help="Its name.", show_default=False)]
Decimals = Annotated[int | None, typer.Option(min=0, max=20, help="As `add` takes it.")]

_RPC: Final = "127.0.0.1:7316"

market_app = typer.Typer(no_args_is_help=True, help="Halt, resume, add and change markets.")
asset_app = typer.Typer(no_args_is_help=True, help="Add and change assets.")


@market_app.command("list", epilog="Example: viabtc market list")
def list_markets(rpc: Rpc = _RPC) -> None:
    """Print the markets, their decimals and whether they are halted."""
    halted = _ask(rpc, "exchange.state")["halted"]
    for market in _ask(rpc, "market.list"):
        state = "halted" if market["name"] in halted else "trading"
        print(
            f"{market['name']} {state}: {market['stock']} for {market['money']}, decimals"
            f" {market['stock_prec']} and {market['money_prec']}, fees {market['fee_prec']},"
            f" at least {market['min_amount']}"
        )


@market_app.command(epilog="Example: viabtc market halt BTCUSDT --note 'planned upgrade'")
def halt(market: Name, note: Note = "", rpc: Rpc = _RPC) -> None:
    """Refuse new orders in a market; cancels and queries go on."""
    _change(rpc, "market.halt", _market(rpc, market), None, note)
    print(f"{market} is halted. `viabtc market resume {market}` takes new orders again.")


@market_app.command(epilog="Example: viabtc market resume BTCUSDT")
def resume(market: Name, note: Note = "", rpc: Rpc = _RPC) -> None:
    """Take new orders in a halted market again."""
    _change(rpc, "market.resume", _market(rpc, market), None, note)
    print(f"{market} takes new orders.")


@market_app.command(
    "add",
    epilog="Example: viabtc market add DOGEUSDT --stock DOGE --money USDT --stock-prec 2"
    " --money-prec 6 --min-amount 1",
)
def add_market(
    market: Name,
    stock: Annotated[str, typer.Option(help="Asset that is traded.", show_default=False)],
    money: Annotated[str, typer.Option(help="Asset that prices are in.", show_default=False)],
    stock_prec: Annotated[int, typer.Option(min=0, max=20, help="Decimals of amounts.")],
    money_prec: Annotated[int, typer.Option(min=0, max=20, help="Decimals of prices.")],
    min_amount: Annotated[
        str, typer.Option(help="Smallest order.", show_default=False, callback=_number)
    ],
    fee_prec: Annotated[int, typer.Option(min=0, max=18, help="Decimals of fee rates.")] = 4,
    note: Note = "",
    rpc: Rpc = _RPC,
) -> None:
    """Open a market of two assets that exist."""
    settings = {
        "stock": _asset(rpc, stock),
        "money": _asset(rpc, money),
        "stock_prec": stock_prec,
        "money_prec": money_prec,
        "fee_prec": fee_prec,
        "min_amount": min_amount,
    }
    _change(rpc, "market.add", market, settings, note)
    print(f"{market} is open.")


@market_app.command("set", epilog="Example: viabtc market set DOGEUSDT --min-amount 5")
def set_market(
    market: Name,
    stock_prec: Decimals = None,
    money_prec: Decimals = None,
    fee_prec: Decimals = None,
    min_amount: Annotated[
        str | None, typer.Option(help="Smallest order.", callback=_number)
    ] = None,
    note: Note = "",
    rpc: Rpc = _RPC,
) -> None:
    """Change the smallest order of a market, or raise its decimals; what is left out stays."""
    settings = {
        "stock_prec": stock_prec,
        "money_prec": money_prec,
        "fee_prec": fee_prec,
        "min_amount": min_amount,
    }
    _change(rpc, "market.set", _market(rpc, market), _said(settings), note)
    print(f"{market} is changed.")


@asset_app.command("list", epilog="Example: viabtc asset list")
def list_assets(rpc: Rpc = _RPC) -> None:
    """Print the assets, and the decimals that are kept and shown of them."""
    for asset in _ask(rpc, "exchange.state")["assets"]:
        print(f"{asset['name']}: keeps {asset['prec_save']}, shows {asset['prec_show']}")


@asset_app.command("add", epilog="Example: viabtc asset add DOGE --prec-save 16 --prec-show 8")
def add_asset(
    asset: Name,
    prec_save: Annotated[int, typer.Option(min=0, max=20, help="Decimals that are kept.")],
    prec_show: Annotated[int, typer.Option(min=0, max=20, help="Decimals that are shown.")],
    note: Note = "",
    rpc: Rpc = _RPC,
) -> None:
    """Add an asset."""
    _change(rpc, "asset.add", asset, {"prec_save": prec_save, "prec_show": prec_show}, note)
    print(f"{asset} is there.")


@asset_app.command("set", epilog="Example: viabtc asset set BTC --prec-save 16")
def set_asset(
    asset: Name,
    prec_save: Decimals = None,
    prec_show: Decimals = None,
    note: Note = "",
    rpc: Rpc = _RPC,
) -> None:
    """Raise the decimals that are kept or shown of an asset; what is left out stays."""
    settings = _said({"prec_save": prec_save, "prec_show": prec_show})
    _change(rpc, "asset.set", _asset(rpc, asset), settings, note)
    print(f"{asset} is changed.")


def _said(settings: dict[str, Any]) -> dict[str, Any]:
    said = {name: value for name, value in settings.items() if value is not None}
    if not said:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in settings)
        raise StartFailure("nothing is to be changed", f"give one of {names}", EXIT_CONFIGURATION)
    return said


def _market(rpc: str, name: str) -> str:
    return _known("market", name, [market["name"] for market in _ask(rpc, "market.list")])


def _asset(rpc: str, name: str) -> str:
    return _known("asset", name, [asset["name"] for asset in _ask(rpc, "asset.list")])


def _known(kind: str, name: str, names: list[str]) -> str:
    if name not in names:
        raise StartFailure(
            f"there is no {kind} {name}", f"name one of {', '.join(names)}", EXIT_CONFIGURATION
        )
    return name


def _change(rpc: str, method: str, name: str, settings: dict[str, Any] | None, note: str) -> None:
    actor = getpass.getuser()[:_ACTOR_CHARACTERS_MAX]
    params = [name] if settings is None else [name, settings]
    _ask(rpc, method, *params, actor, note)


def _ask(rpc: str, method: str, *params: object) -> Any:
    """The result of a method; a refusal ends the command in words.

    Raises:
        StartFailure: nobody answers.
    """
    if read_place(rpc) is None:
        raise typer.BadParameter(f'"{rpc}" is not HOST:PORT', param_hint="--rpc")
    try:
        client = _core.RpcClient(f"tcp@{rpc}", timeout_s=_TIMEOUT_S)
        body = client.call(BY_NAME[method].command, json.dumps(params).encode())
    except TimeoutError as error:
        raise StartFailure(
            f"{rpc} did not answer {method} in time: it may have been done",
            "look with `viabtc market list` and `viabtc asset list`; an original does not know it",
        ) from error
    except OSError as error:
        raise StartFailure(
            f"no matchengine answers at {rpc}: {error}",
            "start it, or name its RPC port with --rpc",
        ) from error
    client.close()
    reply = json.loads(body)
    if reply["error"] is None:
        return reply["result"]
    print(f"viabtc: refused: {reply['error']['message']}", file=sys.stderr)
    raise typer.Exit(EXIT_FAULT)
