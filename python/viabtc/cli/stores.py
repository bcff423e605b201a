"""The commands on what stores hold: tables, imports, exports, and an original's databases."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from viabtc.cli.options import ConfigFile

stores_app = typer.Typer()
klines_app = typer.Typer(no_args_is_help=True, help="Check and rebuild market data in Redis.")


class Format(StrEnum):
    """Of exported files."""

    CSV = "csv"
    PARQUET = "parquet"


class Subject(StrEnum):
    """What can be exported."""

    ORDERS = "orders"
    DEALS = "deals"
    BALANCES = "balances"


@stores_app.command(
    "import-deals", epilog="Example: viabtc import-deals deals.csv --data viabtc-data"
)
def import_deals(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV of past deals: time, market, price, amount, side, id; or of past candles:"
            " time, market, interval, open, close, high, low, volume, deal.",
            show_default=False,
        ),
    ],
    config: Annotated[
        Path | None, typer.Option(help="A marketprice file: add them to its Redis.")
    ] = None,
    data: Annotated[
        Path, typer.Option(help="Without a file: the data of `viabtc run`, which is stopped.")
    ] = Path("viabtc-data"),
    timezone: Annotated[
        str, typer.Option(help="Zone of `viabtc run`, when it is not the machine's.")
    ] = "",
) -> None:
    """Add past deals or candles to those from before the first deal."""
    from viabtc.marketprice import tools

    if config is not None:
        raise SystemExit(tools.import_into_redis(file, config))
    raise SystemExit(tools.import_into_directory(file, data, timezone))


@stores_app.command(
    epilog="Example: viabtc export deals viabtc-data --from 2026-11-01 --out deals.csv"
)
def export(
    subject: Annotated[Subject, typer.Argument(help="What to export.", show_default=False)],
    source: Annotated[
        Path,
        typer.Argument(
            help="Data directory of `viabtc run`, or a file with db_history.", show_default=False
        ),
    ],
    start: Annotated[
        datetime | None, typer.Option("--from", help="First time, local unless it names a zone.")
    ] = None,
    end: Annotated[
        datetime | None, typer.Option("--to", help="First time that is left out.")
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option("--format", help="By the ending of the file when it is not said."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File; standard output without.")] = None,
) -> None:
    """Write finished orders, deals or balance changes as CSV or Parquet."""
    from viabtc import export as history

    is_parquet = out is not None and out.suffix == history.PARQUET
    if form is not None and (form is Format.PARQUET) is not is_parquet:
        ending = history.PARQUET if form is Format.PARQUET else ".csv"
        raise typer.BadParameter(f"name a file that ends in {ending}", param_hint="--out")
    raise SystemExit(history.export(subject, source, start, end, out))


@stores_app.command(epilog="Example: viabtc schema /etc/viabtc/matchengine.json")
def schema(
    config: Annotated[
        Path,
        typer.Argument(help="File of a matchengine or a readhistory.", show_default=False),
    ],
) -> None:
    """Create or upgrade the MySQL tables that a configuration file names."""
    from viabtc import schema as tables

    raise SystemExit(tables.schema(config))


@stores_app.command(epilog="Example: viabtc migrate --from /etc/viabtc/matchengine.json")
def migrate(
    source: Annotated[
        Path,
        typer.Option("--from", help="The stopped original's matchengine file.", show_default=False),
    ],
) -> None:
    """Take the databases of a stopped original over into an empty data directory."""
    from viabtc import migrate as takeover

    raise SystemExit(takeover.migrate(source))


@stores_app.command(epilog="Example: viabtc shadow --from /etc/viabtc/matchengine.json --slices 24")
def shadow(
    source: Annotated[
        Path,
        typer.Option("--from", help="The running original's matchengine file.", show_default=False),
    ],
    slices: Annotated[
        int, typer.Option(help="How many slices are compared; 0 for all that come.", min=0)
    ] = 0,
    *,
    complete: Annotated[
        bool,
        typer.Option("--complete", help="The log begins with the first entry ever: begin there."),
    ] = False,
) -> None:
    """Follow a running original's operation log and compare with each slice; 1 when different."""
    from viabtc import shadow as beside

    raise SystemExit(beside.shadow(source, slices, is_complete=complete))


@klines_app.command("verify", epilog="Example: viabtc klines verify /etc/viabtc/marketprice.json")
def klines_verify(config: ConfigFile) -> None:
    """Compare the market data in Redis with history and topic, without changing anything."""
    from viabtc.marketprice import tools

    raise SystemExit(tools.verify(config))


@klines_app.command("rebuild", epilog="Example: viabtc klines rebuild /etc/viabtc/marketprice.json")
def klines_rebuild(config: ConfigFile) -> None:
    """Write the market data in Redis anew from history and topic; marketprice must be stopped."""
    from viabtc.marketprice import tools

    raise SystemExit(tools.rebuild(config))
