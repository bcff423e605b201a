"""`viabtc install`: the original's folders, programs and scripts, for machines without systemd."""

import json
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from viabtc.protocol.addresses import read_place
from viabtc.service.failure import StartFailure
from viabtc.service.settings import load

FOLDERS: Final = ("bin", "log", "conf", "shell")

PROGRAM: Final = """#!{python}
# {name}, as the original is started: `{name}.exe CONFIG` comes back when it runs in the background.
import sys
from pathlib import Path

from viabtc.cli import start_in_background

# Where the scripts look for it, wherever the log is written.
home = Path(__file__).resolve().parents[1]
sys.exit(start_in_background("{name}", home / "log" / "{name}.pid"))
"""

RESTART: Final = """#!/bin/sh
# Stops {name} if it runs, waits until it has ended, and starts it again.
set -eu
cd "$(dirname "$0")/../bin"
pid=$(cat ../log/{name}.pid 2>/dev/null || true)
if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = {name}.exe ]; then
    kill -QUIT "$pid"
    tries=0
    while [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = {name}.exe ] && [ "$tries" -lt 200 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
fi
exec ./{name}.exe ../conf/config.json
"""

CHECK_ALIVE: Final = """#!/bin/sh
# For cron: starts {name} when it does not run, or when nobody answers on its control port.
cd "$(dirname "$0")/../bin" || exit 1
pid=$(cat ../log/{name}.pid 2>/dev/null)
if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = {name}.exe ] &&
    {python} -m viabtc.install ../conf/config.json {control} 2> /dev/null; then
    exit 0
fi
exec ../shell/restart.sh
"""

PATIENCE_S: Final = 5.0
"""How long a control port may take to accept."""


def install(prefix: Path, controls: Mapping[str, str], samples: Path | None) -> int:
    """Lays everything out below `prefix`; configurations that stand there are left alone.

    Args:
        prefix: Where each service gets a folder.
        controls: The services, and the control port of each when its file names none.
        samples: Folder of files to begin with.

    Raises:
        StartFailure: there are no samples, or a folder or a file cannot be made.
        SettingsError: a sample cannot be read.
    """
    if samples is not None and not samples.is_dir():
        raise StartFailure(f"there is no folder {samples}", "name that of the files with --conf")
    for name, control in controls.items():
        home = prefix.absolute() / name
        try:
            for folder in FOLDERS:
                (home / folder).mkdir(parents=True, exist_ok=True)
            config = home / "conf" / "config.json"
            sample = None if samples is None else samples / f"{name}.json"
            if not config.exists() and sample is not None and sample.exists():
                _write(config, _with_log(load(sample), home / "log" / name), 0o600)
            words = {"name": name, "python": sys.executable, "control": control}
            _write(home / "bin" / f"{name}.exe", PROGRAM.format(**words), 0o755)
            _write(home / "shell" / "restart.sh", RESTART.format(**words), 0o755)
            _write(home / "shell" / "check_alive.sh", CHECK_ALIVE.format(**words), 0o755)
        except OSError as error:
            raise StartFailure(
                f"{error.filename} cannot be made: {error.strerror}",
                "choose another --prefix, or a user who may write there",
            ) from error
        said = config if config.exists() else f"{config}, which is still to be written"
        print(f"{home / 'bin' / name}.exe reads {said}")
    return 0


def _with_log(config: dict[str, Any], path: Path) -> str:
    """A configuration whose log stands in the layout's own folder."""
    config["log"] = {**config.get("log", {}), "path": str(path)}
    return json.dumps(config, indent=4) + "\n"


def answers(config: Path, default: str) -> bool:
    """Whether the control port that a file names accepts; True when the file wants none.

    Args:
        config: The file, as it is now.
        default: The port when the file does not say.
    """
    own = load(config).get("viabtc", {})
    control = own.get("control", default)
    place = read_place(control)
    if place is None:
        return not control
    try:
        socket.create_connection(place, PATIENCE_S).close()
    except OSError:
        return False
    return True


def _write(path: Path, text: str, mode: int) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


if __name__ == "__main__":
    sys.exit(not answers(Path(sys.argv[1]), sys.argv[2]))
