"""`make audit`: licences and sources, known weaknesses, the containers' files.

The tools come from the registries of packages. Lists of known weaknesses stand elsewhere: where one
cannot be reached, that is said, and what it would have told is neither called well nor wrong.
"""

import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement

ROOT: Final = Path(__file__).parents[1]

TOOLS: Final = ROOT / "build" / "audit"
"""Where the Makefile puts them."""

LICENCES: Final = re.compile(
    r"\b(apache|bsd|isc|mit|mozilla|mpl|psf|python software|unlicense|zlib)\b", re.IGNORECASE
)
"""Of Python packages, which are installed beside us and not copied."""

FOREIGN: Final = re.compile(r"\b(a?gpl|lgpl|sspl|busl|proprietary|commercial)\b", re.IGNORECASE)
"""Nothing that a service imports has one of these."""

UNREACHED_RUST: Final = ("failed to fetch", "failed to clone", "unable to fetch")
UNREACHED_NODE: Final = "audit endpoint returned an error"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at one thing found."""

    subject: str
    is_well: bool | None
    """None: it could not be looked at."""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Ran:
    """A tool that has ended."""

    code: int
    out: str
    error: str


def run(*command: str) -> Ran:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


def judged(subject: str, ran: Ran, unreached: Sequence[str] = ()) -> Finding:
    """A finding of what a tool says by its exit code."""
    said = (ran.out + ran.error).strip()
    if ran.code and any(word in said for word in unreached):
        return Finding(subject, None, "its list cannot be reached")
    return Finding(subject, ran.code == 0, "" if ran.code == 0 else said)


def rust() -> Iterator[Finding]:
    deny = str(TOOLS / "bin" / "cargo-deny")
    checks = ("licenses", "bans", "sources")
    yield judged(
        "Rust: licences, bans, sources", run(deny, "--log-level", "error", "check", *checks)
    )
    subject = "Rust: known weaknesses, withdrawn versions"
    fetched = run(deny, "fetch", "db")
    if fetched.code:
        yield judged(subject, fetched, UNREACHED_RUST)
    else:
        yield judged(subject, run(deny, "--log-level", "error", "check", "advisories"))


def python() -> Iterator[Finding]:
    needed = sorted(requirements("viabtc"))
    wrong = [line for name in needed if (line := unlicensed(name))]
    yield Finding("Python: licences", not wrong, "\n".join(wrong))
    listed = TOOLS / "requirements.txt"
    versions = (f"{name}=={importlib.metadata.version(name)}\n" for name in needed)
    listed.write_text("".join(versions))
    options = ["--requirement", str(listed), "--no-deps", "--disable-pip", "--format", "json"]
    yield read_pip_audit(run(str(TOOLS / "bin" / "pip-audit"), *options))


def requirements(package: str) -> set[str]:
    """Everything that a package needs here to run, by name."""
    found: set[str] = set()
    waiting = [(package, "")]
    looked_at = set(waiting)
    while waiting:
        name, extra = waiting.pop()
        for text in importlib.metadata.requires(name) or ():
            needed = Requirement(text)
            if needed.marker is not None and not needed.marker.evaluate({"extra": extra}):
                continue
            found.add(needed.name.lower())
            more = {(needed.name, wanted) for wanted in ("", *needed.extras)} - looked_at
            looked_at |= more
            waiting += more
    return found


def unlicensed(package: str) -> str:
    """What is wrong with a package's licence; empty when nothing is."""
    metadata = importlib.metadata.metadata(package)
    named = [metadata[name] for name in ("License-Expression", "License") if name in metadata]
    named += [text for text in metadata.get_all("Classifier") or () if text.startswith("License")]
    # The whole text stands there in some; its first line is its name.
    licence = next((text.partition("\n")[0] for text in named if text), "")
    is_fine = LICENCES.search(licence) and not FOREIGN.search(licence)
    return "" if is_fine else f"{package}: {licence or 'no licence is named'}"


def read_pip_audit(ran: Ran) -> Finding:
    """What pip-audit found; packages that it could not look up are no good news."""
    subject = "Python: known weaknesses"
    try:
        rows: list[dict[str, Any]] = json.loads(ran.out)["dependencies"]
    except (ValueError, KeyError):
        return Finding(subject, None, "its list cannot be reached")
    weak = [
        f"{row['name']} {row['version']}: {weakness['id']}"
        for row in rows
        for weakness in row.get("vulns", ())
    ]
    skipped = [row["name"] for row in rows if "skip_reason" in row]
    if weak:
        return Finding(subject, is_well=False, said="\n".join(weak))
    if skipped:
        what = f"its list does not know {len(skipped)} of {len(rows)} packages, or is not reached"
        return Finding(subject, None, what)
    return Finding(subject, is_well=True)


def page() -> Iterator[Finding]:
    audit = run("npm", "audit", "--package-lock-only", "--omit", "dev")
    yield judged("page: known weaknesses", audit, [UNREACHED_NODE])


def containers() -> Iterator[Finding]:
    folder = ROOT / "deploy" / "compose"
    hadolint = str(TOOLS / "bin" / "hadolint")
    yield judged("containers: Dockerfile", run(hadolint, str(folder / "Dockerfile")))
    # Errors only: its warnings are about the order of keys.
    dclint = str(TOOLS / "node_modules" / ".bin" / "dclint")
    yield judged("containers: compose.yaml", run(dclint, "--quiet", str(folder)))


def main() -> int:
    looks: tuple[Callable[[], Iterator[Finding]], ...] = (rust, python, page, containers)
    worst = 0
    for look in looks:
        for finding in look():
            state = {True: "well", False: "WRONG", None: "NOT LOOKED AT"}[finding.is_well]
            print(f"{state:<14} {finding.subject}", flush=True)  # noqa: T201
            if finding.said:
                print(finding.said, flush=True)  # noqa: T201
            worst = max(worst, int(finding.is_well is False))
    return worst


if __name__ == "__main__":
    sys.exit(main())
