"""Reading an original's configuration file: everything is checked, and every problem is found at once.

A problem names the key, what is wrong with it and what would be right. Unknown keys are warnings that name
the nearest known one.
"""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final


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
    """Keys that are accepted and have no effect here, with the reason."""


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

    def idle(self, name: str, why: str) -> None:
        """Accepts a member without effect."""
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
        self._wrong_type(name, value, "a string")
        return ""

    def texts(self, name: str, default: object = REQUIRED) -> list[str]:
        """A string or a list of strings."""
        value = self._take(name, default, "a string or an array of strings")
        if isinstance(value, str):
            return [value]
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            return value
        if value is not None and not (isinstance(value, list) and value is default):
            self._wrong_type(name, value, "a string or a non-empty array of strings")
        return []

    def integer(
        self, name: str, default: object = REQUIRED, *, low: int = 0, high: int = 2**32 - 1
    ) -> int:
        """An integer in [low, high]."""
        right = f"an integer from {low} to {high}"
        value = self._take(name, default, right)
        if isinstance(value, int) and not isinstance(value, bool):
            if not low <= value <= high:
                self.problem(name, f"is {value}", right)
            return value
        self._wrong_type(name, value, right)
        return low

    def number(self, name: str, default: object = REQUIRED, *, low: float, high: float) -> float:
        """An integer or real in [low, high]."""
        right = f"a number from {low:g} to {high:g}"
        value = self._take(name, default, right)
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not low <= value <= high:
                self.problem(name, f"is {value}", right)
            return float(value)
        self._wrong_type(name, value, right)
        return low

    def flag(self, name: str, default: object = REQUIRED) -> bool:
        """A boolean."""
        value = self._take(name, default, "true or false")
        if isinstance(value, bool):
            return value
        self._wrong_type(name, value, "true or false")
        return False

    def section(self, name: str, *, is_required: bool = True) -> "Section":
        """An object; an empty one when it is absent and may be."""
        value = self._take(name, REQUIRED if is_required else {}, "an object")
        if isinstance(value, dict):
            return Section(value, self.findings, self.key(name))
        self._wrong_type(name, value, "an object")
        return Section({}, Findings(), self.key(name))

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
            self.problem(name, "is missing", right)
            return None
        return default

    def _wrong_type(self, name: str, value: object, right: str) -> None:
        if name in self.data:
            self.problem(name, f"is {json.dumps(value)[:60]}", right)


def load(path: Path) -> dict[str, Any]:
    """The object of a configuration file.

    Raises:
        SettingsError: it cannot be read, or is not one JSON object.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = Problem("(file)", f"cannot be read: {error}", "the path of a readable JSON file")
        raise SettingsError(str(path), [problem]) from error
    try:
        data = json.loads(text)
    except ValueError as error:
        problem = Problem("(file)", f"is not JSON: {error}", "one JSON object, as in deploy/config")
        raise SettingsError(str(path), [problem]) from error
    if not isinstance(data, dict):
        problem = Problem("(file)", "is not an object", "one JSON object, as in deploy/config")
        raise SettingsError(str(path), [problem])
    return data


def split_address(section: Section, name: str, text: str) -> tuple[str, int] | None:
    """Host and port of `tcp@HOST:PORT` or `HOST:PORT`; notes a problem otherwise."""
    place = text.partition("@")[2] if "@" in text else text
    host, _, port = place.rpartition(":")
    kind = text.partition("@")[0].lower() if "@" in text else "tcp"
    if kind == "tcp" and host and port.isdigit() and int(port) < 65536:
        return host, int(port)
    section.problem(name, f'is "{text}"', "tcp@HOST:PORT with a numeric IPv4 address")
    return None
