"""The tests' own page says what is there."""

import re

from harness.places import ROOT

TESTS = ROOT / "tests"


def test_every_test_that_the_page_names_exists() -> None:
    page = (TESTS / "README.md").read_text()
    source = "".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 30
    assert [name for name in sorted(named) if f"def {name}(" not in source] == []


def test_every_file_that_the_page_names_exists() -> None:
    page = (TESTS / "README.md").read_text()
    named = set(re.findall(r"`([\w/]+\.(?:py|rs))`", page))
    places = (TESTS, ROOT / "rust", ROOT / "tests")
    missing = [name for name in sorted(named) if not any((at / name).exists() for at in places)]
    # Names without a folder are taken from the lines before them.
    assert missing == []


def test_every_test_that_the_pages_of_reliability_name_exists() -> None:
    source = "".join(path.read_text() for path in TESTS.rglob("*.py"))
    pages = "".join(path.read_text() for path in (ROOT / "docs" / "reliability").glob("*.md"))
    missing = [
        name
        for name in sorted(set(re.findall(r"\btest_\w+", pages)))
        if f"def {name}(" not in source and not list(TESTS.rglob(f"{name}.py"))
    ]
    named = re.findall(r"`(\w+)::(\w+)(?:::(\w+|\*))?`", pages)
    assert len(named) > 40
    for crate, file, name in sorted(set(named)):
        tests = ROOT / "rust" / crate / "tests"
        path = tests / f"{file}.rs"
        if not tests.exists():
            # A module of a crate, whose unit tests another page names.
            continue
        if not path.exists():
            missing.append(f"{crate}::{file}")
        elif name not in {"", "*"} and f"fn {name}(" not in path.read_text():
            missing.append(f"{crate}::{file}::{name}")
    assert missing == []
