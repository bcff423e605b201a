"""The commands that look: at configuration files, at services that run, at what they need."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated

import typer

from viabtc.cli.options import ConfigFile, place
from viabtc.cli.services import SERVICES, load_service, service_of
from viabtc.service.failure import EXIT_FAULT, StartFailure
from viabtc.service.settings import SettingsError

checks_app = typer.Typer()


@checks_app.command(
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
    service = service or service_of(file) or "matchengine"
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


@checks_app.command(epilog="Example: viabtc status --wait 30")
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


@checks_app.command(epilog="Example: viabtc doctor /etc/viabtc/*.json")
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
        name = service_of(path)
        if name is None:
            raise typer.BadParameter(f"{path} is named after none of {', '.join(SERVICES)}")
        services[name] = path
    checks = physician.examine(services, lambda name, path: load_service(name).read(path))
    raise SystemExit(physician.show(checks, as_json=as_json))


@checks_app.command(epilog="Example: viabtc audit --control 127.0.0.1:9100")
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
    place("--control", text.partition("/")[0])
    return text
