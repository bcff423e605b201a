"""Checks the checks: seeds known mistakes one at a time and expects a test to fail.

Each mutant of ``mutants.toml`` is a small patch. It is applied to a scratch copy of the tree, whose
build folder is shared by all of them; the copy must compile, and the test named must fail. Before
that, every test named passes on the tree as it is, so that a failure means the mutant and nothing
else.

Results are kept with a fingerprint of the sources, so that a run can be spread over several calls:

    python3 tests/mutation/run.py --minutes 20

says what is left and exits with 3 while there is something left, with 1 when fewer than
``CAUGHT_MIN`` mutants were caught, else with 0. ``--check`` only tells whether every patch still
fits its file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
MUTANTS = HERE / "mutants.toml"
ROOT = HERE.parents[1]

# Of the 30 mutants; a suite that misses more is not to be trusted (at least 95 of 100).
CAUGHT_MIN = 29

# What a build of the workspace's crates depends on.
SOURCES = ("Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "rust")

# A mutant may loop for ever: a test that takes this long has noticed it.
TEST_TIMEOUT_S = 300

# Random tests draw the same numbers every time, and no more of them than catch something.
ENVIRONMENT = {
    "VIABTC_SEED": "1",
    "VIABTC_COMMANDS": "50000",
    "VIABTC_POWER_LOSSES": "200",
    "RUST_BACKTRACE": "0",
}

EXIT_MISSED = 1
EXIT_UNFINISHED = 3

FAILED_TEST = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. FAILED$", re.MULTILINE)


def say(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)
    sys.stdout.flush()


@dataclass(frozen=True)
class Mutant:
    """One mistake: where it is made, what it breaks, and which test has to notice."""

    name: str
    breaks: str
    file: str
    find: str
    replace: str
    test: str

    def fits(self) -> bool:
        return (ROOT / self.file).read_text(encoding="utf-8").count(self.find) == 1


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant."""

    is_caught: bool
    how: str
    seconds: float


class Scratch:
    """A copy of the sources with a build folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        self.environment = {
            **os.environ,
            **ENVIRONMENT,
            "CARGO_TARGET_DIR": str(folder / "target"),
            "VIABTC_SHARED": os.environ.get("VIABTC_SHARED", str(ROOT.parent / "shared")),
        }

    def copy(self) -> str:
        """Brings the copy up to date, touching nothing that is as it was; its fingerprint."""
        digest = hashlib.sha256()
        wanted = set()
        for source in sources():
            relative = source.relative_to(ROOT)
            wanted.add(relative)
            content = source.read_bytes()
            digest.update(f"{relative}\0{len(content)}\0".encode())
            digest.update(content)
            write_if_changed(self.tree / relative, content)
        for path in sorted(self.tree.rglob("*")):
            if path.is_file() and path.relative_to(self.tree) not in wanted:
                path.unlink()
        return digest.hexdigest()

    def build(self, test: str) -> subprocess.CompletedProcess[str]:
        return self.cargo(["test", "-q", *shlex.split(test), "--no-run"])

    def run(self, test: str) -> subprocess.CompletedProcess[str] | None:
        """The finished test, or none when it was still busy after ``TEST_TIMEOUT_S``."""
        command = ["cargo", "test", *shlex.split(test), "--no-fail-fast"]
        with subprocess.Popen(
            command,
            cwd=self.tree,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=TEST_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                return None
            return subprocess.CompletedProcess(command, process.returncode, output)

    def cargo(self, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["cargo", *arguments],
            cwd=self.tree,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


def sources() -> list[Path]:
    paths: list[Path] = []
    for name in SOURCES:
        path = ROOT / name
        paths.extend([path] if path.is_file() else (p for p in path.rglob("*") if p.is_file()))
    return sorted(paths)


def write_if_changed(path: Path, content: bytes) -> None:
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def read_mutants() -> list[Mutant]:
    with MUTANTS.open("rb") as file:
        return [Mutant(**row) for row in tomllib.load(file)["mutant"]]


def require_sound(mutants: list[Mutant]) -> None:
    """Names are unique, and every patch fits its file."""
    names = [mutant.name for mutant in mutants]
    if len(set(names)) != len(names):
        sys.exit("mutants.toml: two mutants share a name")
    stale = [mutant for mutant in mutants if not mutant.fits()]
    for mutant in stale:
        say(f"{mutant.name}: its text does not stand exactly once in {mutant.file}")
    if stale:
        sys.exit("mutants.toml: adapt `find` to the sources as they are")


def fingersay(tree: str, mutant: Mutant) -> str:
    text = json.dumps([tree, asdict(mutant), ENVIRONMENT], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def require_green(scratch: Scratch, tests: list[str]) -> None:
    """Every test passes without a mutant."""
    for test in tests:
        say(f"without a mutant: cargo test {test} ... ", end="")
        done = scratch.run(test)
        if done is None or done.returncode != 0:
            sys.exit(f"fails\n{done.stdout if done else 'it takes too long'}")
        say("passes")


def try_mutant(scratch: Scratch, mutant: Mutant) -> Outcome:
    path = scratch.tree / mutant.file
    original = path.read_text(encoding="utf-8")
    started = time.monotonic()
    path.write_text(original.replace(mutant.find, mutant.replace), encoding="utf-8")
    try:
        built = scratch.build(mutant.test)
        if built.returncode != 0:
            sys.exit(f"{mutant.name}: the patch does not compile\n{built.stdout}")
        done = scratch.run(mutant.test)
    finally:
        path.write_text(original, encoding="utf-8")
    seconds = round(time.monotonic() - started, 1)
    if done is None:
        return Outcome(is_caught=True, how="a test that never ends", seconds=seconds)
    failed = FAILED_TEST.findall(done.stdout)
    if done.returncode == 0:
        return Outcome(is_caught=False, how="nothing", seconds=seconds)
    how = "the test process dies"
    if failed:
        more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        how = f"`{failed[0]}`{more}"
    return Outcome(is_caught=True, how=how, seconds=seconds)


def commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def report(mutants: list[Mutant], outcomes: dict[str, Outcome]) -> str:
    """The table as a page of the documentation."""
    caught = sum(outcome.is_caught for outcome in outcomes.values())
    seconds = sum(outcome.seconds for outcome in outcomes.values())
    lines = [
        f"""\
# Mutation check

A suite that never fails proves nothing. Each row is a mistake that was made on purpose in a copy of
the sources; the test in the last column failed because of it. `python3 tests/mutation/run.py` makes
them all again; `tests/mutation/mutants.toml` holds the patches.

**{caught} of {len(mutants)} caught.** Commit {commit()}, {datetime.now(UTC):%Y-%m-%d},
{platform.machine()}, {os.cpu_count()} processors, {seconds / 60:.0f} minutes.

| # | mistake | what it breaks | file | noticed by |
| ---: | --- | --- | --- | --- |"""
    ]
    for number, mutant in enumerate(mutants, start=1):
        how = outcomes[mutant.name].how
        lines.append(f"| {number} | {mutant.name} | {mutant.breaks} | `{mutant.file}` | {how} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Seeds known mistakes and expects tests to fail.")
    parser.add_argument("--minutes", type=float, help="begin no further mutant after this time")
    parser.add_argument("--only", help="only mutants whose name contains this text")
    parser.add_argument("--report", type=Path, help="write the table there when all is done")
    parser.add_argument("--check", action="store_true", help="only check that the patches fit")
    parser.add_argument(
        "--folder",
        type=Path,
        default=ROOT / "target" / "mutation",
        help="copy, build folder and results",
    )
    options = parser.parse_args()
    all_mutants = read_mutants()
    require_sound(all_mutants)
    if options.check:
        say(f"{len(all_mutants)} patches fit their files")
        return 0
    mutants = [mutant for mutant in all_mutants if (options.only or "") in mutant.name]
    deadline = time.monotonic() + 60 * options.minutes if options.minutes else None

    folder: Path = options.folder
    scratch = Scratch(folder)
    tree = scratch.copy()
    results_path = folder / "results.json"
    known = json.loads(results_path.read_text()) if results_path.is_file() else {}
    prints = {mutant.name: fingersay(tree, mutant) for mutant in mutants}
    outcomes = {
        name: Outcome(**known[print_]) for name, print_ in prints.items() if print_ in known
    }
    left = [mutant for mutant in mutants if mutant.name not in outcomes]
    require_green(scratch, sorted({mutant.test for mutant in left}))
    for mutant in left:
        if deadline is not None and time.monotonic() > deadline:
            break
        say(f"{mutant.name} ... ", end="")
        outcome = try_mutant(scratch, mutant)
        outcomes[mutant.name] = outcome
        verdict = "caught by" if outcome.is_caught else "MISSED by"
        say(f"{verdict} {outcome.how} ({outcome.seconds:.0f} s)")
        known[prints[mutant.name]] = asdict(outcome)
        results_path.write_text(json.dumps(known, indent=1))

    remaining = len(mutants) - len(outcomes)
    if remaining:
        say(f"{remaining} of {len(mutants)} are left; call again to go on")
        return EXIT_UNFINISHED
    caught = sum(outcome.is_caught for outcome in outcomes.values())
    say(f"{caught} of {len(mutants)} caught")
    if options.report:
        options.report.write_text(report(mutants, outcomes), encoding="utf-8")
    missed_max = len(all_mutants) - CAUGHT_MIN
    return EXIT_MISSED if len(mutants) - caught > missed_max else 0


if __name__ == "__main__":
    sys.exit(main())
