"""The commands that start something: services, `viabtc run`, and what an installation needs."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from viabtc.cli.options import ConfigFile, place

if TYPE_CHECKING:
    from viabtc.service.run import Service

services_app = typer.Typer()

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


def load_service(name: str) -> "Service[Any]":
    service: Service[Any] = importlib.import_module(f"viabtc.{name}.main").SERVICE
    return service


def service_of(path: Path) -> str | None:
    """The service that a file is named after: `SERVICE.json` or `SERVICE-N.json`."""
    name = path.stem.partition("-")[0]
    return name if name in SERVICES else None


def _add_service(name: str, summary: str) -> None:
    epilog = f"Example: viabtc {name} /etc/viabtc/{name}.json"

    @services_app.command(name, help=summary, epilog=epilog, rich_help_panel="Services")
    def serve(config: ConfigFile) -> None:
        from viabtc.service.run import leave
        from viabtc.service.run import main as run_service

        leave(run_service(load_service(name), config))


for _name, _summary in SERVICES.items():
    if _name != "matchengine":
        _add_service(_name, _summary)


@services_app.command(
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


@services_app.command(epilog="Example: viabtc run --data /var/lib/exchange --rest 127.0.0.1:8001")
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
        http=place("--http", http),
        ws=place("--ws", ws),
        rest=place("--rest", rest),
        rpc=place("--rpc", rpc),
        console=place("--console", console),
    )
    leave(compose.main(settings.run_settings(config, data, places)))


@services_app.command(
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


@services_app.command(epilog="Example: viabtc install --prefix /opt/exchange --conf deploy/config")
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


@services_app.command(epilog="Example: viabtc tokens viabtc-data/tokens")
def tokens(
    file: Annotated[Path, typer.Argument(help="Made when it is not there.", show_default=False)],
) -> None:
    """Print the bearer tokens of a file; make it with an administrator and two users."""
    from viabtc.service.tokens import open_tokens

    if not file.exists():
        print(f"making {file}", file=sys.stderr)
    for name, token in open_tokens(file).by_name.items():
        print(f"{name} {token}")
