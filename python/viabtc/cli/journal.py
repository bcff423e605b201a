"""The commands of `viabtc journal`."""

from pathlib import Path
from typing import Annotated

import typer

journal_app = typer.Typer(no_args_is_help=True, help="Look at the files of an engine.")

DataDirectory = Annotated[
    Path, typer.Argument(help="The engine's data directory.", show_default=False)
]

GiveWay = Annotated[
    bool, typer.Option("--give-way", help="Take least priority, and end with the parent process.")
]


@journal_app.command("verify", epilog="Example: viabtc journal verify viabtc-data")
def journal_verify(directory: DataDirectory) -> None:
    """Read every record, replay it and audit the state, without changing anything."""
    from viabtc import journal

    raise SystemExit(journal.verify(directory))


@journal_app.command("dump", epilog="Example: viabtc journal dump viabtc-data --after 1000")
def journal_dump(
    directory: DataDirectory,
    after: Annotated[int, typer.Option(help="Only records behind this command.", min=0)] = 0,
) -> None:
    """Print one JSON object a record."""
    from viabtc import journal

    raise SystemExit(journal.dump(directory, after))


@journal_app.command("copy", epilog="Example: viabtc journal copy viabtc-data backup")
def journal_copy(
    directory: DataDirectory,
    target: Annotated[Path, typer.Argument(help="A folder that is not there yet.")],
) -> None:
    """Copy an engine's files, which may run meanwhile, until the copy is whole; a backup."""
    from viabtc import journal

    raise SystemExit(journal.copy(directory, target))


@journal_app.command("snapshot", epilog="Example: viabtc journal snapshot viabtc-data")
def journal_snapshot(
    directory: DataDirectory,
    *,
    give_way: GiveWay = False,
) -> None:
    """Make the next snapshot from the closed segments; the engine may run meanwhile."""
    from viabtc import journal

    if give_way:
        journal.give_way()
    raise SystemExit(journal.snapshot(directory))


@journal_app.command(
    "slice",
    epilog="Example: viabtc journal slice viabtc-data --time 1764000000"
    " --store viabtc-data/history.sqlite3",
)
def journal_slice(
    directory: DataDirectory,
    *,
    time: Annotated[
        int, typer.Option(help="In seconds; not after the first command behind the snapshot.")
    ],
    keep: Annotated[int, typer.Option(help="Age in seconds at which slices go.")] = 259_200,
    config: Annotated[
        Path | None, typer.Option(help="The engine's file: into its log database.")
    ] = None,
    epoch: Annotated[int, typer.Option(help="Of the engine's lease there.")] = 0,
    store: Annotated[
        Path | None, typer.Option(help="Into the embedded store of `viabtc run`.")
    ] = None,
    give_way: GiveWay = False,
) -> None:
    """Write the newest snapshot as a slice; the engine does it by itself."""
    from viabtc import journal
    from viabtc.matchengine.slices import SlicePlace, slice_into

    if give_way:
        journal.give_way()
    place = SlicePlace(config=config, epoch=epoch, store=store)
    end = slice_into(directory, place, time, keep)
    if end is None:
        print("nothing to slice: there is no snapshot")
    else:
        print(f"slice of {time}: everything up to entry {end.operlog_id} of the operation log")


@journal_app.command("repair", epilog="Example: viabtc journal repair viabtc-data")
def journal_repair(
    directory: DataDirectory,
    from_mysql: Annotated[
        Path | None,
        typer.Option(help="A matchengine file with the database of the operation log."),
    ] = None,
) -> None:
    """Say whether a damaged journal can be helped, and how; changes nothing."""
    from viabtc import journal

    raise SystemExit(journal.repair(directory, from_mysql))
