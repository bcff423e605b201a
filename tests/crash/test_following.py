"""The judge of the crash tests finds what it is there to find."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crash.following import Applied, Follower, Token, token_of
from harness.configs import small_config
from harness.load import Entry, Job, loading
from harness.processes import start_matchengine


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Entry]]:
    """The data of an engine that stopped cleanly, and all that its clients sent."""
    directory = tmp_path_factory.mktemp("history")
    server = start_matchengine(directory, small_config())
    with loading() as load:
        load.begin(Job(server.place("rpc"), 1, 0, [], [], 500))
        entries = load.end()
    assert server.stop() == 0, server.said()
    return directory / "data", entries


@pytest.fixture
def follower(history: tuple[Path, list[Entry]]) -> Follower:
    return Follower(history[0])


def acknowledged(entries: list[Entry]) -> Entry:
    return next(entry for entry in reversed(entries) if b'"error": null' in (entry.reply or b""))


def without(news: dict[Token, Applied], entry: Entry) -> dict[Token, Applied]:
    token = token_of(entry.command, entry.params)
    return {other: found for other, found in news.items() if other != token}


def test_a_true_history_passes(history: tuple[Path, list[Entry]], follower: Follower) -> None:
    news = follower.read()
    assert follower.judge(history[1], news) == len(news) > 100


def test_a_lost_acknowledgement_is_found(
    history: tuple[Path, list[Entry]], follower: Follower
) -> None:
    news = follower.read()
    with pytest.raises(AssertionError, match="was acknowledged and is lost"):
        follower.judge(history[1], without(news, acknowledged(history[1])))


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (lambda reply: {**reply, "error": {"code": 10, "message": "x"}}, "was answered"),
        (lambda reply: {**reply, "result": {**reply["result"], "left": "77"}}, "was answered"),
    ],
)
def test_a_wrong_answer_is_found(
    history: tuple[Path, list[Entry]],
    follower: Follower,
    alter: Callable[[Any], Any],
    said: str,
) -> None:
    news = follower.read()
    entries = history[1]
    place = next(
        index
        for index, entry in enumerate(entries)
        if entry.command == 201 and b'"error": null' in (entry.reply or b"")
    )
    entry = entries[place]
    reply = json.dumps(alter(json.loads(entry.reply or b""))).encode()
    altered = Entry(entry.connection, entry.command, entry.params, reply)
    with pytest.raises(AssertionError, match=said):
        follower.judge([*entries[:place], altered, *entries[place + 1 :]], news)


def test_a_command_that_counts_twice_is_found(follower: Follower) -> None:
    news = follower.read()
    again = Follower(follower.data, applied=dict.fromkeys(news, 1))
    with pytest.raises(AssertionError, match="was applied as 1 and again as"):
        again.read()


def test_commands_that_overtake_each_other_are_found(
    history: tuple[Path, list[Entry]], follower: Follower
) -> None:
    news = follower.read()
    with pytest.raises(AssertionError, match="overtook"):
        follower.judge(history[1][::-1], news)
