"""Users and their tokens that administrators make: kept as hashes, in a file that processes share.

A token is `ID.SECRET`; the file holds its id and the SHA-256 of all of it. The file is replaced
whole, so a reader sees all of a change or nothing; every process looks for a newer one at most
`LOOK_NS` after it came. While the file cannot be read, nobody that it could speak of is let in.
"""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from viabtc.service.failure import StartFailure
from viabtc.service.private import check_private, locked, sync_folder, write_fresh

LOOK_NS: Final = 100_000_000
"""Age in nanoseconds at which it is looked whether the file has changed."""

USERS_MAX: Final = 10_000
"""Most users; the file is written whole with each change."""

LIVE_TOKENS_MAX: Final = 8
"""Most tokens of a user, or of all administrators, at a time: a new one before the old one goes."""

READ: Final = "read"
TRADE: Final = "trade"
ADMINISTRATION: Final = "admin"

_ID_BYTES: Final = 6
_SECRET_BYTES: Final = 24

T = TypeVar("T")


class AccountError(Exception):
    """A change that cannot be: a stable code of the API, and what stands in the way."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Account(msgspec.Struct, frozen=True):
    """A user who may have tokens."""

    id: int
    name: str
    created_at: int
    """Microseconds since 1970-01-01 UTC."""
    is_disabled: bool = False


class Token(msgspec.Struct, frozen=True):
    """A token without its secret."""

    id: str
    user: int | None
    """None for an administrator's."""
    scopes: tuple[str, ...]
    label: str
    created_at: int
    hash: str


class _Stored(msgspec.Struct):
    users: list[Account] = []
    tokens: list[Token] = []


@dataclass(slots=True)
class _State:
    users: dict[int, Account] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)


class Accounts:
    """The users and tokens of a file; `open_accounts` makes one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: _State | None = None
        """What the file said when it was last read; None when it could not be read."""
        self._seen: tuple[int, int, int] | None = None
        self._looked_ns = 0

    def token_of(self, text: str) -> Token | None:
        """The token, unless it was revoked or its user is disabled."""
        state = self._now()
        if state is None:
            return None
        token = state.tokens.get(text.partition(".")[0])
        # What is compared are hashes: how far they agree tells nothing about the token.
        if token is None or not secrets.compare_digest(token.hash, _hash(text)):
            return None
        user = None if token.user is None else state.users.get(token.user)
        is_usable = token.user is None or (user is not None and not user.is_disabled)
        return token if is_usable else None

    def version(self) -> object:
        """Equal to what it was as long as nothing changed, at most `LOOK_NS` ago."""
        state = self._now()
        return self._seen if state is not None else "unreadable"

    def may_act(self, user: int) -> bool:
        """Whether a user who has a token from elsewhere is not disabled here."""
        state = self._now()
        if state is None:
            return False
        account = state.users.get(user)
        return account is None or not account.is_disabled

    def users(self) -> list[Account]:
        """All users, the highest id first."""
        return sorted(self._read().users.values(), key=lambda user: -user.id)

    def tokens(self) -> list[Token]:
        """All live tokens, the newest first."""
        return list(self._read().tokens.values())[::-1]

    def add_user(self, user: int, name: str) -> Account:
        """Makes a user. It blocks, as all changes do.

        Raises:
            AccountError: there is one of this id, or there are too many.
        """

        def change(state: _State) -> Account:
            if user in state.users:
                raise AccountError("name_taken", f"there is a user {user} already")
            if len(state.users) >= USERS_MAX:
                raise AccountError("not_possible", f"there can be {USERS_MAX} users")
            state.users[user] = Account(user, name, _now_us())
            return state.users[user]

        return self._change(change)

    def set_disabled(self, user: int, *, is_disabled: bool) -> Account:
        """Lets a user in no more, or again; tokens stay.

        Raises:
            AccountError: there is none, or nothing changes.
        """

        def change(state: _State) -> Account:
            account = _user(state, user)
            if account.is_disabled is is_disabled:
                word = "disabled" if is_disabled else "active"
                raise AccountError("unchanged", f"user {user} is {word} already")
            state.users[user] = msgspec.structs.replace(account, is_disabled=is_disabled)
            return state.users[user]

        return self._change(change)

    def issue(self, user: int | None, scopes: tuple[str, ...], label: str) -> tuple[Token, str]:
        """Makes a token, and its text, which nothing keeps.

        Raises:
            AccountError: there is no such user, or it has too many.
        """

        def change(state: _State) -> tuple[Token, str]:
            if user is not None:
                _user(state, user)
            live = sum(token.user == user for token in state.tokens.values())
            if live >= LIVE_TOKENS_MAX:
                reason = f"there are {live} tokens already, and more cannot be: revoke one"
                raise AccountError("not_possible", reason)
            token_id = secrets.token_hex(_ID_BYTES)
            text = f"{token_id}.{secrets.token_urlsafe(_SECRET_BYTES)}"
            token = Token(token_id, user, scopes, label, _now_us(), _hash(text))
            state.tokens[token_id] = token
            return token, text

        return self._change(change)

    def revoke(self, token_id: str) -> Token:
        """Ends a token.

        Raises:
            AccountError: there is none of this id.
        """

        def change(state: _State) -> Token:
            token = state.tokens.pop(token_id, None)
            if token is None:
                raise AccountError("not_found", f"there is no token {token_id}")
            return token

        return self._change(change)

    def _now(self) -> _State | None:
        """What the file says, at most `LOOK_NS` old."""
        now_ns = time.monotonic_ns()
        if self._looked_ns == 0 or now_ns - self._looked_ns >= LOOK_NS:
            self._looked_ns = now_ns
            try:
                seen = self._stamp()
                if self._state is None or seen != self._seen:
                    self._state, self._seen = self._load(), seen
            except (OSError, ValueError):
                self._state = None
        return self._state

    def _read(self) -> _State:
        """What the file says now.

        Raises:
            AccountError: it cannot be read.
        """
        try:
            return self._load()
        except (OSError, ValueError) as error:
            raise AccountError("service_unavailable", "the file of users cannot be read") from error

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _load(self) -> _State:
        try:
            stored = msgspec.json.decode(self._path.read_bytes(), type=_Stored)
        except FileNotFoundError:
            stored = _Stored()
        return _State(
            {user.id: user for user in stored.users}, {token.id: token for token in stored.tokens}
        )

    def _change(self, change: Callable[[_State], T]) -> T:
        try:
            with locked(self._path):
                state = self._load()
                result = change(state)
                self._store(state)
        except (OSError, ValueError) as error:
            reason = "the file of users cannot be written"
            raise AccountError("service_unavailable", reason) from error
        self._looked_ns = 0
        return result

    def _store(self, state: _State) -> None:
        stored = _Stored(list(state.users.values()), list(state.tokens.values()))
        data = msgspec.json.format(msgspec.json.encode(stored))
        write_fresh(self._path, data).replace(self._path)
        sync_folder(self._path.parent)


def open_accounts(path: Path) -> Accounts:
    """The users and tokens in `path`, which is made with the first of them.

    Raises:
        StartFailure: others may use the file, or it cannot be read.
    """
    advice = "name a file that this service may use, such as one of its own"
    check_private(path, "the users in", advice)
    accounts = Accounts(path)
    try:
        accounts.users()
    except AccountError as error:
        raise StartFailure(f"{path}: {error.reason}", "bring it back from a copy") from error
    return accounts


def _user(state: _State, user: int) -> Account:
    account = state.users.get(user)
    if account is None:
        raise AccountError("not_found", f"there is no user {user}; make it first")
    return account


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _now_us() -> int:
    return time.time_ns() // 1_000
