"""Reading a configuration file of the original: every problem is found at once.

A problem names the key, what is wrong with it and what would be right. Unknown keys are warnings
that name the nearest known one.
"""

import difflib
import ipaddress
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from viabtc.protocol.addresses import SOCKET_TYPES, Place, is_address, read_place, read_port


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a configuration."""

    key: str
    what: str
    right: str

    def __str__(self) -> str:
        return f"{self.key} {self.what}; right would be: {self.right}"


class SettingsError(Exception):
    """A configuration that cannot work."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        super().__init__(f"{file}: " + "; ".join(map(str, problems)))
        self.file = file
        self.problems = problems


@dataclass(slots=True)
class Findings:
    """What a check found."""

    problems: list[Problem] = field(default_factory=list)
    unknown: list[Problem] = field(default_factory=list)
    """Keys that nothing reads."""
    idle: list[Problem] = field(default_factory=list)
    """Keys that are accepted and have no effect, with the reason."""
    exposed: list[Problem] = field(default_factory=list)
    """Addresses that other machines may reach."""

    def warnings(self) -> list[Problem]:
        """All but the problems."""
        return [*self.unknown, *self.exposed, *self.idle]


T = TypeVar("T")

MISSING: Final = "is missing"
"""What is wrong with a required key that is not there."""

REQUIRED: Final = object()
"""Default of keys that must be there."""


class Section:
    """One JSON object of the file, read key by key."""

    def __init__(self, data: Mapping[str, Any], findings: Findings, path: str = "") -> None:
        self.data = data
        self.findings = findings
        self._path = path
        self._known: set[str] = set()

    def key(self, name: str) -> str:
        """The path of a member."""
        return f"{self._path}.{name}" if self._path else name

    def problem(self, name: str, what: str, right: str) -> None:
        """Notes that a member is wrong."""
        self.findings.problems.append(Problem(self.key(name), what, right))

    def idle(self, why: str, *names: str) -> None:
        """Accepts members without effect."""
        for name in names:
            self._known.add(name)
            if name in self.data:
                self.findings.idle.append(Problem(self.key(name), "has no effect", why))

    def leave(self, *names: str) -> None:
        """Leaves members to another reader."""
        self._known.update(names)

    def text(self, name: str, default: object = REQUIRED) -> str:
        """A string."""
        value = self._take(name, default, "a string")
        if isinstance(value, str):
            return value
        self._wrong(name, value, "a string")
        return ""

    def url(self, name: str, default: object = REQUIRED) -> str:
        """An address of HTTP or HTTPS; an empty text for none."""
        value = self.text(name, default)
        if value and not _is_url(value):
            self._wrong(name, value, "an http:// or https:// address")
        return value

    def texts(self, name: str, default: object = REQUIRED) -> tuple[str, ...]:
        """A list of strings."""
        value = self._take(name, default, "a list of strings")
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        self._wrong(name, value, "a list of strings")
        return ()

    def word(self, name: str, default: str, *words: str) -> str:
        """One of some words."""
        value = self.text(name, default)
        if value and value not in words:
            self._wrong(name, value, " or ".join(words))
        return value

    def integer(
        self, name: str, default: object = REQUIRED, *, low: int = 0, high: int = 2**32 - 1
    ) -> int:
        """An integer in [low, high]."""
        right = f"an integer from {low} to {high}"
        value = self._take(name, default, right)
        if isinstance(value, int) and not isinstance(value, bool):
            if not low <= value <= high:
                self._wrong(name, value, right)
            return value
        self._wrong(name, value, right)
        return low

    def seconds(self, name: str, default: object = REQUIRED, *, low: float, high: float) -> float:
        """An integer or real number of seconds in [low, high]."""
        right = f"a number of seconds from {low:g} to {high:g}"
        value = self._take(name, default, right)
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not low <= value <= high:
                self._wrong(name, value, right)
            return value
        self._wrong(name, value, right)
        return low

    def flag(self, name: str, default: object = REQUIRED) -> bool:
        """A boolean."""
        value = self._take(name, default, "true or false")
        if isinstance(value, bool):
            return value
        self._wrong(name, value, "true or false")
        return False

    def addresses(
        self, name: str, types: tuple[str, ...] = SOCKET_TYPES, default: object = REQUIRED
    ) -> tuple[str, ...]:
        """One or more addresses such as `tcp@127.0.0.1:7316` or `stream@/run/a.sock`."""
        right = f"TYPE@PLACE (types: {', '.join(types)}), such as {_example(types[0])}"
        value = self._take(name, default, right)
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or (not items and items is not default):
            self._wrong(name, value, f"{right}, or a list of them")
            return ()
        for item in items:
            if not isinstance(item, str) or not is_address(item, types):
                self._wrong(name, item, right)
            elif item.partition("@")[0].lower() in {"tcp", "udp"}:
                self._note_exposure(name, item.partition("@")[2])
        return tuple(items)

    def place(self, name: str, default: object = REQUIRED) -> Place | None:
        """`HOST:PORT` or `tcp@HOST:PORT` with a numeric IPv4 host; an empty text for none."""
        right = "HOST:PORT with a numeric IPv4 host"
        value = self._take(name, default, right)
        if value == "":
            return None
        place = read_place(value) if isinstance(value, str) else None
        if place is None:
            self._wrong(name, value, right)
            return None
        self._note_exposure(name, f"{place[0]}:{place[1]}")
        return place

    def listener(self, name: str) -> Place | str | None:
        """As `place`, or the path of `stream@/PATH`."""
        value = self.data.get(name)
        if isinstance(value, str) and is_address(value, ("stream",)):
            self.leave(name)
            return value.partition("@")[2]
        return self.place(name)

    def remote_place(self, name: str, default: object = REQUIRED) -> Place:
        """`HOST:PORT` of another process; the host may be a name."""
        right = "HOST:PORT"
        value = self._take(name, default, right)
        host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
        number = read_port(port)
        if not host or number is None:
            self._wrong(name, value, right)
            return ("", 0)
        return host, number

    def remote_places(self, name: str, default: object = REQUIRED) -> tuple[Place, ...]:
        """A list of at least one `HOST:PORT` of other processes."""
        right = "a list of HOST:PORT"
        value = self._take(name, default, right)
        if not isinstance(value, list) or not value:
            self._wrong(name, value, right)
            return ()
        places = []
        for item in value:
            host, _, port = item.rpartition(":") if isinstance(item, str) else ("", "", "")
            number = read_port(port)
            if not host or number is None:
                self._wrong(name, item, right)
            else:
                places.append((host, number))
        return tuple(places)

    def section(self, name: str, *, is_required: bool = True) -> "Section":
        """An object; an empty one when it is absent and may be."""
        value = self._take(name, REQUIRED if is_required else {}, "an object")
        if isinstance(value, dict):
            return Section(value, self.findings, self.key(name))
        self._wrong(name, value, "an object")
        # What it lacks has been said in one sentence.
        return Section({}, Findings(), self.key(name))

    def sections(self, name: str) -> list["Section"]:
        """A list of objects; empty when it is absent."""
        value = self._take(name, [], "a list of objects")
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self._wrong(name, value, "a list of objects")
            return []
        keys = (f"{self.key(name)}[{index}]" for index in range(len(value)))
        return [Section(item, self.findings, key) for item, key in zip(value, keys, strict=True)]

    def close(self) -> None:
        """Notes every member that nothing read."""
        for name in self.data:
            if name in self._known:
                continue
            near = difflib.get_close_matches(name, sorted(self._known), n=1)
            right = f"perhaps {near[0]}" if near else "one of " + ", ".join(sorted(self._known))
            self.findings.unknown.append(Problem(self.key(name), "is unknown", right))

    def _take(self, name: str, default: object, right: str) -> Any:
        self._known.add(name)
        if name in self.data:
            return self.data[name]
        if default is REQUIRED:
            self.problem(name, MISSING, right)
            return None
        return default

    def _wrong(self, name: str, value: object, right: str) -> None:
        if name in self.data:
            self.problem(name, f"is {json.dumps(value)[:60]}", right)

    def _note_exposure(self, name: str, place: str) -> None:
        host = place.rpartition(":")[0]
        if name in self.data and not ipaddress.IPv4Address(host).is_loopback:
            what = f"opens {place} to other machines, without authentication"
            self.findings.exposed.append(
                Problem(self.key(name), what, "127.0.0.1, unless a firewall guards it")
            )


def load(path: Path) -> dict[str, Any]:
    """The object of a configuration file.

    Raises:
        SettingsError: it cannot be read, or is not one JSON object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problem = Problem("(file)", f"cannot be read: {error.strerror}", "a readable JSON file")
        raise SettingsError(str(path), [problem]) from error
    except (ValueError, RecursionError) as error:
        problem = Problem("(file)", f"is not JSON: {error}", "one JSON object")
        raise SettingsError(str(path), [problem]) from error
    if not isinstance(data, dict):
        problem = Problem("(file)", "is not an object", "one JSON object")
        raise SettingsError(str(path), [problem])
    return data


def read_file(path: Path, read: Callable[[Section], T]) -> tuple[T, Findings]:
    """What `read` makes of a configuration file, and what else was found.

    Raises:
        SettingsError: with every problem.
    """
    findings = Findings()
    settings = read(Section(load(path), findings))
    if findings.problems:
        raise SettingsError(str(path), findings.problems)
    return settings, findings


def _is_url(text: str) -> bool:
    if not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        # A port that is none raises when it is asked for.
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _example(kind: str) -> str:
    return f"{kind}@127.0.0.1:7316" if kind in {"tcp", "udp"} else f"{kind}@/run/viabtc.sock"
