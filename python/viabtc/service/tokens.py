"""Bearer tokens of the embedded exchange: who may act as whom, until keys exist.

The file holds one line a token: identity, blank, token. Identities are `admin` and `user-<id>`.
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from viabtc.service.accounts import TRADE, Accounts, open_accounts
from viabtc.service.failure import EXIT_CONFIGURATION, StartFailure
from viabtc.service.private import check_private

ADMIN: Final = "admin"

DEMO_USERS: Final = (1, 2)
"""Users that get a token when the file is made."""

USERS: Final = "users.json"
"""File beside the tokens with the users and tokens that administrators make."""

NO_SIGNATURES: Final = "no signatures are taken here: use server.auth with a token"
"""Answer to `server.sign`: of tokens only hashes are kept, and no signature can be checked."""

_MODE: Final = 0o600
_USER: Final = "user-"
_TOKEN_BYTES: Final = 24
_USER_ID_MAX: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token stands for."""

    user: int | None
    """None for the administrator."""
    may_trade: bool = True
    """Whether orders may be placed and cancelled; of a user."""
    label: str = ""
    """Of an administrator's token that was issued."""

    @property
    def is_admin(self) -> bool:
        """Whether administration is allowed."""
        return self.user is None

    @property
    def actor(self) -> str:
        """Who it is in journal and audit log."""
        if self.user is not None:
            return f"{_USER}{self.user}"
        return f"{ADMIN}/{self.label}" if self.label else ADMIN


class Tokens:
    """The tokens of a file, and those that administrators issue."""

    def __init__(self, by_name: Mapping[str, str], accounts: Accounts) -> None:
        self.by_name = dict(by_name)
        """Identity to token, in the order of the file."""
        self.accounts = accounts

    def identity_of(self, token: str) -> Identity | None:
        """Who the token stands for; None when nobody. Takes the same time for every wrong token."""
        found = None
        for name, known in self.by_name.items():
            if secrets.compare_digest(known.encode(), token.encode()):
                user = None if name == ADMIN else int(name.removeprefix(_USER))
                found = Identity(user)
        if found is not None:
            is_usable = found.user is None or self.accounts.may_act(found.user)
            return found if is_usable else None
        issued = self.accounts.token_of(token)
        if issued is None:
            return None
        return Identity(issued.user, may_trade=TRADE in issued.scopes, label=issued.label)

    def user_of(self, token: str) -> int | None:
        """The user that the token stands for; None for the administrator's and unknown ones."""
        identity = self.identity_of(token)
        return None if identity is None else identity.user


def open_tokens(path: Path, users: Path | None = None) -> Tokens:
    """Reads the file; makes it with an administrator and the demo users when it is not there.

    Raises:
        StartFailure: it cannot be read or made, or others may read it.
    """
    accounts = open_accounts(users or path.with_name(USERS))
    try:
        if not path.exists():
            _make(path)
        check_private(path, "the tokens in", "check the folder's permissions")
        return Tokens(_parse(path, path.read_text(encoding="utf-8")), accounts)
    except OSError as error:
        raise StartFailure(
            f"cannot use the tokens in {path}: {error.strerror}", "check the folder's permissions"
        ) from error


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [ADMIN, *(f"{_USER}{user}" for user in DEMO_USERS)]
    lines = "".join(f"{name} {secrets.token_urlsafe(_TOKEN_BYTES)}\n" for name in names)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "w") as file:
        file.write(lines)


def _parse(path: Path, text: str) -> dict[str, str]:
    tokens: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, _, token = line.partition(" ")
        if not line or line.startswith("#"):
            continue
        user = name.removeprefix(_USER)
        is_user = name.startswith(_USER) and user.isdecimal() and int(user) <= _USER_ID_MAX
        if not token or name in tokens or not (name == ADMIN or is_user):
            raise StartFailure(
                f"line {number} of {path} is no token",
                "write `admin TOKEN` or `user-ID TOKEN`, each once, or remove the file",
                EXIT_CONFIGURATION,
            )
        tokens[name] = token
    return tokens
