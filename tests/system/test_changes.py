"""Markets and assets that change while the exchange runs, and every service that learns of it."""

import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness import http, rpc
from harness.configs import small_config
from harness.processes import (
    VIABTC,
    Place,
    Server,
    start_accesshttp,
    start_exchange,
    start_matchengine,
    start_rest,
)
from viabtc.service.tokens import open_tokens

LISTING = ("asset", "add", "ETH", "--prec-save", "16", "--prec-show", "8")
OPENING = (
    *("market", "add", "ETHUSDT", "--stock", "ETH", "--money", "USDT", "--min-amount", "0.01"),
    *("--stock-prec", "4", "--money-prec", "2", "--note", "a listing"),
)


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Server]:
    server = start_exchange(tmp_path)
    yield server
    assert server.stop() == 0, server.said()


def order_tool(place: Place, *words: str) -> tuple[int, str]:
    """Runs the command line against an engine: exit code, and what it said."""
    at = ("--rpc", f"{place[0]}:{place[1]}")
    done = subprocess.run([*VIABTC, *words, *at], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def api(base: str, token: str = "") -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=f"{base}/api/v1", headers=headers, timeout=10)


def fund(client: rpc.Client, user: int, asset: str, amount: str) -> None:
    client.result(102, user, asset, "test", 1, amount, {})


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def test_an_administrator_halts_and_resumes_through_the_api(
    exchange: Server, tmp_path: Path
) -> None:
    base = exchange.control.removesuffix("/control")
    tokens = open_tokens(tmp_path / "data" / "tokens").by_name
    with api(base) as nobody, api(base, tokens["user-1"]) as user, api(base, tokens["admin"]) as me:
        order = {"market": "BTCUSDT", "side": "bid", "amount": "0.5", "price": "100"}
        placed = user.post("/orders", json=order).json()["id"]
        halt = {"note": "an upgrade"}
        assert me.post("/admin/markets/BTCUSDT/halt", json=halt).json() == {"status": "done"}
        states = {row["name"]: row["status"] for row in nobody.get("/markets").json()}
        assert states == {"BTCUSDT": "halted", "ETHUSDT": "trading", "ETHBTC": "trading"}
        assert code_of(user.post("/orders", json=order)) == (409, "market_halted")
        again = me.post("/admin/markets/BTCUSDT/halt", json=halt)
        assert code_of(again) == (409, "unchanged")
        assert again.json()["error"]["reason"] == "market BTCUSDT is halted already"
        assert user.delete(f"/markets/BTCUSDT/orders/{placed}").is_success
        assert me.get("/admin/state").json()["halted"] == ["BTCUSDT"]
        assert me.post("/admin/markets/BTCUSDT/resume", json={}).is_success
        assert user.post("/orders", json=order).is_success


def test_settings_change_through_the_api_and_refusals_say_why(
    exchange: Server, tmp_path: Path
) -> None:
    base = exchange.control.removesuffix("/control")
    tokens = open_tokens(tmp_path / "data" / "tokens").by_name
    with api(base, tokens["admin"]) as me, api(base, tokens["user-1"]) as user:
        new = {"name": "DOGE", "decimals_kept": 16, "decimals": 8}
        assert me.post("/admin/assets", json=new).status_code == 201
        assert code_of(me.post("/admin/assets", json=new)) == (409, "name_taken")
        market: dict[str, Any] = {"name": "DOGEUSDT", "base": "DOGE", "quote": "USDT"}
        market |= {"amount_decimals": 2, "price_decimals": 6, "min_amount": "1"}
        assert me.post("/admin/markets", json=market).status_code == 201
        fine = {**market, "name": "FINE", "amount_decimals": 20}
        refused = me.post("/admin/markets", json=fine)
        assert code_of(refused) == (422, "not_possible")
        assert "at most prec_save of USDT, which is 20" in refused.json()["error"]["reason"]
        assert me.patch("/admin/markets/DOGEUSDT", json={"min_amount": "50"}).is_success
        small = {"market": "DOGEUSDT", "side": "bid", "amount": "49", "price": "0.1"}
        assert code_of(user.post("/orders", json=small)) == (422, "amount_too_small")
        assert user.post("/orders", json={**small, "amount": "50"}).is_success
        raised = {"decimals_kept": 14, "decimals": 10}
        assert me.patch("/admin/assets/BTC", json=raised).is_success
        lowered = me.patch("/admin/assets/BTC", json={"decimals": 8})
        assert code_of(lowered) == (422, "not_possible")
        assert code_of(me.patch("/admin/assets/BTC", json={})) == (400, "invalid_argument")
        shown = {row["name"]: row["decimals"] for row in user.get("/assets").json()}
        assert shown == {"BTC": 10, "ETH": 8, "USDT": 8, "DOGE": 8}
        symbol = user.get("/udf/symbols", params={"symbol": "DOGEUSDT"}).json()
        assert (symbol["pricescale"], symbol["volume_precision"]) == (10**6, 2)


NEW_MARKET: dict[str, Any] = {
    "name": "NEWBTC",
    "base": "NEW",
    "quote": "BTC",
    "amount_decimals": 2,
    "price_decimals": 4,
    "min_amount": "1",
}

ADMIN_ROUTES: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
    ("GET", "/admin/state", None),
    ("POST", "/admin/markets/ETHBTC/halt", {}),
    ("POST", "/admin/markets/ETHBTC/resume", {}),
    ("PATCH", "/admin/markets/ETHBTC", {"min_amount": "0.5"}),
    ("POST", "/admin/assets", {"name": "NEW", "decimals_kept": 8, "decimals": 8}),
    ("PATCH", "/admin/assets/NEW", {"decimals_kept": 10}),
    ("POST", "/admin/markets", NEW_MARKET),
)
"""Each is allowed to the administrator, in this order."""


def test_every_route_of_the_administrator_knows_who_may(exchange: Server, tmp_path: Path) -> None:
    base = exchange.control.removesuffix("/control")
    tokens = open_tokens(tmp_path / "data" / "tokens").by_name
    documented = {
        (method.upper(), path)
        for path, methods in httpx.get(f"{base}/api/v1/openapi.json").json()["paths"].items()
        for method in methods
        if "/admin/" in path
        and not path.endswith(("/balance-updates", "/balances"))
        and not path.startswith(("/api/v1/admin/users", "/api/v1/admin/tokens"))
    }
    assert len(documented) == len(ADMIN_ROUTES)
    for who, expected in (("", 401), ("wrong", 401), ("user-2", 403), ("admin", 200)):
        with api(base, tokens.get(who, who)) as client:
            for method, path, body in ADMIN_ROUTES:
                status = client.request(method, path, json=body).status_code
                is_right = status in {200, 201} if expected == 200 else status == expected
                assert is_right, (who, method, path, status)


def test_the_command_line_lists_an_asset_and_every_port_knows_it(exchange: Server) -> None:
    place = exchange.place("rpc")
    code, said = order_tool(place, "asset", "add", "DOGE", "--prec-save", "16", "--prec-show", "8")
    assert (code, said) == (0, "DOGE is there.\n")
    opening = [word.replace("ETH", "DOGE") for word in OPENING]
    assert order_tool(place, *opening) == (0, "DOGEUSDT is open.\n")
    with rpc.Client(place) as client, http.Connection(exchange.place("http")) as door:
        fund(client, 7, "DOGE", "100")
        fund(client, 8, "USDT", "100")
        sale = (7, "DOGEUSDT", 1, "10", "0.5", "0.001", "0.001", "test")
        assert door.result("order.put_limit", *sale)["left"] == "10"
        bought = client.result(202, 8, "DOGEUSDT", 2, "2", "0.001", "test")
        assert bought["deal_stock"] == "4"
        assert "DOGEUSDT" in [row["name"] for row in door.result("market.list")]
        exchange.until(lambda: Decimal(door.result("market.last", "DOGEUSDT")) == Decimal("0.5"))
    assert order_tool(place, "market", "halt", "DOGEUSDT")[0] == 0
    code, said = order_tool(place, "market", "halt", "DOGEUSDT")
    assert (code, said) == (
        1,
        "viabtc: refused: nothing to change: market DOGEUSDT is halted already\n",
    )
    assert "DOGEUSDT halted: DOGE for USDT" in order_tool(place, "market", "list")[1]
    code, said = order_tool(place, "market", "set", "NONE", "--min-amount", "1")
    assert code == 2
    assert "name one of BTCUSDT" in said
    code, said = order_tool(place, "asset", "add", "A B", "--prec-save", "8", "--prec-show", "8")
    rule = "the name of an asset consists of letters, digits, `_`, `.` and `-`"
    assert (code, said) == (1, f"viabtc: refused: not possible: {rule}\n")
    code, said = order_tool(place, "asset", "set", "DOGE")
    assert code == 2
    assert "--prec-save" in said


def test_what_changed_outlives_a_kill_and_stands_in_every_process(tmp_path: Path) -> None:
    """A market that is added at run time, seen by the separate services and after a restart."""
    engine = start_matchengine(tmp_path, small_config())
    place = engine.until_open("rpc")
    door = start_accesshttp(tmp_path, {"matchengine": [place]})
    rest = start_rest(tmp_path, {"matchengine": [place]})
    base = f"http://{rest.reserved['rest'].place}"
    with httpx.Client(base_url=base, timeout=10) as client:
        assert [row["name"] for row in client.get("/api/v1/markets").json()] == ["BTCUSDT"]
        assert order_tool(place, *LISTING)[0] == 0
        assert order_tool(place, *OPENING)[0] == 0
        assert order_tool(place, "market", "halt", "BTCUSDT")[0] == 0
        expected = [("BTCUSDT", "halted"), ("ETHUSDT", "trading")]

        def is_known() -> bool:
            rows = client.get("/api/v1/markets").json()
            return [(row["name"], row["status"]) for row in rows] == expected

        rest.until(is_known)
        with http.Connection(door.place("http")) as connection:
            names = [row["name"] for row in connection.result("market.list")]
            assert names == ["BTCUSDT", "ETHUSDT"]
            assert [row["name"] for row in connection.result("asset.list")][-1] == "ETH"
        engine.kill()
        engine = start_matchengine(tmp_path, small_config())
        place = engine.until_open("rpc")
        with rpc.Client(place) as link:
            assert link.result(907)["halted"] == ["BTCUSDT"]
            sale = (7, "BTCUSDT", 1, "1", "1", "0", "0", "")
            assert link.error(201, *sale) == (12, "market halted")
            names = [row["name"] for row in link.result(307)]
            assert names == ["BTCUSDT", "ETHUSDT"]
    for server in (rest, door, engine):
        assert server.stop() == 0, server.said()
