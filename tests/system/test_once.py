"""Orders with a name of their client's take effect once, whoever asks again and after what."""

import itertools
import os
import random
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from harness.configs import three_markets
from harness.processes import Server, start_exchange
from viabtc.service.tokens import open_tokens

KILLS: Final = int(os.environ.get("VIABTC_ONCE_KILLS") or 3)
"""Kills of an exchange while orders are on their way."""

SENDERS: Final = 4

BID: Final = {"market": "BTCUSDT", "side": "bid", "amount": "0.01", "price": "100"}


def api(server: Server, directory: Path, name: str) -> httpx.Client:
    base = server.control.removesuffix("/control") + "/api/v1"
    token = open_tokens(directory / "data" / "tokens").by_name[name]
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=base, headers=headers, timeout=30)


def done(response: httpx.Response) -> Any:
    assert response.is_success, response.text
    return response.json()


def refusal(response: httpx.Response) -> tuple[int, str, str]:
    error = response.json()["error"]
    return response.status_code, error["code"], error.get("reason", "")


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Two users of an exchange."""
    directory = tmp_path_factory.mktemp("once")
    server = start_exchange(directory)
    with api(server, directory, "user-1") as one, api(server, directory, "user-2") as two:
        yield one, two
    assert server.stop() == 0, server.said()


Users = tuple[httpx.Client, httpx.Client]


def orders(client: httpx.Client, kind: str = "open") -> list[dict[str, Any]]:
    """All of the client's, the newest first."""
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"market": "BTCUSDT", "limit": 100}
    while True:
        page = done(client.get(f"/orders/{kind}", params=query))
        found += page["items"]
        if page["next"] is None:
            return found
        query["cursor"] = page["next"]


def test_the_same_order_again_is_answered_as_at_first(users: Users) -> None:
    one, _ = users
    order = {**BID, "client_order_id": "again"}
    first = done(one.post("/orders", json=order))
    assert first["client_order_id"] == "again"
    for same in (order, {**order, "amount": "0.010", "price": "100.00"}):
        assert done(one.post("/orders", json=same)) == first
    assert [it["id"] for it in orders(one) if it["client_order_id"] == "again"] == [first["id"]]
    done(one.delete(f"/markets/BTCUSDT/orders/{first['id']}"))
    assert done(one.post("/orders", json=order)) == first, "cancelled since, and not placed again"


def test_another_order_under_the_name_is_refused_in_words(users: Users) -> None:
    one, two = users
    order = {**BID, "client_order_id": "taken"}
    first = done(one.post("/orders", json=order))
    reason = f"order {first['id']} was placed under this name"
    for other in ({"amount": "0.02"}, {"price": "101"}, {"side": "ask"}, {"market": "ETHUSDT"}):
        assert refusal(one.post("/orders", json={**order, **other})) == (
            409,
            "repeat_order",
            reason,
        )
    kind = {"market": "BTCUSDT", "side": "bid", "type": "market", "amount": "0.01"}
    refused = one.post("/orders", json={**kind, "client_order_id": "taken"})
    assert refusal(refused) == (409, "repeat_order", reason)
    own = done(two.post("/orders", json=order))
    assert own["id"] != first["id"], "a name is its user's"


def test_a_market_order_sent_again_buys_once(users: Users) -> None:
    one, two = users
    done(two.post("/orders", json={**BID, "side": "ask", "price": "200", "amount": "0.5"}))
    bought = {"market": "BTCUSDT", "side": "bid", "type": "market", "amount": "20"}
    name = str(uuid.uuid4())
    first = done(one.post("/orders", json={**bought, "client_order_id": name}))
    assert (first["client_order_id"], first["filled_base"]) == (name, "0.1")
    assert done(one.post("/orders", json={**bought, "client_order_id": name})) == first
    path = f"/markets/BTCUSDT/orders/by-client-id/{name}"
    found = until_found(one, path)
    assert (found["id"], found["status"], found["client_order_id"]) == (
        first["id"],
        "finished",
        name,
    )
    assert [it["id"] for it in orders(one, "finished") if it["client_order_id"] == name] == [
        first["id"]
    ]


def until_found(client: httpx.Client, path: str) -> dict[str, Any]:
    """The order, once the history has it."""
    deadline = time.monotonic() + 60
    while (response := client.get(path)).status_code == httpx.codes.NOT_FOUND:
        assert time.monotonic() < deadline, response.text
    found: dict[str, Any] = done(response)
    return found


def test_an_order_is_found_and_cancelled_by_its_name_and_only_by_its_user(users: Users) -> None:
    one, two = users
    first = done(one.post("/orders", json={**BID, "client_order_id": "found"}))
    path = "/markets/BTCUSDT/orders/by-client-id/found"
    assert done(one.get(path)) == first
    for method in ("GET", "DELETE"):
        assert refusal(two.request(method, path))[:2] == (404, "order_not_found")
    cancelled = done(one.delete(path))
    assert (cancelled["id"], cancelled["status"]) == (first["id"], "finished")
    # Nothing was dealt, so that no history has it: what is known is that there was one.
    for response, what in ((one.delete(path), "not open"), (one.get(path), "neither open")):
        status, code, reason = refusal(response)
        assert (status, code) == (404, "order_not_found")
        assert what in reason
        assert response.json()["error"]["details"] == {"order_id": first["id"]}
    for response in (two.get(path), one.get(path.replace("found", "never-placed"))):
        assert refusal(response)[:2] == (404, "order_not_found")
        assert response.json()["error"]["details"] == {}


@pytest.mark.parametrize("name", ["", " ", "a b", "x" * 27, "é", "a\n", "0D6F" + "x" * 30])
def test_what_is_no_name_is_refused_in_words(users: Users, name: str) -> None:
    response = users[0].post("/orders", json={**BID, "client_order_id": name})
    status, code, reason = refusal(response)
    assert (status, code) == (400, "invalid_argument")
    assert reason.startswith("client_order_id: is ")


def test_orders_without_a_name_are_placed_each_time(users: Users) -> None:
    one, _ = users
    first, second = (done(one.post("/orders", json=BID)) for _ in range(2))
    assert first["id"] != second["id"]
    assert first["client_order_id"] is None


class Sender(threading.Thread):
    """Sends one named order after the other until the exchange is gone."""

    def __init__(self, client: httpx.Client, prefix: str, answered: threading.Semaphore) -> None:
        super().__init__()
        self.answers: dict[str, dict[str, Any]] = {}
        self.unanswered: str | None = None
        self._client = client
        self._prefix = prefix
        self._answered = answered

    def run(self) -> None:
        for number in itertools.count():
            name = f"{self._prefix}.{number}"
            self.unanswered = name
            try:
                response = self._client.post("/orders", json={**BID, "client_order_id": name})
            except httpx.HTTPError:
                return
            self.answers[name] = done(response)
            self._answered.release()


def test_an_order_whose_answer_a_kill_cut_off_is_sent_again_and_counts_once(
    tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    pace = {"viabtc": {"limits": {"orders_per_s": 0}}}
    config = {**three_markets(), **pace}
    names: set[str] = set()
    for kill in range(KILLS):
        server = start_exchange(tmp_path, config)
        if kill == 0:
            with api(server, tmp_path, "admin") as admin:
                gift = {"asset": "USDT", "reason": "gift", "reason_id": 1, "change": "1000000"}
                done(admin.post("/admin/balance-updates", json={"user": 1, **gift}))
        answered = threading.Semaphore(0)
        clients = [api(server, tmp_path, "user-1") for _ in range(SENDERS)]
        senders = [
            Sender(client, f"{kill}-{index}", answered) for index, client in enumerate(clients)
        ]
        for sender in senders:
            sender.start()
        for _ in range(draw.randrange(1, 60)):
            assert answered.acquire(timeout=60)
        server.kill()
        for sender in senders:
            sender.join(60)
            assert not sender.is_alive()
        server = start_exchange(tmp_path, config)
        with api(server, tmp_path, "user-1") as client:
            for sender in senders:
                assert sender.unanswered
                for name in (*sender.answers, sender.unanswered, sender.unanswered):
                    again = done(client.post("/orders", json={**BID, "client_order_id": name}))
                    assert again == sender.answers.setdefault(name, again)
                names |= sender.answers.keys()
            placed = [order["client_order_id"] for order in orders(client)]
        assert sorted(placed) == sorted(names), "each once, and none is missing"
        assert server.stop() == 0, server.said()
        for client in clients:
            client.close()
