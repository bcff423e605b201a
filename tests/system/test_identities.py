"""Every route of the public API against every identity; nothing of another user is seen or done.

The table has a row for each route of the application itself: a route without one fails the first
test.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import structlog
from fastapi import FastAPI
from starlette.routing import Mount, Route

from harness.processes import start_exchange
from viabtc.rest.app import build_app
from viabtc.rest.context import PREFIX, Desk, Fees
from viabtc.rest.exchange import Exchange
from viabtc.rest.limits import OrderPace, Pace
from viabtc.rest.pages import PageSettings
from viabtc.rest.sites import AUTH, SIGN
from viabtc.service.auditlog import open_audit_log
from viabtc.service.tokens import open_tokens


class Audience(Enum):
    """Who may ask."""

    EVERYBODY = "everybody"
    USERS = "users, with any token"
    TRADERS = "users, with a token that may trade"
    ADMINISTRATORS = "administrators"


VICTIM, OTHER, COUNTERPARTY = 1, 2, 80

NOBODY: Final = frozenset({"none", "malformed", "wrong", "revoked", "disabled", "retired"})
"""Identities that stand for nobody: no token, none that there is, none that counts any more."""

ROLES: Final = {
    "reader": frozenset({Audience.USERS}),
    "trader": frozenset({Audience.USERS, Audience.TRADERS}),
    "user": frozenset({Audience.USERS, Audience.TRADERS}),
    "other": frozenset({Audience.USERS, Audience.TRADERS}),
    "admin": frozenset({Audience.ADMINISTRATORS}),
    "second admin": frozenset({Audience.ADMINISTRATORS}),
}
"""What the others are; scopes of tokens and the token file say so."""

IDENTITIES: Final = (*sorted(NOBODY), *ROLES)


@dataclass(frozen=True)
class Row:
    """A route, and what comes of a request to it by somebody who may."""

    method: str
    path: str
    """As the route has it."""
    audience: Audience
    statuses: tuple[int, ...] = (200,)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: object = None

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


VALUES: Final = {
    "market": "ETHBTC",
    "asset": "BTC",
    "user_id": "70",
    "order_id": str(2**62),
    "client_order_id": "nobodys",
    "token_id": "none",
}
"""For the parts of addresses."""

MARKET: Final = {"market": "ETHBTC"}
ORDER: Final = {"market": "BTCUSDT", "side": "bid", "amount": "0.1", "price": "1"}
UPDATE: Final = {"user": 70, "asset": "BTC", "reason": "x", "reason_id": 1, "change": "1"}
PUBLIC: Final = Audience.EVERYBODY


def api(method: str, path: str, *rest: Any, **options: Any) -> Row:
    return Row(method, f"{PREFIX}{path}", *rest, **options)


_NEW_MARKET: Final = {
    "name": "ETHBTC",
    "base": "ETH",
    "quote": "BTC",
    "amount_decimals": 1,
    "price_decimals": 1,
    "min_amount": "1",
}
_CANDLES: Final = {"start": 1, "end": 2, "interval": 60}
_UDF: Final = {"symbol": "ETHBTC", "resolution": "1", "from": 1, "to": 2}
_NAMED: Final = "/markets/{market}/orders/by-client-id/{client_order_id}"

ROWS: Final = (
    Row("GET", "/", PUBLIC),
    Row("GET", "/page.json", PUBLIC),
    Row("GET", "/docs", PUBLIC),
    Row("GET", AUTH, PUBLIC),
    Row("GET", SIGN, PUBLIC),
    api("GET", "/openapi.json", PUBLIC),
    api("GET", "/time", PUBLIC),
    api("GET", "/assets", PUBLIC),
    api("GET", "/markets", PUBLIC),
    api("GET", "/tickers", PUBLIC),
    api("GET", "/markets/{market}/ticker", PUBLIC),
    api("GET", "/markets/{market}/depth", PUBLIC),
    api("GET", "/markets/{market}/trades", PUBLIC),
    api("GET", "/markets/{market}/candles", PUBLIC, query=_CANDLES),
    api("GET", "/udf/config", PUBLIC),
    api("GET", "/udf/time", PUBLIC),
    api("GET", "/udf/symbols", PUBLIC, query={"symbol": "ETHBTC"}),
    api("GET", "/udf/search", PUBLIC),
    api("GET", "/udf/history", PUBLIC, query=_UDF),
    api("GET", "/balances", Audience.USERS),
    api("GET", "/balances/history", Audience.USERS),
    api("GET", "/orders/open", Audience.USERS, query=MARKET),
    api("GET", "/orders/finished", Audience.USERS, query=MARKET),
    api("GET", "/trades", Audience.USERS, query=MARKET),
    api("GET", "/markets/{market}/orders/{order_id}", Audience.USERS, (404,)),
    api("GET", _NAMED, Audience.USERS, (404,)),
    # Some have no funds.
    api("POST", "/orders", Audience.TRADERS, (201, 422), body=ORDER),
    api("DELETE", "/markets/{market}/orders/{order_id}", Audience.TRADERS, (404,)),
    api("DELETE", _NAMED, Audience.TRADERS, (404,)),
    api("POST", "/admin/balance-updates", Audience.ADMINISTRATORS, (201, 409), body=UPDATE),
    api("GET", "/admin/users/{user_id}/balances", Audience.ADMINISTRATORS),
    api("GET", "/admin/state", Audience.ADMINISTRATORS),
    api("POST", "/admin/markets/{market}/halt", Audience.ADMINISTRATORS, body={}),
    api("POST", "/admin/markets/{market}/resume", Audience.ADMINISTRATORS, body={}),
    api("POST", "/admin/markets", Audience.ADMINISTRATORS, (409,), body=_NEW_MARKET),
    api("PATCH", "/admin/markets/{market}", Audience.ADMINISTRATORS, (400,), body={}),
    api(
        "POST",
        "/admin/assets",
        Audience.ADMINISTRATORS,
        (409,),
        body={"name": "BTC", "decimals_kept": 8, "decimals": 8},
    ),
    api("PATCH", "/admin/assets/{asset}", Audience.ADMINISTRATORS, (400,), body={}),
    api(
        "POST", "/admin/users", Audience.ADMINISTRATORS, (201, 409), body={"id": 70, "name": "Ada"}
    ),
    api("GET", "/admin/users", Audience.ADMINISTRATORS),
    api("POST", "/admin/users/{user_id}/disable", Audience.ADMINISTRATORS, body={}),
    api("POST", "/admin/users/{user_id}/enable", Audience.ADMINISTRATORS, body={}),
    api(
        "POST",
        "/admin/tokens",
        Audience.ADMINISTRATORS,
        (201,),
        body={"user": 70, "scopes": ["read"], "label": "x"},
    ),
    api("GET", "/admin/tokens", Audience.ADMINISTRATORS),
    api("DELETE", "/admin/tokens/{token_id}", Audience.ADMINISTRATORS, (404,)),
)

UNDONE_BY: Final = {"disable": "enable", "enable": "disable", "halt": "resume", "resume": "halt"}
"""What has to come before a route that changes something so that it changes it."""

FOLDERS: Final = {"/page"}
"""Files for everybody."""


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of everything that the app answers."""
    for route in app.routes:
        if isinstance(route, Mount):
            assert route.path in FOLDERS, "a mounted app needs rows of its own"
            continue
        assert isinstance(route, Route), route
        for method in sorted((route.methods or set()) - {"HEAD"}):
            yield method, route.path


def test_every_route_of_the_app_has_a_row_and_every_row_a_route(tmp_path: Path) -> None:
    audit = open_audit_log(tmp_path / "audit", structlog.get_logger())
    desk = Desk(Exchange({}), Fees(), OrderPace(Pace()))
    app = build_app(desk, open_tokens(tmp_path / "tokens"), audit, PageSettings())
    assert sorted(routes(app)) == sorted((row.method, row.path) for row in ROWS)


class Place:
    """A running exchange, and what each identity sends."""

    def __init__(self, client: httpx.Client, headers: dict[str, dict[str, str]]) -> None:
        self.client = client
        self.headers = headers

    def ask(self, identity: str, method: str, path: str, **options: Any) -> httpx.Response:
        return self.client.request(method, path, headers=self.headers[identity], **options)

    def made(self, identity: str, path: str, body: object) -> dict[str, Any]:
        response = self.ask(identity, "POST", f"{PREFIX}{path}", json=body)
        assert response.status_code == 201, response.text
        found: dict[str, Any] = response.json()
        return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("identities")
    server = start_exchange(directory)
    known = open_tokens(directory / "data" / "tokens").by_name
    headers: dict[str, dict[str, str]] = {
        "none": {},
        "malformed": {"Authorization": f"Basic {known['user-1']}"},
        "wrong": bearer("0.0"),
        "user": bearer(known[f"user-{VICTIM}"]),
        "other": bearer(known[f"user-{OTHER}"]),
        "admin": bearer(known["admin"]),
    }
    base = server.control.removesuffix("/control")
    with httpx.Client(base_url=base, timeout=30) as client:
        place = Place(client, headers)
        for user in (70, COUNTERPARTY, 81):
            place.made("admin", "/admin/users", {"id": user, "name": ""})
        for name, number, scopes in (
            ("reader", COUNTERPARTY, ["read"]),
            ("trader", COUNTERPARTY, ["trade"]),
            ("revoked", COUNTERPARTY, ["read", "trade"]),
            ("disabled", 81, ["read", "trade"]),
            ("second admin", None, ["admin"]),
            ("retired", None, ["admin"]),
        ):
            wanted = {"user": number, "scopes": scopes, "label": name.replace(" ", "-")}
            token = place.made("admin", "/admin/tokens", wanted)
            headers[name] = bearer(token["token"])
            if name in {"revoked", "retired"}:
                path = f"{PREFIX}/admin/tokens/{token['id']}"
                assert place.ask("admin", "DELETE", path).status_code == 200
        path = f"{PREFIX}/admin/users/81/disable"
        assert place.ask("admin", "POST", path, json={}).status_code == 200
        assert set(headers) == set(IDENTITIES)
        yield place
    assert server.stop() == 0, server.said()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def refusal(row: Row, identity: str) -> tuple[int, str] | None:
    """Status and code for an identity that may not; None for one that may."""
    if row.audience is Audience.EVERYBODY:
        return None
    if identity in NOBODY:
        return 401, "unauthenticated"
    return None if row.audience in ROLES[identity] else (403, "forbidden")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_identity_gets_what_its_token_allows(place: Place, row: Row) -> None:
    path = row.path.format(**VALUES)
    last = path.rpartition("/")[2]
    for identity in IDENTITIES:
        refused = refusal(row, identity)
        if last in UNDONE_BY:
            before = path.removesuffix(last) + UNDONE_BY[last]
            assert place.ask("admin", "POST", before, json={}).status_code in {200, 409}
        response = place.ask(identity, row.method, path, params=row.query, json=row.body)
        if refused is None:
            assert response.status_code in row.statuses, (identity, response.text)
        else:
            found = (response.status_code, response.json()["error"]["code"])
            assert found == refused, (identity, response.text)
            assert ("www-authenticate" in response.headers) is (refused[0] == 401)


SAME: Final = [
    row
    for row in ROWS
    # The others are about who asks, or about now.
    if row.audience is PUBLIC and row.path != AUTH and not row.path.endswith("/time")
]


@pytest.mark.parametrize("row", SAME, ids=lambda row: row.name)
def test_public_routes_tell_everybody_the_same(place: Place, row: Row) -> None:
    path = row.path.format(**VALUES)
    answers = {
        place.ask(identity, row.method, path, params=row.query).content for identity in IDENTITIES
    }
    assert len(answers) == 1


SECRETS: Final = ("0.01234567", "4321.87654321", "0.07654321", "victims-gift", "victims-name")
"""What stands in the victim's orders, deals and balances, and nowhere else."""


@pytest.fixture(scope="module")
def owned(place: Place) -> dict[str, str]:
    """Addresses and cursors of what the victim has."""
    gift = {"asset": "BTC", "reason": "victims-gift", "reason_id": 1, "change": "0.00000042"}
    place.made("admin", "/admin/balance-updates", {"user": VICTIM, **gift})
    funds = {"user": COUNTERPARTY, "asset": "BTC", "reason": "funds", "reason_id": 1, "change": "1"}
    place.made("admin", "/admin/balance-updates", funds)
    bid = {"market": "BTCUSDT", "side": "bid"}
    dealt = {**bid, "amount": "0.07654321", "price": "4321.87654321"}
    finished = place.made("user", "/orders", dealt)
    place.made("trader", "/orders", {**dealt, "side": "ask"})
    named = {"amount": "0.01234567", "price": "99", "client_order_id": "victims-name"}
    resting = [place.made("user", "/orders", {**bid, **named})]
    resting += [place.made("user", "/orders", {**bid, "amount": "0.01234567", "price": "98"})]
    query = {"market": "BTCUSDT", "limit": 1}
    page = place.ask("user", "GET", f"{PREFIX}/orders/open", params=query).json()
    assert page["next"]
    # The history follows: before it has them there is nothing of it that others could see.
    until_told(place, "/balances/history", "victims-gift")
    until_told(place, "/orders/finished", SECRETS[2])
    until_told(place, "/trades", SECRETS[2])
    return {
        "market": "BTCUSDT",
        "open": str(resting[0]["id"]),
        "finished": str(finished["id"]),
        "client_order_id": "victims-name",
        "cursor": page["next"],
    }


def until_told(place: Place, path: str, text: str) -> None:
    """Waits until the victim is told of something."""
    deadline = time.monotonic() + 60
    market = {"market": "BTCUSDT"}
    while text not in (found := place.ask("user", "GET", f"{PREFIX}{path}", params=market).text):
        assert time.monotonic() < deadline, found


def state(place: Place) -> list[Any]:
    """All that the victim has, as the administrator and the victim see it."""
    market = {"market": "BTCUSDT"}
    return [
        place.ask("admin", "GET", f"{PREFIX}/admin/users/{VICTIM}/balances").json(),
        place.ask("user", "GET", f"{PREFIX}/orders/open", params=market).json(),
    ]


def test_the_secrets_are_seen_by_their_owner(place: Place, owned: dict[str, str]) -> None:
    market = {"market": owned["market"]}
    opened = place.ask("user", "GET", f"{PREFIX}/orders/open", params=market).text
    assert SECRETS[0] in opened
    assert SECRETS[4] in opened
    for path, secret in (("balances/history", SECRETS[3]), ("orders/finished", SECRETS[1])):
        told = place.ask("user", "GET", f"{PREFIX}/{path}", params=market).text
        assert secret in told


@pytest.mark.parametrize("identity", ["other", "none"])
@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.audience is not PUBLIC], ids=lambda row: row.name
)
def test_with_the_ids_of_another_nothing_of_another_is_seen_or_done(
    place: Place, owned: dict[str, str], row: Row, identity: str
) -> None:
    before = state(place)
    extras: tuple[dict[str, Any], ...] = (
        {},
        {"user": VICTIM},
        {"user_id": VICTIM},
        {"user_id": [OTHER, VICTIM]},
        {"cursor": owned["cursor"]},
        {"limit": 100},
    )
    for order in (owned["open"], owned["finished"]):
        values = {**VALUES, **owned, "order_id": order, "user_id": str(VICTIM)}
        path = row.path.format(**values)
        for extra in extras:
            query = {**row.query, **extra}
            if "market" in query:
                query["market"] = owned["market"]
            body = row.body
            if isinstance(body, dict) and extra:
                body = {**body, **extra}
            response = place.ask(identity, row.method, path, params=query, json=body)
            assert response.status_code < 500, response.text
            assert not [text for text in SECRETS if text in response.text], response.text
            if "{order_id}" in row.path or "{client_order_id}" in row.path:
                assert response.status_code in {401, 404}
    assert state(place) == before
