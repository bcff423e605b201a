"""The command line: help that shows how, and errors that say what was wrong and what to do."""

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from harness.processes import VIABTC
from harness.redis import free_port
from viabtc.cli import app

ROOT_COMMAND: Any = typer.main.get_command(app)


def commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command below a group, with its full name."""
    for part, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {part}")
        else:
            yield f"{name} {part}", command


ALL = dict(commands(ROOT_COMMAND, "viabtc"))


@pytest.mark.parametrize("name", ALL)
def test_every_command_says_what_it_does_and_has_an_example_that_it_takes(name: str) -> None:
    command = ALL[name]
    assert command.help
    assert command.epilog
    assert command.epilog.startswith(f"Example: {name}")
    words = shlex.split(command.epilog.removeprefix("Example: "))
    # It is read as it would be, with types and bounds, and not carried out.
    command.make_context(name, words[len(name.split()) :])
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def run(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*VIABTC, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


CONFIG = "deploy/config"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What looks like the files of an engine."""
    (tmp_path / "journal-0000000001.seg").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("watch BTCUSDT --url http://127.0.0.1:1", "is no websocket's address"),
        ("watch BTCUSDT --url ws://127.0.0.1:{port}", "start one, or name its websocket port"),
        ("replay README.md", "cannot be played"),
        ("status --control matchengine", "is not NAME=HOST:PORT"),
        ("audit --control 127.0.0.1:{port}", "name its control app with --control"),
        ("market list --rpc 127.0.0.1:{port}", "name its RPC port with --rpc"),
        ("market set BTCUSDT --min-amount few", "is no number, such as 0.001"),
        ("install --prefix {folder} --conf {folder}/nowhere", "there is no folder"),
        ("audit-log verify README.md --head few", "is not NUMBER:HASH"),
        ("export deals {folder}", "name the data directory of `viabtc run`"),
        ("tokens /proc/nowhere/tokens", "What to do"),
        ("run --data /proc/nowhere", "What to do"),
        ("run --http [::1]:{port}", "with a numeric IPv4 host"),
        ("run --ws 127.0.0.1:{port} --rpc 127.0.0.1:{port}", "name one address"),
        ("matchengine {folder}/missing.json", "a readable JSON file"),
        ("doctor README.md", "is named after none of"),
    ],
)
def test_what_cannot_be_is_said_in_words(words: str, says: str, tmp_path: Path) -> None:
    told = words.format(port=free_port(), folder=tmp_path).split()
    done = run(*told)
    assert done.returncode in {1, 2}
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("words", ["export deals", "journal copy {folder}"])
def test_what_no_command_expects_of_the_system_is_no_traceback(words: str, data: Path) -> None:
    done = run(*words.format(folder=data).split(), "n" * 300)
    assert done.returncode == 1
    assert "File name too long (" in done.stderr
    assert "What to do" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_service_of_a_file_is_known_by_its_name() -> None:
    assert "usable by rest" in run("check-config", f"{CONFIG}/rest.json").stdout
    other = run("check-config", f"{CONFIG}/rest.json", "--service", "matchengine")
    assert "assets is missing" in other.stderr


def test_a_data_directory_that_leads_nowhere_stops_the_start_in_words(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(tmp_path / "moved")
    file = tmp_path / "matchengine.json"
    text = Path(f"{CONFIG}/matchengine.json").read_text()
    text = text.replace("/var/lib/viabtc/matchengine", str(tmp_path / "data"))
    file.write_text(text.replace("/var/log/viabtc/matchengine", str(tmp_path)))
    done = run("matchengine", str(file))
    assert done.returncode == 1
    assert "a link must lead to one that is there" in done.stderr
    assert "Traceback" not in done.stderr
