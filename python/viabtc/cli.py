"""The command line: `viabtc run`, the services, and their tools."""

import json
import sys
import urllib.error
import urllib.request
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from viabtc import __version__, _core
from viabtc.service.run import EXIT_CONFIGURATION, EXIT_FAULT, StartFailure
from viabtc.service.settings import Findings, SettingsError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Exchange backend: matching engine, data ports and tools.",
)
journal_app = typer.Typer(no_args_is_help=True, help="Look at the files of an engine.")
app.add_typer(journal_app, name="journal")

ConfigFile = Annotated[
    Path, typer.Argument(help="The service's configuration file.", show_default=False)
]
DataDirectory = Annotated[
    Path, typer.Argument(help="The engine's data directory.", show_default=False)
]


class ServiceName(StrEnum):
    """Services whose files can be checked."""

    MATCHENGINE = "matchengine"
    ACCESSHTTP = "accesshttp"


def main() -> None:
    """Runs the command line; errors that stop a start are one paragraph."""
    try:
        app()
    except SettingsError as error:
        _fail_with_problems(error)
    except StartFailure as error:
        _fail(error.problem, error.remedy, EXIT_FAULT)
    except _core.StartError as error:
        _fail(str(error.args[0]), str(error.args[1]), EXIT_FAULT)
    except _core.ConfigError as error:
        key, what, right = error.args
        _fail(f"{key} {what}", f"right would be: {right}", EXIT_CONFIGURATION)


def _fail(problem: str, remedy: str, code: int) -> NoReturn:
    print(f"viabtc: {problem}.\nWhat to do: {remedy}.", file=sys.stderr)
    raise SystemExit(code)


def _fail_with_problems(error: SettingsError) -> NoReturn:
    print(f"viabtc: {error.file} cannot be used:", file=sys.stderr)
    for problem in error.problems:
        print(f"  {problem}", file=sys.stderr)
    raise SystemExit(EXIT_CONFIGURATION)


def _place(name: str, text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise typer.BadParameter(
            f'"{text}" is not HOST:PORT, such as 127.0.0.1:8080', param_hint=name
        )
    return host, int(port)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"viabtc {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Exchange backend: matching engine, data ports and tools."""


@app.command()
def run(
    config: Annotated[
        Path | None, typer.Option(help="A matchengine file with assets and markets.")
    ] = None,
    data: Annotated[Path, typer.Option(help="Where journal and snapshots are kept.")] = Path(
        "viabtc-data"
    ),
    http: Annotated[str, typer.Option(help="JSON-RPC over HTTP.")] = "127.0.0.1:8080",
    rest: Annotated[str, typer.Option(help="REST and control.")] = "127.0.0.1:8000",
    rpc: Annotated[str, typer.Option(help="Binary RPC.")] = "127.0.0.1:7316",
    console: Annotated[str, typer.Option(help="Operator console.")] = "127.0.0.1:7317",
) -> None:
    """Run the whole exchange in one process."""
    from viabtc.embedded import compose, settings

    places = [
        _place(name, text) for name, text in (("--http", http), ("--rest", rest), ("--rpc", rpc))
    ]
    http_place, rest_place, rpc_place = places
    parts = settings.run_settings(
        config, data, http_place, rest_place, rpc_place, _place("--console", console)
    )
    raise SystemExit(compose.main(parts))


@app.command()
def matchengine(config: ConfigFile) -> None:
    """Run the matching engine from the original's configuration file."""
    from viabtc.matchengine.main import main as serve

    raise SystemExit(serve(config))


@app.command()
def accesshttp(config: ConfigFile) -> None:
    """Run the HTTP front door from the original's configuration file."""
    from viabtc.accesshttp.main import main as serve

    raise SystemExit(serve(config))


@app.command("check-config")
def check_config(
    file: ConfigFile,
    service: Annotated[
        ServiceName, typer.Option(help="Whose file it is.")
    ] = ServiceName.MATCHENGINE,
    strict: Annotated[bool, typer.Option("--strict", help="Unknown keys are errors.")] = False,
) -> None:
    """Say which keys of a file are wrong, what is wrong, and what would be right."""
    findings: Findings
    if service is ServiceName.MATCHENGINE:
        from viabtc.matchengine.settings import read_matchengine

        _, findings = read_matchengine(file)
    else:
        from viabtc.accesshttp.settings import read_accesshttp

        _, findings = read_accesshttp(file)
    if strict and findings.unknown:
        raise SettingsError(str(file), findings.unknown)
    for problem in findings.unknown:
        print(f"warning: {problem}")
    for problem in findings.idle:
        print(f"note: {problem.key} {problem.what}: {problem.right}")
    print(f"{file}: usable by {service}")


@journal_app.command("verify")
def journal_verify(directory: DataDirectory) -> None:
    """Read every record, replay it and audit the state, without changing anything."""
    from viabtc import journal

    raise SystemExit(journal.verify(directory))


@journal_app.command("dump")
def journal_dump(
    directory: DataDirectory,
    after: Annotated[int, typer.Option(help="Only records behind this command.", min=0)] = 0,
) -> None:
    """Print one JSON object a record."""
    from viabtc import journal

    raise SystemExit(journal.dump(directory, after))


@journal_app.command("snapshot")
def journal_snapshot(directory: DataDirectory) -> None:
    """Make the next snapshot from the closed segments; the engine may run meanwhile."""
    from viabtc import journal

    raise SystemExit(journal.snapshot(directory))


@app.command()
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

    raise SystemExit(play(file, _place("--http", http), market, window))


@app.command()
def audit(
    control: Annotated[
        str, typer.Option(help="Control app of an engine.")
    ] = "http://127.0.0.1:8000/control",
) -> None:
    """Let a running engine recompute every invariant."""
    request = urllib.request.Request(f"{control}/audit", method="POST")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=600) as response:  # noqa: S310
            report = json.load(response)
    except urllib.error.HTTPError as error:
        report = json.load(error)
    except (OSError, ValueError) as error:
        raise StartFailure(
            f"no engine answers at {control}: {error}", "name its control app"
        ) from error
    print(json.dumps(report))
    raise SystemExit(0 if report.get("ok") else EXIT_FAULT)
