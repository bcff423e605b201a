"""What topics ask their service, and what they tell of its answer."""

import json
from typing import TYPE_CHECKING, Any, cast

from hypothesis import given
from hypothesis import strategies as st

from viabtc.accessws.questions import one_line
from viabtc.accessws.sources import Paces, Source, find_source

if TYPE_CHECKING:
    from viabtc import _core

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


class Told:
    """A hub that keeps what it is given."""

    def __init__(self) -> None:
        self.states: list[tuple[tuple[str, bytes, bytes | None], bool]] = []
        self.members: list[int] = []

    def publish(
        self, states: list[tuple[str, bytes, bytes | None]], *, whole: bool = False
    ) -> None:
        self.states += [(state, whole) for state in states]

    def extend(
        self,
        _topic: str,
        _head: bytes,
        _tail: bytes,
        members: list[tuple[int, bytes]],
        *,
        whole: bool,
    ) -> None:
        assert whole
        self.members += [number for number, _ in members]


def source(topic: str) -> Source:
    found = find_source(topic, Paces(), is_fed=False)
    assert found is not None
    return found[0]


def show(source: Source, hub: Told, result: Any) -> None:
    source.show(cast("_core.Hub", hub), "topic", json.dumps(result).encode())


def test_a_burst_of_deals_is_asked_for_as_a_whole() -> None:
    deals, hub = source("deals X"), Told()
    assert json.loads(deals.params()) == ["X", 100, 0]
    show(deals, hub, [{"id": 7}, {"id": 5}])
    assert json.loads(deals.params()) == ["X", 10_000, 7]
    show(deals, hub, [{"id": number} for number in range(5_007, 7, -1)])
    assert json.loads(deals.params()) == ["X", 10_000, 5_007]
    assert hub.members == [5, 7, *range(8, 5_008)]


def test_a_price_is_told_with_the_digits_of_the_service_and_kept_without_zeros() -> None:
    price, hub = source("price X"), Told()
    show(price, hub, "1234567890123456789012.12345600")
    [((_, update, snapshot), is_whole)] = hub.states
    assert snapshot is not None
    assert is_whole
    assert json.loads(update)["params"] == ["X", "1234567890123456789012.12345600"]
    assert json.loads(snapshot)["params"] == ["X", "1234567890123456789012.123456"]
    for told, kept in (("100.000", "100"), ("100", "100"), ("1e-8", "0.00000001")):
        show(price, hub, told)
        (_, update, snapshot), _ = hub.states[-1]
        assert snapshot is not None
        assert json.loads(snapshot)["params"] == ["X", kept]


def test_a_layout_for_people_becomes_one_line() -> None:
    for text in ('{\n    "a": [],\n    "b": "x,\\n y"\n}', "[\n    1,\n    2\n]"):
        assert one_line(text.encode()) == json.dumps(json.loads(text)).encode()


@given(VALUES)
def test_what_stands_on_one_line_stays(value: Any) -> None:
    compact = json.dumps(value).encode()
    assert one_line(compact) == compact
    assert one_line(json.dumps(value, indent=4).encode()) == compact
