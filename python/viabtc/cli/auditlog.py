"""`viabtc audit-log`: whether what administrators did is still as it was written."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from viabtc.protocol.auditline import LINE_BYTES_MAX, read_head, verify
from viabtc.service.failure import EXIT_FAULT, StartFailure

_FINDINGS_SHOWN: Final = 100

audit_log_app = typer.Typer(no_args_is_help=True, help="Look at what administrators did.")


@audit_log_app.command(
    "verify", epilog="Example: viabtc audit-log verify /var/log/viabtc/rest-1/rest.audit"
)
def verify_files(
    files: Annotated[list[Path], typer.Argument(help="Oldest first, such as audit.7000 audit.")],
    head: Annotated[
        str, typer.Option(help="NUMBER:HASH from `viabtc status` or a service's log.")
    ] = "",
) -> None:
    """Say which lines were changed, removed, added or moved; exit code 1 when any was.

    That the end is gone, or that everything was written anew, shows only against --head.
    """
    noted = read_head(head)
    if head and noted is None:
        raise typer.BadParameter(
            f'"{head}" is not NUMBER:HASH, as `viabtc status` shows it', param_hint="--head"
        )
    try:
        verdict = verify(_lines(files), noted)
    except OSError as error:
        raise StartFailure(
            f"cannot read {error.filename}: {error.strerror}", "name files that can be read"
        ) from error
    for finding in verdict.findings[:_FINDINGS_SHOWN]:
        print(finding)
    hidden = len(verdict.findings) - _FINDINGS_SHOWN
    if hidden > 0:
        print(f"... and {hidden} more")
    print(f"{verdict.entries} entries, the last is {verdict.end}")
    if verdict.findings:
        raise typer.Exit(EXIT_FAULT)
    print("Each follows the one before.")


def _lines(files: Sequence[Path]) -> Iterator[bytes]:
    """The lines of all files. A file that goes on from another begins with that one's last line."""
    last = b""
    for path in files:
        with path.open("rb") as file:
            is_first = True
            while line := file.readline(2 * LINE_BYTES_MAX):
                if not (is_first and line == last):
                    yield line
                last, is_first = line, False
