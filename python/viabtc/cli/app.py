"""The command line as a whole: which commands there are, and how a failed start is told."""

import sys
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

import viabtc
from viabtc.cli.auditlog import audit_log_app
from viabtc.cli.checks import checks_app
from viabtc.cli.clients import clients_app
from viabtc.cli.journal import journal_app
from viabtc.cli.markets import asset_app, market_app
from viabtc.cli.services import services_app
from viabtc.cli.stores import klines_app, stores_app
from viabtc.service.failure import (
    EXIT_CONFIGURATION,
    StartFailure,
    core_failures,
    of_the_system,
)
from viabtc.service.settings import SettingsError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Exchange backend: matching engine, data ports and tools.",
)
app.add_typer(services_app)
app.add_typer(checks_app)
app.add_typer(stores_app)
app.add_typer(clients_app)
app.add_typer(journal_app, name="journal")
app.add_typer(klines_app, name="klines")
app.add_typer(market_app, name="market")
app.add_typer(asset_app, name="asset")
app.add_typer(audit_log_app, name="audit-log")

_PACKAGE: Final = Path(viabtc.__file__).parent


def main() -> None:
    """Runs the command line; errors that stop a start are one paragraph."""
    try:
        with core_failures():
            app()
    except SettingsError as error:
        print(f"viabtc: {error.file} cannot be used:", file=sys.stderr)
        for problem in error.problems:
            print(f"  {problem}", file=sys.stderr)
        sys.exit(EXIT_CONFIGURATION)
    except StartFailure as error:
        _leave(error)
    except OSError as error:
        _leave(of_the_system(error, _PACKAGE))


def _leave(failure: StartFailure) -> NoReturn:
    print(f"viabtc: {failure.problem}.\nWhat to do: {failure.remedy}.", file=sys.stderr)
    sys.exit(failure.exit_code)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - an option's callback
    if wanted:
        print(f"viabtc {viabtc.__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Exchange backend: matching engine, data ports and tools."""
