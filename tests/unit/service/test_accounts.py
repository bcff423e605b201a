"""The file of users and tokens: shared by processes, kept as hashes, closed when it is damaged."""

import stat
import threading
from pathlib import Path

import pytest

from viabtc.service import accounts
from viabtc.service.accounts import AccountError, Accounts, Token, open_accounts
from viabtc.service.failure import StartFailure
from viabtc.service.tokens import Identity, open_tokens


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is looked at whenever it is asked."""
    monkeypatch.setattr(accounts, "LOOK_NS", 0)
    return tmp_path / "users.json"


def issued(kept: Accounts, user: int = 5) -> tuple[Token, str]:
    """A token of a user, who is made."""
    kept.add_user(user, "Ada")
    return kept.issue(user, ("read",), "bot")


def test_the_file_is_for_its_owner_only_and_holds_no_secret(path: Path) -> None:
    token, text = issued(open_accounts(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert text.partition(".")[2] not in path.read_text()
    assert text.startswith(f"{token.id}.")
    assert len(text) > 40


def test_every_process_learns_of_what_one_changes(path: Path) -> None:
    one, other = open_accounts(path), open_accounts(path)
    token, text = issued(one)
    assert other.token_of(text) == token
    one.set_disabled(5, is_disabled=True)
    assert other.token_of(text) is None
    assert not other.may_act(5)
    other.set_disabled(5, is_disabled=False)
    assert one.token_of(text) == token
    other.revoke(token.id)
    assert one.token_of(text) is None
    assert one.tokens() == []


def test_a_wrong_token_is_nobody(path: Path) -> None:
    kept = open_accounts(path)
    token, text = issued(kept)
    for wrong in ("", ".", token.id, f"{token.id}.", text[:-1], f"{text}x", token.hash, "ü.ü"):
        assert kept.token_of(wrong) is None


def test_two_tokens_live_while_one_takes_the_place_of_the_other(path: Path) -> None:
    kept = open_accounts(path)
    old, old_text = issued(kept)
    new, new_text = kept.issue(5, ("read", "trade"), "bot")
    assert (kept.token_of(old_text), kept.token_of(new_text)) == (old, new)
    kept.revoke(old.id)
    assert (kept.token_of(old_text), kept.token_of(new_text)) == (None, new)


def test_users_and_their_tokens_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "USERS_MAX", 2)
    kept = open_accounts(path)
    issued(kept, 1)
    issued(kept, 2)
    with pytest.raises(AccountError, match="there can be 2 users"):
        kept.add_user(3, "")
    for _ in range(accounts.LIVE_TOKENS_MAX - 1):
        kept.issue(1, ("read",), "bot")
    with pytest.raises(AccountError, match="revoke one"):
        kept.issue(1, ("read",), "bot")
    kept.issue(2, ("read",), "bot")


def test_what_cannot_be_changed_is_said_with_its_code(path: Path) -> None:
    kept = open_accounts(path)
    issued(kept)
    codes = []
    for change in (
        lambda: kept.add_user(5, ""),
        lambda: kept.set_disabled(5, is_disabled=False),
        lambda: kept.set_disabled(6, is_disabled=True),
        lambda: kept.issue(6, ("read",), "bot"),
        lambda: kept.revoke("none"),
    ):
        with pytest.raises(AccountError) as caught:
            change()
        codes.append(caught.value.code)
    assert codes == ["name_taken", "unchanged", "not_found", "not_found", "not_found"]


def test_changes_of_many_at_once_all_count(path: Path) -> None:
    def add(first: int) -> None:
        kept = open_accounts(path)
        for user in range(first, first + 10):
            kept.add_user(user, "")

    threads = [threading.Thread(target=add, args=(first,)) for first in (100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(open_accounts(path).users()) == 30


@pytest.mark.parametrize("damage", [b"", b"{", b'{"users": 1}', b"\xff"])
def test_while_the_file_is_damaged_nobody_that_it_may_speak_of_is_let_in(
    path: Path, damage: bytes
) -> None:
    tokens = open_tokens(path.with_name("tokens"))
    _, text = issued(tokens.accounts)
    whole = path.read_bytes()
    path.write_bytes(damage)
    assert tokens.identity_of(text) is None
    assert tokens.identity_of(tokens.by_name["user-1"]) is None
    assert tokens.identity_of(tokens.by_name["admin"]) == Identity(None)
    with pytest.raises(AccountError, match="cannot be written"):
        tokens.accounts.add_user(9, "")
    assert path.read_bytes() == damage
    with pytest.raises(StartFailure, match="bring it back"):
        open_accounts(path)
    path.write_bytes(whole)
    assert tokens.user_of(text) == 5


def test_a_file_that_cannot_be_looked_at_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(StartFailure, match="cannot use the users"):
        open_accounts(tmp_path / ("x" * 300))


def test_a_file_that_others_can_use_is_refused(path: Path) -> None:
    issued(open_accounts(path))
    path.chmod(0o660)
    with pytest.raises(StartFailure, match="can be used by others"):
        open_accounts(path)
