"""Arguments that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

from viabtc.protocol.addresses import Place, read_place

ConfigFile = Annotated[
    Path, typer.Argument(help="The service's configuration file.", show_default=False)
]


def place(name: str, text: str) -> Place:
    found = read_place(text)
    if found is None:
        raise typer.BadParameter(
            f'"{text}" is not HOST:PORT with a numeric IPv4 host, such as 127.0.0.1:8080',
            param_hint=name,
        )
    return found
