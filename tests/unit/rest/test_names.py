"""Names of orders fit the source, and come back out of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viabtc.rest.names import SOURCE, name_of, source_of

SOURCE_BYTES_MAX = 30
NAMES = st.from_regex(r"[A-Za-z0-9_.-]{1,26}", fullmatch=True)


@given(st.one_of(NAMES, st.uuids().map(str)))
def test_a_name_fits_the_source_and_comes_back(name: str) -> None:
    source = source_of(name)
    assert len(source.encode()) <= SOURCE_BYTES_MAX
    assert name_of(source) == name


@given(first=NAMES, second=st.uuids().map(str))
def test_a_name_is_never_taken_for_a_packed_one(first: str, second: str) -> None:
    assert source_of(first) != source_of(second)


def test_without_a_name_the_source_is_as_it_was() -> None:
    assert source_of(None) == SOURCE == "api"
    assert name_of("api") is None


@pytest.mark.parametrize(
    "source", [None, "", "web", "api", "api-short", "api-" + "\u00e9" * 22, "apix:a"]
)
def test_a_source_of_somebody_else_is_no_name(source: str | None) -> None:
    assert name_of(source) is None


def test_one_uuid_is_packed_as_its_sixteen_bytes() -> None:
    name = "00000000-0000-0000-0000-0000000000ff"
    assert source_of(name) == "api-AAAAAAAAAAAAAAAAAAAA_w"
