"""A private MariaDB: its own folder, a free port on loopback, stopped by its own id."""

import contextlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from harness.processes import VIABTC, Reserved

_START_DEADLINE_S: Final = 60.0
_STOP_DEADLINE_S: Final = 60.0

LOG: Final = "trade_log"
HISTORY: Final = "trade_history"
"""Names of the databases, as in the original's samples."""

USER: Final = "exchange"
PASSWORD: Final = "it's a \\ secret"  # noqa: S105 - of a private server


class Mariadb:
    """A server that tests start, kill and ask."""

    def __init__(
        self,
        directory: Path,
        template: Path | None = None,
        flush_method: str = "nosync",
        options: Sequence[str] = (),
    ) -> None:
        """Makes its folder.

        Args:
            directory: Where it is.
            template: The folder of a stopped server, whose databases it begins with.
            flush_method: Of InnoDB. Kills end the process, not the machine: no test needs syncs.
            options: Further ones of the server's command line.
        """
        self.directory = directory
        self._flush_method = flush_method
        self._options = options
        self._reserved = Reserved()
        self.port = self._reserved.port
        self._process: subprocess.Popen[bytes] | None = None
        for program in ("mariadbd", "mariadb-install-db", "mariadb"):
            if shutil.which(program) is None:
                pytest.fail(f"{program} is missing: run tests/install.sh", pytrace=False)
        directory.mkdir(parents=True)
        if template is not None:
            shutil.copytree(template / "data", directory / "data")
            return
        subprocess.run(
            [
                *("mariadb-install-db", "--no-defaults", f"--datadir={directory / 'data'}"),
                *("--auth-root-authentication-method=normal", "--skip-test-db"),
                *("--user=root",),
            ],
            check=True,
            capture_output=True,
        )

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None
        return self._process.pid

    @property
    def _socket(self) -> Path:
        return self.directory / "s"

    def start(self) -> None:
        """Starts it and waits until it answers."""
        with (self.directory / "out").open("ab") as out:
            self._process = subprocess.Popen(
                [
                    *("mariadbd", "--no-defaults", "--user=root"),
                    f"--datadir={self.directory / 'data'}",
                    f"--socket={self._socket}",
                    f"--pid-file={self.directory / 'pid'}",
                    *("--bind-address=127.0.0.1", f"--port={self.port}"),
                    *("--innodb-buffer-pool-size=256M", "--innodb-log-file-size=128M"),
                    f"--innodb-flush-method={self._flush_method}",
                    *("--skip-name-resolve", *self._options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        deadline = time.monotonic() + _START_DEADLINE_S
        while True:
            with contextlib.suppress(subprocess.CalledProcessError):
                self.run("SELECT 1")
                break
            said = (self.directory / "out").read_text(errors="replace")[-3000:]
            assert self._process.poll() is None, f"mariadbd ended: {said}"
            assert time.monotonic() < deadline, f"mariadbd does not answer: {said}"
        quoted = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
        self.run(
            f"CREATE USER IF NOT EXISTS {USER}@'127.0.0.1' IDENTIFIED BY '{quoted}';"
            f" GRANT ALL ON *.* TO {USER}@'127.0.0.1'; REVOKE SUPER, READ_ONLY ADMIN ON *.* FROM"
            f" {USER}@'127.0.0.1'"
        )

    def stop(self) -> None:
        """Stops it as its service manager does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it as a power cut does."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stops it from answering, connections stay."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Ends it for good."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self._reserved.close()

    def run(self, sql: str, database: str = "") -> str:
        """Runs statements as root; what they answer, fields separated by tabs.

        Raises:
            CalledProcessError: they failed, or nobody answers.
        """
        done = subprocess.run(
            [
                *("mariadb", "--no-defaults", "--user=root", f"--socket={self._socket}"),
                *("--batch", "--raw", "--skip-column-names", "--default-character-set=utf8mb4"),
                database,
            ],
            input=sql.encode(),
            check=True,
            capture_output=True,
        )
        return done.stdout.decode()

    def rows(self, sql: str, database: str = "") -> list[list[str]]:
        """Rows of a query whose fields hold neither tabs nor line ends."""
        return [line.split("\t") for line in self.run(sql, database).splitlines()]

    def documents(self, database: str) -> dict[str, list[dict[str, str]]]:
        """Rows of all tables by id, every value as the text that the server prints."""
        columns: dict[str, list[str]] = {}
        where = f"WHERE table_schema = '{database}' ORDER BY table_name, ordinal_position"
        sql = f"SELECT table_name, column_name FROM information_schema.columns {where}"  # noqa: S608
        for table, column in self.rows(sql):
            columns.setdefault(table, []).append(column)
        selects = []
        for table, names in columns.items():
            if "id" in names:
                pairs = ", ".join(f"'{name}', CAST(`{name}` AS CHAR)" for name in names)
                document = f"JSON_OBJECT({pairs})"
                selects.append(f"SELECT '{table}', {document} FROM `{table}` ORDER BY id")  # noqa: S608
        found: dict[str, list[dict[str, str]]] = {}
        for line in self.run(";".join(selects), database).splitlines():
            table, _, document = line.partition("\t")
            found.setdefault(table, []).append(json.loads(document))
        return found

    def section(self, name: str) -> dict[str, Any]:
        """The section of a configuration file for a database."""
        place = {"host": "127.0.0.1", "port": self.port}
        return {**place, "user": USER, "pass": PASSWORD, "name": name, "charset": "utf8"}

    def sections(self) -> dict[str, Any]:
        """Both sections of a matchengine file."""
        return {"db_log": self.section(LOG), "db_history": self.section(HISTORY)}

    def tables(self, database: str) -> Sequence[str]:
        """Names of its tables."""
        return [row[0] for row in self.rows("SHOW TABLES", database)]

    def _end(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(_STOP_DEADLINE_S)
        self._process = None


def make_schema(directory: Path, server: Mariadb) -> str:
    """Runs `viabtc schema`; what it says."""
    path = directory / "databases.json"
    path.write_text(json.dumps(server.sections()))
    done = subprocess.run(
        [*VIABTC, "schema", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
