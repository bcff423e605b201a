"""The house rules of the Python package, read from its source."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from harness.places import ROOT
from viabtc.cli import SERVICES

PACKAGE: Final = ROOT / "python" / "viabtc"

SOURCES: Final = sorted(PACKAGE.rglob("*.py"))

LAYERS: Final = {
    "contract": {"_core"},
    "protocol": set[str](),
    "edges": {"contract", "protocol"},
    "service": {"contract", "protocol", "edges", "_core"},
    "client": {"contract"},
}
"""What each layer under the services may import of ours, beside itself."""

BELOW: Final = {"contract", "protocol", "edges", "service", "_core"}
"""What services may import of ours, beside themselves."""

COMPOSITION: Final = {
    "embedded": "puts the services into one process",
    "cli": "starts everything",
    "__main__": "is the command line",
    "migrate": "makes the files of a matchengine from its configuration",
    "shadow": "compares with the databases of a matchengine's configuration",
}
"""Parts that may import services, with the reason."""

PURE: Final = {"contract", "protocol"}
"""Layers that do no I/O, read no clock and draw no random numbers."""

IMPURE_MODULES: Final = {
    *("asyncio", "http", "logging", "os", "pathlib", "random", "secrets", "selectors", "socket"),
    *("subprocess", "tempfile", "threading", "time", "urllib", "structlog", "uvicorn"),
}

TIMES: Final = re.compile(
    r".*_(s|S|ms|us|at|seconds)|_?interval|latenc(y|ies)|seconds|now|age|figures|Figures"
)
"""Names of times and metrics: units come last, so a float with such a name is no money."""

FLOATS: Final = {
    "accessws/sources.py": "paces in seconds",
    "client/stream.py": "shares of a pause",
    "doctor/machine.py": "a share, and metrics",
    "doctor/stores.py": "a share, and seconds of microseconds",
    "edges/mysql_projection.py": "seconds of microseconds",
    "edges/rpc.py": "when a link was last heard",
    "edges/systemd.py": "seconds of microseconds",
    "export.py": "bounds in fractional seconds, as storage keeps them",
    "journal.py": "seconds of microseconds",
    "matchengine/log.py": "fractional seconds, as storage keeps them",
    "migrate.py": "seconds of microseconds",
    "readhistory/queries.py": "fractional seconds, as storage keeps them",
    "readhistory/records.py": "fractional seconds, as the wire shows them",
    "replay/report.py": "milliseconds of seconds",
    "rest/exchange.py": "when a list was last asked for",
    "service/control.py": "seconds of microseconds",
    "service/projection.py": "pauses, and seconds of microseconds",
    "service/remote.py": "a clamped length of time",
    "service/settings.py": "reads configured lengths of time",
}
"""Files in which other floats stand, with the reason."""


def part_of(path: Path) -> str:
    """The layer or service of a file: the first name under the package."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(path: Path) -> str:
    """The module of a file."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, and what it takes from modules, fully named."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(path: Path) -> set[str]:
    """Parts of the package that a file imports."""
    found = set()
    for name in imports(path):
        package, _, rest = name.partition(".")
        if package == "viabtc" and rest and rest != "__version__":
            found.add(rest.partition(".")[0])
    return found


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_point_downwards(path: Path) -> None:
    part = part_of(path)
    if part in COMPOSITION or part == "__init__":
        return
    allowed = LAYERS.get(part, BELOW) | {part}
    assert ours(path) - allowed == set(), f"{name_of(path)} imports what is above or beside it"


def test_every_layer_and_service_exists() -> None:
    parts = {part_of(path) for path in SOURCES}
    assert set(LAYERS) <= parts
    assert set(SERVICES) <= parts
    assert set(COMPOSITION) <= parts


@pytest.mark.parametrize("path", [path for path in SOURCES if part_of(path) in PURE], ids=name_of)
def test_pure_layers_touch_nothing_outside(path: Path) -> None:
    touched = {name.partition(".")[0] for name in imports(path)} & IMPURE_MODULES
    assert touched == set(), f"{name_of(path)} is pure"


def floats(tree: ast.AST, name: str = "") -> Iterator[int]:
    """Lines that make, name or write a binary fraction, unless it is called a time.

    Args:
        tree: What to look through.
        name: Of the variable, parameter or function that it belongs to.
    """
    is_float = (isinstance(tree, ast.Name) and tree.id == "float") or (
        isinstance(tree, ast.Constant) and isinstance(tree.value, float)
    )
    if is_float and not TIMES.fullmatch(name):
        assert isinstance(tree, ast.expr)
        yield tree.lineno
    if isinstance(tree, ast.arguments):
        # A default belongs to its parameter.
        positional = [*tree.posonlyargs, *tree.args]
        named = zip(positional[len(positional) - len(tree.defaults) :], tree.defaults, strict=True)
        keyword = zip(tree.kwonlyargs, tree.kw_defaults, strict=True)
        for argument, default in [*named, *keyword]:
            if default is not None:
                yield from floats(default, argument.arg)
        for argument in [*positional, *tree.kwonlyargs]:
            yield from floats(argument, argument.arg)
        return
    if isinstance(tree, ast.Dict):
        for key, value in zip(tree.keys, tree.values, strict=True):
            is_text = isinstance(key, ast.Constant) and isinstance(key.value, str)
            yield from floats(value, str(ast.literal_eval(key)) if key and is_text else name)
        return
    for child in ast.iter_child_nodes(tree):
        yield from floats(child, _name_of(tree, child) or name)


def _name_of(parent: ast.AST, child: ast.AST) -> str | None:
    """What `parent` calls `child`, if it gives it a name."""
    target: ast.AST | None = None
    match parent:
        case ast.AnnAssign(target=target) | ast.Assign(targets=[target]):
            pass
        case ast.Compare(left=target) | ast.Call(func=ast.Attribute() as target):
            pass
        case ast.keyword(arg=str() as name):
            # Bounds of a time are called otherwise, and are times as well.
            return name if TIMES.fullmatch(name) else None
        case (
            ast.FunctionDef(name=name, returns=returns)
            | ast.AsyncFunctionDef(name=name, returns=returns)
        ):
            return name if child is returns else ""
    return _last(target) if isinstance(target, ast.Name | ast.Attribute) else None


def _last(target: ast.Name | ast.Attribute) -> str:
    return target.id if isinstance(target, ast.Name) else target.attr


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_money_is_never_a_float(path: Path) -> None:
    place = str(path.relative_to(PACKAGE))
    lines = sorted(set(floats(tree_of(path))))
    assert place in FLOATS or lines == [], (
        f"{place} has floats; name them as times (..._s), or list them with the reason"
    )


def test_files_with_floats_exist() -> None:
    assert [place for place in FLOATS if not (PACKAGE / place).exists()] == []


@pytest.mark.parametrize(
    ("source", "is_found"),
    [
        ("price: float = 1", True),
        ("x = float(text)", True),
        ("def f(amount: float) -> None: ...", True),
        ("def f(timeout_s: float = 1.5) -> None: ...", False),
        ("def f(timeout_s: int, fee=0.1) -> None: ...", True),
        ("def wait_s() -> float: ...", False),
        ("def price() -> float: ...", True),
        ("async def wait_s() -> float: ...", False),
        ("async def f(price: float) -> None: ...", True),
        ("LOOK_S: Final = 0.2", False),
        ("RATE = 0.2", True),
        ("f(timeout_s=1.5)", False),
        ("f(1.5)", True),
        ('{"pause_s": 1.5}', False),
        ('{"fee": 1.5}', True),
        ('section.seconds("timeout", 1.0)', False),
        ('section.number("fee", 1.0)', True),
    ],
)
def test_floats_are_found(source: str, is_found: bool) -> None:  # noqa: FBT001
    assert bool(list(floats(ast.parse(source)))) is is_found


SLEEPERS: Final = {
    "tests/crash/faulty_disk.py": "a disk whose syncs take their time is what it plays",
    "tests/flood/attack.py": "a client that is slow is what it plays",
}
"""Files that may sleep, with the reason."""


LOOK_S_MAX: Final = 0.05
"""A pause that is no longer is one between two looks at a condition."""


def sleeps(path: Path) -> Iterator[int]:
    """Lines that let time pass, other than between two looks at a condition."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            is_sleep = node.func.attr == "sleep"
            pause = node.args[0] if node.args else None
            is_look = isinstance(pause, ast.Name) and pause.id.endswith("LOOK_S")
            seconds = pause.value if isinstance(pause, ast.Constant) else None
            is_short = isinstance(seconds, int | float) and seconds <= LOOK_S_MAX
            if is_sleep and not (is_look or is_short):
                yield node.lineno


def test_nobody_sleeps_where_a_condition_can_be_waited_for() -> None:
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if str(path.relative_to(ROOT)) not in SLEEPERS:
            assert list(sleeps(path)) == [], path
    for path in SOURCES:
        assert "time.sleep" not in set(imports(path)), path
        source = path.read_text(encoding="utf-8")
        assert "time.sleep(" not in source, f"{path}: threads wait for events"


def test_every_file_is_reached_from_an_entry_point() -> None:
    by_name = {name_of(path): path for path in SOURCES}
    reached: set[str] = set()
    pending = ["viabtc.__main__", *(f"viabtc.{service}.main" for service in SERVICES)]
    while pending:
        name = pending.pop()
        if name in reached or name not in by_name:
            continue
        reached.add(name)
        parts = name.split(".")
        pending += [".".join(parts[:count]) for count in range(1, len(parts))]
        pending += imports(by_name[name])
    assert set(by_name) - reached == set(), "nothing imports these"


def test_the_stub_says_what_the_compiled_module_is() -> None:
    checked = subprocess.run(
        # Nothing imports by star: the list that the binding makes for that has no stub.
        [sys.executable, "-m", "mypy.stubtest", "viabtc._core", "--allowlist", "/dev/stdin"],
        input=r"viabtc\._core\.__all__",
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
