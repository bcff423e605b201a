import pytest

from viabtc.edges.clock import ZoneError, zone_table

SPRING, AUTUMN = 1_774_746_000, 1_792_890_000
"""Berlin's clocks change at these seconds of 2026."""


def test_the_table_has_every_change_to_the_second() -> None:
    first, changes = zone_table("Europe/Berlin")
    assert first == 3600
    assert (SPRING, 7200) in changes
    assert (AUTUMN, 3600) in changes
    assert changes == sorted(changes)
    assert len(changes) == 200, "twice a year, a hundred years"


def test_zones_without_changes_have_none() -> None:
    assert zone_table("UTC") == (0, [])
    assert zone_table("Asia/Kolkata") == (19_800, [])


def test_the_environment_names_the_machines_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":Asia/Shanghai")
    assert zone_table() == (28_800, [])


@pytest.mark.parametrize("name", ["Nowhere/Atlantis", "../../etc/passwd", "a\0b"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ZoneError, match="no time zone"):
        zone_table(name)
