"""Users and tokens that an administrator makes, through a running exchange."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from harness.processes import Server, start_accessws, start_exchange
from harness.site import site
from harness.websocket import Client
from viabtc.accessws.auth import Refused, Verdict, open_http_authenticator
from viabtc.client import RefusedError, StreamClient
from viabtc.contract.channels import PATH
from viabtc.rest.sites import AUTH, SIGN
from viabtc.service.tokens import open_tokens

DEADLINE_S = 60.0
"""A connection ends within a few seconds; this machine may be busy."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    directory = tmp_path_factory.mktemp("users")
    server = start_exchange(directory)
    yield server, directory / "data"
    assert server.stop() == 0, server.said()


def api(server: Server, token: str = "") -> httpx.Client:
    base = server.control.removesuffix("/control")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=f"{base}/api/v1", headers=headers, timeout=10)


def administrator(place: tuple[Server, Path]) -> httpx.Client:
    return api(place[0], open_tokens(place[1] / "tokens").by_name["admin"])


def status(client: httpx.Client, method: str, path: str, body: object = None) -> tuple[int, str]:
    response = client.request(method, path, json=body)
    code = "" if response.is_success else response.json()["error"]["code"]
    return response.status_code, code


def made(client: httpx.Client, path: str, body: object) -> dict[str, Any]:
    response = client.post(path, json=body)
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    return found


ORDER = {"market": "BTCUSDT", "side": "bid", "amount": "0.1", "price": "1"}


def test_a_user_trades_with_tokens_that_come_and_go(place: tuple[Server, Path]) -> None:
    server, data = place
    with administrator(place) as me:
        assert made(me, "/admin/users", {"id": 50, "name": "Ada"})["status"] == "active"
        assert status(me, "POST", "/admin/users", {"id": 50, "name": ""}) == (409, "name_taken")
        funds = {"user": 50, "asset": "USDT", "reason": "gift", "reason_id": 1, "change": "100"}
        made(me, "/admin/balance-updates", funds)
        wanted = {"user": 50, "scopes": ["read", "trade"], "label": "bot"}
        old = made(me, "/admin/tokens", wanted)
        with api(server, old["token"]) as user:
            assert status(user, "POST", "/orders", ORDER) == (201, "")
            new = made(me, "/admin/tokens", wanted)
            with api(server, new["token"]) as same:
                assert same.get("/balances").json() == user.get("/balances").json()
                assert status(me, "DELETE", f"/admin/tokens/{old['id']}") == (200, "")
                assert status(user, "GET", "/balances") == (401, "unauthenticated")
                assert status(same, "GET", "/balances") == (200, "")
                listed = me.get("/admin/tokens", params={"user": 50}).json()
                assert [token["id"] for token in listed] == [new["id"]]
                assert "token" not in listed[0]
                disabled = me.post("/admin/users/50/disable", json={"note": "asked for"}).json()
                assert disabled["status"] == "disabled"
                assert status(same, "GET", "/balances") == (401, "unauthenticated")
                assert status(me, "POST", "/admin/users/50/disable", {}) == (409, "unchanged")
                assert status(me, "POST", "/admin/users/50/enable", {}) == (200, "")
                assert status(same, "GET", "/balances") == (200, "")
    secrets = [token["token"].partition(".")[2] for token in (old, new)]
    for file in (data / "users.json", data / "audit"):
        assert not [secret for secret in secrets if secret in file.read_text()]


def test_a_disabled_user_is_refused_with_tokens_of_the_file_too(place: tuple[Server, Path]) -> None:
    server, data = place
    text = open_tokens(data / "tokens").by_name["user-2"]
    with administrator(place) as me, api(server, text) as user:
        made(me, "/admin/users", {"id": 2, "name": ""})
        assert status(user, "GET", "/balances") == (200, "")
        assert status(me, "POST", "/admin/users/2/disable", {}) == (200, "")
        assert status(user, "GET", "/balances") == (401, "unauthenticated")
        assert status(me, "POST", "/admin/users/2/enable", {}) == (200, "")


def test_the_websocket_knows_issued_tokens_and_learns_of_their_end(
    place: tuple[Server, Path],
) -> None:
    server, _ = place
    with administrator(place) as me:
        made(me, "/admin/users", {"id": 60, "name": ""})
        token = made(me, "/admin/tokens", {"user": 60, "scopes": ["read"], "label": "eye"})
        with Client(server.place("websocket")) as client:
            assert client.result("server.auth", token["token"], "test") == {"status": "success"}
        me.delete(f"/admin/tokens/{token['id']}").raise_for_status()
        with Client(server.place("websocket")) as client:
            assert client.call("server.auth", token["token"], "test")["error"]["code"] == 11


def ends(
    server: Server, path: str, method: str, *params: str | int, end: Callable[[], None]
) -> None:
    """Whether a connection that authenticated ends when `end` says so, with a reason."""
    with Client(server.place("websocket"), path) as client:
        assert client.call(method, *params)["error"] is None
        assert client.call("server.ping" if path == "/" else "ping")["result"] == "pong"
        end()
        with pytest.raises(ConnectionClosed) as closed:
            client.until(lambda: False, DEADLINE_S)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert "not valid any more" in closed.value.rcvd.reason


def test_an_open_websocket_ends_with_its_token_or_its_user(place: tuple[Server, Path]) -> None:
    server, data = place
    known = open_tokens(data / "tokens").by_name["user-1"]
    with administrator(place) as me, Client(server.place("websocket")) as other:
        assert other.result("server.auth", known, "test") == {"status": "success"}
        made(me, "/admin/users", {"id": 62, "name": ""})
        wanted = {"user": 62, "scopes": ["read"], "label": "eye"}
        for path, method, more in (("/", "server.auth", ["test"]), (PATH, "auth", [])):
            first, second = (made(me, "/admin/tokens", wanted) for _ in range(2))

            def revoke(token: str = first["id"]) -> None:
                me.delete(f"/admin/tokens/{token}").raise_for_status()

            def disable() -> None:
                assert status(me, "POST", "/admin/users/62/disable", {}) == (200, "")

            ends(server, path, method, first["token"], *more, end=revoke)
            ends(server, path, method, second["token"], *more, end=disable)
            assert status(me, "POST", "/admin/users/62/enable", {}) == (200, "")
        assert other.result("server.ping") == "pong"


def test_a_client_whose_token_ended_is_told_and_goes_on_with_what_is_everybodys(
    place: tuple[Server, Path],
) -> None:
    server, _ = place
    host, port = server.place("websocket")
    with administrator(place) as me:
        made(me, "/admin/users", {"id": 64, "name": ""})
        wanted = {"user": 64, "scopes": ["read", "trade"], "label": "bot"}
        token, kept = (made(me, "/admin/tokens", wanted) for _ in range(2))
        funds = {"user": 64, "asset": "USDT", "reason": "gift", "reason_id": 64, "change": "100"}
        made(me, "/admin/balance-updates", funds)

        async def watch() -> None:
            url = f"ws://{host}:{port}"
            async with (
                asyncio.timeout(DEADLINE_S),
                StreamClient(url, token=token["token"]) as client,
            ):
                await client.subscribe("balances", "bbo:BTCUSDT")
                heard = {(await anext(client)).channel for _ in range(2)}
                assert heard == {"balances", "bbo:BTCUSDT"}
                await asyncio.to_thread(me.delete, f"/admin/tokens/{token['id']}")
                with pytest.raises(RefusedError, match="invalid token"):
                    await anext(client)
                with api(server, kept["token"]) as user:
                    order = {**ORDER, "price": "2"}
                    placed = await asyncio.to_thread(status, user, "POST", "/orders", order)
                    assert placed == (201, "")
                message = await anext(client)
                assert message.channel == "bbo:BTCUSDT"
                assert message.data["bid"] == ["2", "0.1"]

        asyncio.run(watch())


def test_in_front_of_an_auth_url_a_websocket_ends_with_its_token(
    place: tuple[Server, Path], tmp_path: Path
) -> None:
    exchange, _ = place
    url = exchange.control.removesuffix("/control") + AUTH
    services = {"matchengine": [exchange.place("rpc")]}
    server = start_accessws(tmp_path, services, url, own={"auth_recheck": 0.2})
    with administrator(place) as me:
        made(me, "/admin/users", {"id": 63, "name": ""})
        wanted = {"user": 63, "scopes": ["read"], "label": "eye"}
        token, kept = (made(me, "/admin/tokens", wanted) for _ in range(2))

        def revoke() -> None:
            me.delete(f"/admin/tokens/{token['id']}").raise_for_status()

        with Client(server.place("websocket")) as other:
            assert other.result("server.auth", kept["token"], "test") == {"status": "success"}
            ends(server, "/", "server.auth", token["token"], "test", end=revoke)
            assert other.result("asset.query", "BTC") == {"BTC": {"available": "0", "freeze": "0"}}
    assert server.stop() == 0, server.said()


def test_a_websocket_that_was_signed_for_ends_at_an_age_unless_it_signs_again(
    place: tuple[Server, Path], tmp_path: Path
) -> None:
    exchange, _ = place
    services = {"matchengine": [exchange.place("rpc")]}
    with site() as url:
        own = {"sign_lifetime": 1, "auth_recheck": 0.2}
        server = start_accessws(tmp_path, services, url, own=own)
        with (
            Client(server.place("websocket")) as by_token,
            Client(server.place("websocket")) as both,
        ):
            assert by_token.result("server.auth", "user-7", "test") == {"status": "success"}
            assert both.result("server.sign", "id", "user-8", 1) == {"status": "success"}
            assert both.result("server.auth", "user-8", "test") == {"status": "success"}
            ends(server, "/", "server.sign", "id", "user-7", 1, end=lambda: None)
            # Older than what ended: it would have ended before, had it stood on its signature.
            for client in (by_token, both):
                assert client.result("asset.query", "BTC")["BTC"]["available"] == "0"
        assert server.stop() == 0, server.said()


def test_a_service_at_sign_url_is_told_that_tokens_sign_nothing(
    place: tuple[Server, Path],
) -> None:
    server, data = place
    url = server.control.removesuffix("/control") + SIGN
    known = open_tokens(data / "tokens").by_name

    async def ask() -> Verdict:
        async with open_http_authenticator(url, url, 10) as authenticator:
            return await authenticator.sign("user-1", known["user-1"], 1)

    verdict = asyncio.run(ask())
    assert isinstance(verdict, Refused)
    assert verdict.code == 11
    with Client(server.place("websocket")) as client:
        answer = client.call("server.sign", "user-1", known["user-1"], 1)
    assert answer["error"] == {"code": 11, "message": verdict.message}


def test_a_service_at_auth_url_learns_who_a_token_stands_for(place: tuple[Server, Path]) -> None:
    server, data = place
    url = server.control.removesuffix("/control") + AUTH
    known = open_tokens(data / "tokens").by_name

    async def ask(*texts: str) -> list[Verdict]:
        async with open_http_authenticator(url, url, 10) as authenticator:
            return [await authenticator.auth(text) for text in texts]

    with administrator(place) as me:
        made(me, "/admin/users", {"id": 61, "name": ""})
        token = made(me, "/admin/tokens", {"user": 61, "scopes": ["read"], "label": "eye"})
        texts = (token["token"], known["user-1"], known["admin"], "wrong")
        refused = Refused(11, "invalid token")
        assert asyncio.run(ask(*texts)) == [61, 1, refused, refused]
        me.delete(f"/admin/tokens/{token['id']}").raise_for_status()
        assert asyncio.run(ask(token["token"])) == [refused]


def test_users_are_listed_in_pages(place: tuple[Server, Path]) -> None:
    with administrator(place) as me:
        for user in range(1000, 1007):
            made(me, "/admin/users", {"id": user, "name": f"number {user}"})
        seen: list[int] = []
        cursor: dict[str, str] = {}
        while True:
            page = me.get("/admin/users", params={"limit": 3, **cursor}).json()
            assert len(page["items"]) <= 3
            seen += [user["id"] for user in page["items"]]
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
        assert seen == sorted(set(seen), reverse=True)
        assert {1000, 1006} <= set(seen)


def test_an_administrator_with_a_token_of_its_own_is_named(place: tuple[Server, Path]) -> None:
    server, data = place
    with administrator(place) as me:
        token = made(me, "/admin/tokens", {"scopes": ["admin"], "label": "grace"})
        with api(server, token["token"]) as grace:
            assert status(grace, "POST", "/admin/markets/ETHBTC/halt", {}) == (200, "")
            assert status(grace, "POST", "/admin/markets/ETHBTC/resume", {}) == (200, "")
            assert status(me, "DELETE", f"/admin/tokens/{token['id']}") == (200, "")
            assert status(grace, "GET", "/admin/state") == (401, "unauthenticated")
    lines = [json.loads(line) for line in (data / "audit").read_text().splitlines()]
    halts = [line["actor"] for line in lines if line["action"].endswith("ETHBTC/halt")]
    assert halts == ["admin/grace", "admin/grace"]


@pytest.mark.parametrize(
    "body",
    [
        {"user": 1, "scopes": ["admin"], "label": "x"},
        {"user": 1, "scopes": ["admin", "read"], "label": "x"},
        {"user": 1, "scopes": ["read", "read"], "label": "x"},
        {"user": 1, "scopes": [], "label": "x"},
        {"scopes": ["read"], "label": "x"},
        {"scopes": ["admin", "admin"], "label": "x"},
        {"user": 1, "scopes": ["read"], "label": "a b"},
        {"user": 1, "scopes": ["read"], "label": "a\n"},
        {"user": 0, "scopes": ["read"], "label": "x"},
        {"user": 1, "scopes": ["withdraw"], "label": "x"},
    ],
)
def test_what_is_no_token_to_issue_is_refused(place: tuple[Server, Path], body: object) -> None:
    with administrator(place) as me:
        assert status(me, "POST", "/admin/tokens", body) == (400, "invalid_argument")
