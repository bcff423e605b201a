"""`make audit`: what could not be looked at is never called well."""

import json
from collections.abc import Mapping

import pytest

import audit
from audit import Ran


def pip_audit(*rows: Mapping[str, object]) -> str:
    return json.dumps({"dependencies": rows, "fixes": []})


FINE = {"name": "a", "version": "1", "vulns": []}
WEAK = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": []}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("out", "is_well"),
    [
        (pip_audit(FINE), True),
        (pip_audit(FINE, WEAK), False),
        (pip_audit(WEAK, SKIPPED), False),
        (pip_audit(FINE, SKIPPED), None),
        ("", None),
        ("{}", None),
    ],
)
def test_packages_that_were_not_looked_up_are_no_good_news(
    out: str, *, is_well: bool | None
) -> None:
    assert audit.read_pip_audit(Ran(1, out, "")).is_well is is_well


def test_a_tool_that_failed_is_wrong_unless_it_reached_nothing() -> None:
    unreached = audit.UNREACHED_RUST
    assert audit.judged("x", Ran(0, "failed to fetch", ""), unreached).is_well is True
    assert audit.judged("x", Ran(1, "", "failed to fetch it"), unreached).is_well is None
    found = audit.judged("x", Ran(1, "banned: a", ""), unreached)
    assert (found.is_well, found.said) == (False, "banned: a")


def test_everything_that_runs_beside_us_may_be_used() -> None:
    needed = audit.requirements("viabtc")
    # Direct, indirect, and of an extra that another package asks for.
    assert {"fastapi", "starlette", "uvloop"} <= needed
    assert not {"pytest", "pyarrow"} & needed
    assert [line for name in sorted(needed) if (line := audit.unlicensed(name))] == []
