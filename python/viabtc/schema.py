"""`viabtc schema`: the databases that a configuration file names, created or brought up to date."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from viabtc.edges.mysql import MysqlSettings, apply_schema
from viabtc.edges.store import StoreError
from viabtc.service.database import read_database
from viabtc.service.failure import StartFailure
from viabtc.service.settings import Findings, Problem, Section, SettingsError, load

_SECTIONS: Final = {"db_log": "log", "db_history": "history"}
"""Sections of a file, and the folder of their scripts."""


def schema(path: Path) -> int:
    """Creates or upgrades; prints what was done; the exit code.

    Raises:
        SettingsError: the file cannot be used.
        StartFailure: a database cannot be used.
    """
    for name, settings in _databases(path):
        try:
            done = asyncio.run(apply_schema(settings, _SECTIONS[name]))
        except StoreError as error:
            raise StartFailure(
                f"{name}: {error}",
                "start the server, or give the user the privileges CREATE, SELECT, INSERT, UPDATE",
            ) from error
        print(f"{name} {settings}: {', '.join(done) or 'up to date'}")
    return 0


def _databases(path: Path) -> Sequence[tuple[str, MysqlSettings]]:
    data = load(path)
    findings = Findings()
    root = Section(data, findings)
    found = [(name, read_database(root.section(name))) for name in _SECTIONS if name in data]
    if not found:
        findings.problems.append(Problem("(file)", "names no database", "db_log or db_history"))
    if findings.problems:
        raise SettingsError(str(path), findings.problems)
    return found
