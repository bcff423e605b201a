"""MySQL and MariaDB: version, clock, settings that lose rows, grants, tables."""

import re
import time
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, Final

from viabtc.doctor.check import OK, SKEW_MAX_S, WARNING, WRONG, Check
from viabtc.edges.mysql import MysqlSettings, connect, select
from viabtc.edges.store import StoreError

NEEDED: Final = {
    "matchengine": {"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP"},
}
"""What services do with their tables; those of a day, and of a slice, are made and dropped."""

_READER: Final = frozenset({"SELECT"})
"""What all others do."""

TOO_MUCH: Final = {
    "FILE": "reads and writes files of the server's machine",
    "SUPER": "writes to a server that was made read-only, and changes its settings",
    "SHUTDOWN": "ends the server",
    "CREATE USER": "makes users, and changes their passwords",
    "GRANT OPTION": "gives its rights to others",
    "READ_ONLY ADMIN": "writes to a server that was made read-only",
    "SYSTEM_VARIABLES_ADMIN": "changes the server's settings",
}
"""Rights on the whole server that no service needs, and what they let one do."""

_OLDEST: Final = {"MariaDB": (10, 11), "MySQL": (8, 0, 30)}
"""Below them nothing was tried."""

_GRANT: Final = re.compile(r"GRANT (?P<rights>.+?) ON (?P<place>\S+) TO (?P<rest>.*)")

_SETTINGS: Final = """
SELECT CAST(@@GLOBAL.innodb_flush_log_at_trx_commit AS CHAR), CAST(@@GLOBAL.read_only AS CHAR),
       CAST(@@GLOBAL.max_allowed_packet AS CHAR)
"""

_PACKET_MIN_BYTES: Final = 16 << 20
"""Default of all servers that were tried; statements hold many rows."""

_SCRIPTS: Final = "SELECT `script` FROM viabtc_schema"


async def database(
    name: str, key: str, folder: str, section: Mapping[str, Any], *, is_awaited: bool
) -> list[Check]:
    """Looks at the database of a section.

    Args:
        name: Of the service.
        key: Of the section.
        folder: Of the scripts that make its tables.
        section: Where it is.
        is_awaited: Whether writes are acknowledged when it has them.
    """
    settings = MysqlSettings(
        host=str(section.get("host")),
        port=int(section.get("port", 3306)),
        user=str(section.get("user")),
        password=str(section.get("pass")),
        name=str(section.get("name")),
    )
    subject = f"{key} {settings}"
    checks: list[Check] = []
    try:
        connection = await connect(settings)
        try:
            ((version, now),) = await select(
                connection, "SELECT VERSION(), CAST(UNIX_TIMESTAMP(NOW(6)) AS CHAR)", ()
            )
            skew_s = abs(time.time() - float(now))
            granted = [str(row[0]) for row in await select(connection, "SHOW GRANTS", ())]
            ((flush, read_only, packet),) = await select(connection, _SETTINGS, ())
            checks += _grants(name, subject, str(section.get("name")), granted)
            if any(check.state == WRONG for check in checks):
                return checks
            done = {row[0] for row in await select(connection, _SCRIPTS, ())}
        finally:
            connection.close()
    except StoreError as error:
        do = "start the server, correct the section, or make the tables: viabtc schema FILE"
        return [*checks, Check(name, subject, WRONG, str(error), do)]
    checks += _version(name, subject, str(version))
    if skew_s > SKEW_MAX_S:
        do = "let both machines keep the same time, by chrony or systemd-timesyncd"
        checks.append(Check(name, subject, WRONG, f"its clock differs by {skew_s:.1f} s", do))
    checks += _settings(
        name, subject, str(flush), str(read_only), int(packet), is_awaited=is_awaited
    )
    scripts = {script.name for script in files("viabtc.edges").joinpath("schema", folder).iterdir()}
    if missing := sorted(scripts - done):
        what = f"lacks {', '.join(missing)}"
        checks.append(Check(name, subject, WRONG, what, "run: viabtc schema FILE"))
    return checks or [Check(name, subject, OK, f"{version}, tables up to date")]


def _version(name: str, subject: str, version: str) -> Iterator[Check]:
    kind = "MariaDB" if "mariadb" in version.lower() else "MySQL"
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    if numbers < _OLDEST[kind]:
        oldest = ".".join(map(str, _OLDEST[kind]))
        what = f"{kind} {version} is older than what was tried"
        yield Check(name, subject, WARNING, what, f"use {kind} {oldest} or newer")


def _settings(
    name: str, subject: str, flush: str, read_only: str, packet: int, *, is_awaited: bool
) -> Iterator[Check]:
    if name != "matchengine":
        return
    if read_only not in {"0", "OFF"}:
        do = "SET GLOBAL read_only=0, or name the server that may be written"
        yield Check(name, subject, WRONG, "it is read-only", do)
    if flush != "1":
        state = WRONG if is_awaited else WARNING
        what = f"innodb_flush_log_at_trx_commit is {flush}: a power cut takes committed rows away"
        yield Check(name, subject, state, what, "SET GLOBAL innodb_flush_log_at_trx_commit=1")
    if packet < _PACKET_MIN_BYTES:
        what = f"max_allowed_packet is {packet}: statements with many rows are refused"
        do = f"SET GLOBAL max_allowed_packet={_PACKET_MIN_BYTES}"
        yield Check(name, subject, WRONG, what, do)


def _grants(name: str, subject: str, database: str, granted: list[str]) -> Iterator[Check]:
    """Whether the user has what it needs, and nothing that would make a stolen password worse."""
    held: set[str] = set()
    dangerous: set[str] = set()
    for line in granted:
        found = _GRANT.fullmatch(line)
        if found is None:
            continue
        rights = {right.strip() for right in found["rights"].split(",")}
        if "WITH GRANT OPTION" in found["rest"]:
            rights.add("GRANT OPTION")
        is_all = bool(rights & {"ALL PRIVILEGES", "ALL"})
        if found["place"] == "*.*":
            held |= rights
            dangerous |= set(TOO_MUCH) if is_all else rights & set(TOO_MUCH)
        elif _names(found["place"], database):
            held |= rights
    lacking = NEEDED.get(name, _READER) - held
    # What a role brings is not told.
    has_role = any(" ON " not in line for line in granted)
    if lacking and not has_role and not held & {"ALL PRIVILEGES", "ALL"}:
        words = ", ".join(sorted(lacking))
        do = f"as its administrator: GRANT {words} ON `{database}`.* TO this user"
        yield Check(name, subject, WRONG, f"the user may not {words}", do)
    if dangerous:
        worst = "FILE" if "FILE" in dangerous else min(dangerous)
        what = f"the user has {', '.join(sorted(dangerous))} on the whole server"
        do = (
            f"REVOKE them, and grant on `{database}`.* only: with {worst} whoever gets the password"
            f" {TOO_MUCH[worst]}"
        )
        yield Check(name, subject, WARNING, what, do)


def _names(place: str, database: str) -> bool:
    """Whether the place of a grant is this database as a whole; its name may be a pattern."""
    pattern, _, table = place.rpartition(".")
    if table != "*":
        return False
    text = pattern.strip("`'\"")
    parts = re.findall(r"\\.|.", text)
    wild = {"%": ".*", "_": "."}
    regex = "".join(
        re.escape(part[1:]) if part.startswith("\\") else wild.get(part, re.escape(part))
        for part in parts
    )
    return re.fullmatch(regex, database, re.IGNORECASE) is not None
