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
