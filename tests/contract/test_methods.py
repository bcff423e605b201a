"""Every declared method, against a running exchange and against the recorded answers."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from golden.transcript import SCENARIOS, engine_calls
from harness import http, rpc
from harness.configs import small_config
from harness.processes import Server, start_exchange
from viabtc import __version__
from viabtc.contract.errors import REASONS, ErrorCode, codes
from viabtc.contract.methods import METHODS, OWNERS, Method
from viabtc.contract.openrpc import KINDS, RESULTS, openrpc

ENGINE = [method for method in METHODS if method.owner == "matchengine"]

VALID: dict[str, list[Any]] = {
    "asset.add": ["NEW", {"prec_save": 8, "prec_show": 8}, "contract", "a test"],
    "asset.list": [],
    "asset.set": ["BTC", {"prec_save": 20}, "contract", "a test"],
    "asset.summary": ["BTC"],
    "balance.query": [1, "BTC"],
    "balance.update": [1, "BTC", "contract", 1, "1", {}],
    "exchange.state": [],
    "market.add": [
        "USDTBTC",
        {"stock": "USDT", "money": "BTC", "stock_prec": 1, "money_prec": 1, "min_amount": "1"},
        "contract",
        "a test",
    ],
    "market.halt": ["BTCUSDT", "contract", "a test"],
    "market.list": [],
    "market.resume": ["BTCUSDT", "contract", "a test"],
    "market.set": ["BTCUSDT", {"min_amount": "0.5"}, "contract", "a test"],
    "market.summary": ["BTCUSDT"],
    "order.named": [1, "contract"],
    "order.put_limit_once": [1, "BTCUSDT", 1, "1", "100", "0", "0", "contract"],
    "order.put_market_once": [1, "BTCUSDT", 1, "1", "0", "contract"],
    "order.book": ["BTCUSDT", 1, 0, 10],
    "order.cancel": [1, "BTCUSDT", 1],
    "order.depth": ["BTCUSDT", 10, "0"],
    "order.pending": [1, "BTCUSDT", 0, 10],
    "order.pending_detail": ["BTCUSDT", 1],
    "order.put_limit": [1, "BTCUSDT", 1, "1", "100", "0", "0", ""],
    "order.put_market": [1, "BTCUSDT", 1, "1", "0", ""],
}
"""Parameters that are refused for no reason of form."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = start_exchange(tmp_path_factory.mktemp("contract"), small_config())
    yield running
    assert running.stop() == 0, running.said()


@pytest.fixture
def client(server: Server) -> Iterator[rpc.Client]:
    with rpc.Client(server.place("rpc")) as connection:
        yield connection


@pytest.fixture
def door(server: Server) -> Iterator[http.Connection]:
    with http.Connection(server.place("http")) as connection:
        yield connection


def name_of(method: Method) -> str:
    return method.name


@pytest.mark.parametrize("method", ENGINE, ids=name_of)
def test_a_wrong_number_of_parameters_is_refused(
    client: rpc.Client, door: http.Connection, method: Method
) -> None:
    params = VALID[method.name]
    counts: list[list[Any]] = []
    if method.count_min > 0:
        counts += [params[: method.count_min - 1], []]
    if method.count_max is not None:
        counts.append([*params, None])
        counts.append([*params, *params, *params])
    for wrong in counts:
        assert client.error(method.command, *wrong) == (1, "invalid argument"), wrong
        assert door.error(method.name, *wrong) == (1, "invalid argument"), wrong
    if not counts:
        # Any number is right: ignored, or names of which there may be any.
        assert client.result(method.command) is not None
        assert client.result(method.command, *params, *params) is not None


@pytest.mark.parametrize("method", ENGINE, ids=name_of)
def test_a_parameter_of_a_wrong_type_is_refused(client: rpc.Client, method: Method) -> None:
    params = VALID[method.name]
    if method.arity == "any":
        assert client.result(method.command, *[None] * 9)
        return
    for place in range(len(params)):
        wrong: Any
        for wrong in (None, True, [], 1.5, {"a": 1} if params[place] != {} else "x"):
            altered = [*params[:place], wrong, *params[place + 1 :]]
            assert client.error(method.command, *altered) == (1, "invalid argument"), altered


def test_the_tables_cover_each_other() -> None:
    assert set(VALID) == {method.name for method in ENGINE}
    assert {method.owner for method in METHODS} == set(OWNERS)
    assert len({method.name for method in METHODS}) == len(METHODS)
    assert len({method.command for method in METHODS}) == len(METHODS)
    assert {param.kind for method in METHODS for param in method.params} <= set(KINDS)
    assert {method.result for method in METHODS} <= set(RESULTS)
    used = {reason for method in METHODS for _, reason in method.errors}
    assert used == set(REASONS)
    for method in METHODS:
        assert method.summary.endswith("."), method.name
        assert not {code for code, _ in method.errors} & {int(code) for code in ErrorCode}


def answers() -> Iterator[tuple[Method, Any, Any]]:
    """Method, params and document of every recorded answer of the engine."""
    for scenario in SCENARIOS:
        for call in engine_calls(scenario):
            if not call.is_refused_by_us:
                assert call.declared
                yield call.declared, call.params, call.body


def test_every_recorded_error_is_documented_and_every_documented_error_is_recorded() -> None:
    seen: set[tuple[str, int]] = set()
    for method, params, body in answers():
        if body["error"] is not None:
            code = body["error"]["code"]
            assert codes(method).get(code) == body["error"]["message"], (method.name, params)
            seen.add((method.name, code))
    documented = {
        (method.name, code)
        for method in ENGINE
        for code, reason in method.errors
        if not method.is_own and reason != "market_halted"
    }
    assert documented - seen == set(), "documented and never seen"


def test_every_recorded_call_fits_the_document() -> None:
    document = {method["name"]: method for method in openrpc(__version__)["methods"]}
    checks = {
        method.name: (
            [
                jsonschema.Draft202012Validator(param["schema"])
                for param in document[method.name]["params"]
            ],
            jsonschema.Draft202012Validator(document[method.name]["result"]["schema"]),
        )
        for method in ENGINE
    }
    count = 0
    for method, params, body in answers():
        if body["error"] is not None:
            continue
        schemas, result = checks[method.name]
        result.validate(body["result"])
        if method.arity != "any":
            repeated = schemas[-1:] * max(0, len(params) - len(schemas))
            for schema, value in zip([*schemas, *repeated], params, strict=False):
                schema.validate(value)
        count += 1
    assert count > 3_000


def test_the_document_is_openrpc() -> None:
    document = json.loads(json.dumps(openrpc(__version__)))
    assert document["openrpc"].startswith("1.")
    assert document["info"]["version"] == __version__
    assert [method["name"] for method in document["methods"]] == [method.name for method in METHODS]
    for method in document["methods"]:
        assert method["paramStructure"] == "by-position"
        required = [param["required"] for param in method["params"]]
        assert required == sorted(required, reverse=True), "optional ones come last"
        for described in (*method["params"], method["result"]):
            assert described["name"]
            jsonschema.Draft202012Validator.check_schema(described["schema"])
        numbers = [error["code"] for error in method["errors"]]
        assert numbers == sorted(set(numbers))
        assert all(error["message"] for error in method["errors"])
