"""The command line: `viabtc run`, the services, and their tools."""

import importlib
import json
import sys
import urllib.error
import urllib.request
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from viabtc import __version__
from viabtc.auditlog import audit_log_app
from viabtc.changes import asset_app, market_app
from viabtc.journalfiles import journal_app
from viabtc.protocol.addresses import Place, read_place
from viabtc.service.failure import (
    EXIT_CONFIGURATION,
    EXIT_FAULT,
    StartFailure,
    core_failures,
    of_the_system,
)
from viabtc.service.settings import SettingsError

if TYPE_CHECKING:
    from viabtc.service.run import Service

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Exchange backend: matching engine, data ports and tools.",
)
app.add_typer(journal_app, name="journal")
klines_app = typer.Typer(no_args_is_help=True, help="Check and rebuild market data in Redis.")
app.add_typer(klines_app, name="klines")
app.add_typer(market_app, name="market")
app.add_typer(asset_app, name="asset")
app.add_typer(audit_log_app, name="audit-log")

_PACKAGE: Final = Path(__file__).parent

ConfigFile = Annotated[
    Path, typer.Argument(help="The service's configuration file.", show_default=False)
]


SERVICES: Final = {
    "matchengine": "The matching engine.",
    "readhistory": "Finished orders, deals and balance changes.",
    "accesshttp": "JSON-RPC over HTTP, in front of the other services.",
    "accessws": "Websocket push, in front of the other services.",
    "marketprice": "Candles, last prices and recent deals.",
    "rest": "The public API.",
    "alertcenter": "Alerts of all services, to Redis and to people.",
}
"""Services that run from a configuration file of the original."""


class Format(StrEnum):
    """Of exported files."""

    CSV = "csv"
    PARQUET = "parquet"


class Subject(StrEnum):
    """What can be exported."""

    ORDERS = "orders"
    DEALS = "deals"
    BALANCES = "balances"


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


def load_service(name: str) -> "Service[Any]":
    service: Service[Any] = importlib.import_module(f"viabtc.{name}.main").SERVICE
    return service


def _add_service(name: str, summary: str) -> None:
    epilog = f"Example: viabtc {name} /etc/viabtc/{name}.json"

    @app.command(name, help=summary, epilog=epilog, rich_help_panel="Services")
    def serve(config: ConfigFile) -> None:
        from viabtc.service.run import leave
        from viabtc.service.run import main as run_service

        leave(run_service(load_service(name), config))


for _name, _summary in SERVICES.items():
    if _name != "matchengine":
        _add_service(_name, _summary)


@app.command(
    help=SERVICES["matchengine"],
    epilog="Example: viabtc matchengine /etc/viabtc/matchengine.json",
    rich_help_panel="Services",
)
def matchengine(
    config: ConfigFile,
    *,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over", help="Do not wait for an engine that wrote to the databases just now."
        ),
    ] = False,
) -> None:
    from viabtc.service.run import leave
    from viabtc.service.run import main as run_service

    service = load_service("matchengine")

    def read(path: Path) -> tuple[Any, Any]:
        settings, findings = service.read(path)
        return replace(settings, take_over=take_over or settings.take_over), findings

    leave(run_service(replace(service, read=read), config))


def start_in_background(service: str, pid_file: Path) -> int:
    """What `<service>.exe` does; the exit code. One runs for each file with a process number."""
    from viabtc.service.background import start

    return start(load_service(service), sys.argv[1:], pid_file)


@app.command(epilog="Example: viabtc run --data /var/lib/exchange --rest 127.0.0.1:8001")
def run(
    config: Annotated[
        Path | None, typer.Option(help="A matchengine file with assets and markets.")
    ] = None,
    data: Annotated[Path, typer.Option(help="Where journal and snapshots are kept.")] = Path(
        "viabtc-data"
    ),
    http: Annotated[str, typer.Option(help="JSON-RPC over HTTP.")] = "127.0.0.1:8080",
    ws: Annotated[str, typer.Option(help="Websocket.")] = "127.0.0.1:8090",
    rest: Annotated[str, typer.Option(help="REST and control.")] = "127.0.0.1:8000",
    rpc: Annotated[str, typer.Option(help="Binary RPC.")] = "127.0.0.1:7316",
    console: Annotated[str, typer.Option(help="Operator console.")] = "127.0.0.1:7317",
) -> None:
    """Run the whole exchange in one process."""
    from viabtc.embedded import compose, settings
    from viabtc.service.run import leave

    places = settings.Places(
        http=_place("--http", http),
        ws=_place("--ws", ws),
        rest=_place("--rest", rest),
        rpc=_place("--rpc", rpc),
        console=_place("--console", console),
    )
    leave(compose.main(settings.run_settings(config, data, places)))


@app.command(
    "check-config", epilog="Example: viabtc check-config --strict deploy/config/accessws.json"
)
def check_config(
    file: ConfigFile,
    service: Annotated[
        str | None,
        typer.Option(
            help=f"One of {', '.join(SERVICES)}; without it the one that the file is named after,"
            " else matchengine.",
            show_default=False,
        ),
    ] = None,
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Unknown keys are errors.")] = False,
) -> None:
    """Say which keys of a file are wrong, what is wrong, and what would be right."""
    service = service or _service_of(file) or "matchengine"
    if service not in SERVICES:
        raise typer.BadParameter(f'"{service}" is not one of {", ".join(SERVICES)}')
    _, findings = load_service(service).read(file)
    if strict and findings.unknown:
        raise SettingsError(str(file), findings.unknown)
    for problem in (*findings.unknown, *findings.exposed):
        print(f"warning: {problem}")
    for problem in findings.idle:
        print(f"note: {problem.key} {problem.what}: {problem.right}")
    print(f"{file}: usable by {service}")


@app.command(epilog="Example: viabtc status --wait 30")
def status(
    control: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=HOST:PORT of a control app, several times for several; without it those of"
            " the samples or, when only that answers, `viabtc run`."
        ),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    wait: Annotated[
        int, typer.Option(min=0, max=3600, help="Seconds that all may take to be ready.")
    ] = 0,
) -> None:
    """Ask every service of this machine how it is; exit code 1 when one is not ready."""
    from viabtc.status import here, show

    controls = dict(_named_control(item) for item in control) if control else here()
    raise SystemExit(show(controls, as_json=as_json, wait_s=wait))


@app.command(epilog="Example: viabtc doctor /etc/viabtc/*.json")
def doctor(
    files: Annotated[
        list[Path],
        typer.Argument(help="Files of services, named SERVICE.json or SERVICE-N.json."),
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what is wrong with what services need, and what to do; exit code 1 if anything is."""
    from viabtc import doctor as physician

    services = {}
    for path in files:
        name = _service_of(path)
        if name is None:
            raise typer.BadParameter(f"{path} is named after none of {', '.join(SERVICES)}")
        services[name] = path
    checks = physician.examine(services, lambda name, path: load_service(name).read(path))
    raise SystemExit(physician.show(checks, as_json=as_json))


@app.command(
    "watch-process",
    epilog="Example: viabtc watch-process matchengine /opt/exchange/matchengine/conf/config.json",
)
def watch_process(
    service: Annotated[str, typer.Argument(help=f"One of {', '.join(SERVICES)}.")],
    config: ConfigFile,
) -> None:
    """Run a service and start it again within a second of any end, without systemd."""
    from viabtc.service.background import watch

    if service not in SERVICES:
        raise typer.BadParameter(f'"{service}" is not one of {", ".join(SERVICES)}')
    raise SystemExit(watch(load_service(service), config))


@app.command(epilog="Example: viabtc install --prefix /opt/exchange --conf deploy/config")
def install(
    prefix: Annotated[Path, typer.Option(help="Where `<service>/bin` and the rest go.")],
    conf: Annotated[
        Path | None, typer.Option(help="Folder of `<service>.json`, such as deploy/config.")
    ] = None,
) -> None:
    """Lay programs, logs, settings and scripts out as the original has them."""
    from viabtc.install import install as lay_out
    from viabtc.status import CONTROLS

    raise SystemExit(lay_out(prefix, CONTROLS, conf))


def _service_of(path: Path) -> str | None:
    """The service that a file is named after: `SERVICE.json` or `SERVICE-N.json`."""
    name = path.stem.partition("-")[0]
    return name if name in SERVICES else None


def _named_control(text: str) -> tuple[str, str]:
    name, _, place = text.partition("=")
    if not place:
        raise typer.BadParameter(
            f'"{text}" is not NAME=HOST:PORT, such as matchengine=127.0.0.1:9100',
            param_hint="--control",
        )
    return name, _control(place)


def _control(text: str) -> str:
    """`HOST:PORT`, and a path behind it where the control app has one."""
    _place("--control", text.partition("/")[0])
    return text


def _place(name: str, text: str) -> Place:
    place = read_place(text)
    if place is None:
        raise typer.BadParameter(
            f'"{text}" is not HOST:PORT with a numeric host, such as 127.0.0.1:8080',
            param_hint=name,
        )
    return place


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - an option's callback
    if wanted:
        print(f"viabtc {__version__}")
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


@app.command(epilog="Example: viabtc tokens viabtc-data/tokens")
def tokens(
    file: Annotated[Path, typer.Argument(help="Made when it is not there.", show_default=False)],
) -> None:
    """Print the bearer tokens of a file; make it with an administrator and two users."""
    from viabtc.service.tokens import open_tokens

    if not file.exists():
        print(f"making {file}", file=sys.stderr)
    for name, token in open_tokens(file).by_name.items():
        print(f"{name} {token}")


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


@app.command("import-deals", epilog="Example: viabtc import-deals deals.csv --data viabtc-data")
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


@app.command(epilog="Example: viabtc replay orders.csv.gz --market BTCUSDT")
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


@app.command(epilog="Example: viabtc watch BTCUSDT")
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


@app.command(epilog="Example: viabtc schema /etc/viabtc/matchengine.json")
def schema(
    config: Annotated[
        Path,
        typer.Argument(help="File of a matchengine or a readhistory.", show_default=False),
    ],
) -> None:
    """Create or upgrade the MySQL tables that a configuration file names."""
    from viabtc import schema as tables

    raise SystemExit(tables.schema(config))


@app.command(epilog="Example: viabtc export deals viabtc-data --from 2026-11-01 --out deals.csv")
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


@app.command(epilog="Example: viabtc migrate --from /etc/viabtc/matchengine.json")
def migrate(
    source: Annotated[
        Path,
        typer.Option("--from", help="The stopped original's matchengine file.", show_default=False),
    ],
) -> None:
    """Take the databases of a stopped original over into an empty data directory."""
    from viabtc import migrate as takeover

    raise SystemExit(takeover.migrate(source))


@app.command(epilog="Example: viabtc shadow --from /etc/viabtc/matchengine.json --slices 24")
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


@app.command(epilog="Example: viabtc audit --control 127.0.0.1:9100")
def audit(
    control: Annotated[
        str, typer.Option(help="HOST:PORT of an engine's control app, and its path if it has one.")
    ] = "127.0.0.1:8000/control",
) -> None:
    """Let a running engine recompute every invariant; exit code 1 when one does not hold."""
    address = f"http://{_control(control.removeprefix('http://'))}/audit"
    request = urllib.request.Request(address, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=600) as response:  # noqa: S310 - http only
            report = json.load(response)
    except urllib.error.HTTPError as error:
        report = json.load(error)
    except (OSError, ValueError) as error:
        raise StartFailure(
            f"no engine answers at {control}: {getattr(error, 'reason', error)}",
            "start it, or name its control app with --control",
        ) from error
    if "ok" not in report:
        raise StartFailure(
            f"what answers at {control} is no engine's control app",
            "name that one with --control: 127.0.0.1:9100 in the samples, 127.0.0.1:8000/control"
            " of `viabtc run`",
        )
    print(json.dumps(report))
    raise SystemExit(0 if report["ok"] else EXIT_FAULT)
