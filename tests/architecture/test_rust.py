"""The house rules of the Rust workspace, read from its manifests and sources."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from harness.places import ROOT

LAYERS: Final[dict[str, set[str]]] = {
    "engine": {"prefetch"},
    "journal": set(),
    "market": {"engine"},
    "pages": set(),
    "prefetch": set(),
    "wire": {"engine", "market"},
    "gateway": {"engine", "market", "wire"},
    "host": {"engine", "journal", "market", "wire"},
    "binding": {"engine", "gateway", "host", "journal", "market", "pages", "wire"},
    "load": {"wire"},
    "bench-abi": {"engine"},
    "fuzz": set(),
}
"""What each crate may depend on of ours. `journal` knows nothing of what its bytes mean."""

PURE: Final = ("engine", "market")
"""No I/O, no clock, no random numbers: mostly because the standard library is absent."""

CRATES: Final = sorted(path.parent.name for path in (ROOT / "rust").glob("*/Cargo.toml"))


def manifest(crate: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / "rust" / crate / "Cargo.toml").read_text())


def dependencies(crate: str) -> Iterator[str]:
    """Crates of ours that a crate needs, tests apart."""
    document = manifest(crate)
    tables = [document, *document.get("target", {}).values()]
    for table in tables:
        for kind in ("dependencies", "build-dependencies"):
            for name in table.get(kind, {}):
                if name.startswith("viabtc-"):
                    yield name.removeprefix("viabtc-")


def sources(crate: str) -> list[Path]:
    return sorted((ROOT / "rust" / crate / "src").rglob("*.rs"))


def code_of(path: Path) -> str:
    """A source without comments and without the text of strings."""
    text = re.sub(r"//[^\n]*", "", path.read_text(encoding="utf-8"))
    return re.sub(r'"(\\.|[^"\\])*"', '""', text)


@pytest.mark.parametrize("crate", CRATES)
def test_dependencies_follow_the_layers(crate: str) -> None:
    assert crate in LAYERS, f"{crate} has no place in the layers"
    assert set(dependencies(crate)) - LAYERS[crate] == set()


@pytest.mark.parametrize("crate", [crate for crate in PURE if crate in CRATES])
def test_pure_crates_have_neither_standard_library_nor_unsafe(crate: str) -> None:
    root = (ROOT / "rust" / crate / "src" / "lib.rs").read_text()
    assert "#![no_std]" in root or "no_std)]" in root
    assert "#![forbid(unsafe_code)]" in root
    for path in sources(crate):
        assert not re.search(r"\bstd::", code_of(path)), path


@pytest.mark.parametrize("path", sources("engine"), ids=lambda path: path.name)
def test_the_engine_has_no_floats(path: Path) -> None:
    assert not re.search(r"\bf(32|64)\b", code_of(path)), path


def test_the_engine_denies_float_arithmetic() -> None:
    lints = (ROOT / "rust" / "engine" / "src" / "lib.rs").read_text() + str(manifest("engine"))
    assert re.search(r"(deny|forbid)[^\n]*float_arithmetic|float_arithmetic[^\n]*deny", lints)


def test_only_places_that_talk_to_the_outside_open_sockets() -> None:
    for crate in CRATES:
        if crate in {"gateway", "load", "binding"}:
            continue
        for path in sources(crate):
            assert not re.search(
                r"\b(Tcp|Udp|Unix)(Stream|Listener|Socket|Datagram)\b", code_of(path)
            ), path


def test_releases_abort_on_a_defect() -> None:
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())
    assert workspace["profile"]["release"]["panic"] == "abort"
