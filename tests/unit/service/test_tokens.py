"""The token file of the embedded exchange."""

import stat
from pathlib import Path

import pytest

from viabtc.service.failure import StartFailure
from viabtc.service.tokens import Identity, open_tokens


def test_a_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "tokens"
    tokens = open_tokens(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tokens.by_name) == ["admin", "user-1", "user-2"]
    assert len(set(tokens.by_name.values())) == 3
    assert open_tokens(path).by_name == tokens.by_name


def test_a_token_stands_for_one_identity(tmp_path: Path) -> None:
    tokens = open_tokens(tmp_path / "tokens")
    assert tokens.identity_of(tokens.by_name["admin"]) == Identity(None)
    assert tokens.user_of(tokens.by_name["admin"]) is None
    assert tokens.user_of(tokens.by_name["user-2"]) == 2
    for wrong in ("", "x", tokens.by_name["admin"][:-1], "ü"):
        assert tokens.identity_of(wrong) is None


@pytest.mark.parametrize(
    "text", ["admin\n", "root abc\n", "user-x abc\n", "user-4294967296 a\n", "admin a\nadmin b\n"]
)
def test_a_line_that_is_no_token_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens"
    path.touch(mode=0o600)
    path.write_text(text)
    with pytest.raises(StartFailure, match=r"line [12] of .* is no token"):
        open_tokens(path)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    open_tokens(path)
    path.chmod(0o644)
    with pytest.raises(StartFailure, match="can be used by others"):
        open_tokens(path)
