"""A topic is told in order and once; what never came is noticed."""

from typing import Any

import structlog

from viabtc.accessws.follow import Follower
from viabtc.edges.kafka import Message, TopicSettings


def passed(*batches: list[tuple[int, int | None]]) -> tuple[list[int], list[int]]:
    """Offsets that were told, and counts that were lost, for batches of offset and number."""
    taken: list[int] = []
    lost: list[int] = []

    def take(messages: Any) -> None:
        taken.extend(offset for offset, _, _ in messages)

    settings = TopicSettings("127.0.0.1:1", "orders")
    follower = Follower(settings, take, lost.append, structlog.get_logger())
    for batch in batches:
        messages: list[Message] = [(offset, b"{}", number) for offset, number in batch]
        follower._pass_on(messages)
    return taken, lost


def test_numbered_messages_are_told_once() -> None:
    first: list[tuple[int, int | None]] = [(10, 4), (11, 5), (12, 4), (13, 5), (14, 6)]
    assert passed(first, [(15, 6), (16, 7)]) == ([10, 11, 14, 16], [])


def test_a_number_that_never_came_is_a_loss() -> None:
    assert passed([(10, 4)], [(11, 7), (12, 8)]) == ([10, 11, 12], [2])


def test_messages_of_an_original_have_no_numbers() -> None:
    assert passed([(10, None), (11, None)], [(12, 3), (13, None), (14, 4)]) == (
        [10, 11, 12, 13, 14],
        [],
    )


def test_an_engine_that_takes_over_from_an_original_begins_with_1_again() -> None:
    first: list[tuple[int, int | None]] = [(10, 7), (11, None), (12, 1), (13, 2)]
    assert passed(first, [(14, 1), (15, 4)]) == ([10, 11, 12, 13, 15], [1])
