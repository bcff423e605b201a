"""Every recorded call of the engine's methods is answered as recorded, through each way in."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from golden.transcript import (
    SCENARIOS,
    Call,
    Comparison,
    assert_indented,
    assert_one_line,
    calls,
    engine_calls,
)
from harness import http, rpc
from harness.processes import start_accesshttp, start_exchange, start_matchengine
from viabtc.contract.methods import METHODS

Ask = Callable[[Call], str]
"""Asks a recorded call; the body of the answer."""


@contextmanager
def over_http(door: http.Connection) -> Iterator[Ask]:
    def ask(call: Call) -> str:
        request = {"method": call.method, "params": call.params, "id": call.body["id"]}
        response = door.post(json.dumps(request, ensure_ascii=False).encode())
        assert response.status == 200, call.place
        return response.body.decode()

    with door:
        yield ask


@contextmanager
def embedded_http(directory: Path, config: dict[str, Any]) -> Iterator[Ask]:
    """The front door of `viabtc run`."""
    with ExitStack() as stack:
        server = start_exchange(directory, config)
        stack.callback(server.stop)
        yield stack.enter_context(over_http(http.Connection(server.place("http"))))


@contextmanager
def production_http(directory: Path, config: dict[str, Any]) -> Iterator[Ask]:
    """`viabtc accesshttp` before `viabtc matchengine`."""
    with ExitStack() as stack:
        engine = start_matchengine(directory, config)
        stack.callback(engine.stop)
        server = start_accesshttp(directory, {"matchengine": [engine.place("rpc")]})
        stack.callback(server.stop)
        yield stack.enter_context(over_http(http.Connection(server.place("http"))))


@contextmanager
def production_rpc(directory: Path, config: dict[str, Any]) -> Iterator[Ask]:
    """The RPC port of `viabtc matchengine`."""
    with ExitStack() as stack:
        engine = start_matchengine(directory, config)
        stack.callback(engine.stop)
        client = stack.enter_context(rpc.Client(engine.place("rpc")))

        def ask(call: Call) -> str:
            assert call.declared
            params = json.dumps(call.params, ensure_ascii=False).encode()
            frame = rpc.Frame(call.declared.command, params, request_id=call.body["id"])
            return client.exchange(frame).body.decode()

        yield ask


@pytest.mark.parametrize(
    ("way", "scenario"),
    [
        *((embedded_http, scenario) for scenario in SCENARIOS),
        *((production_rpc, scenario) for scenario in SCENARIOS),
        # The link between door and engine is the only thing that the others do not have.
        *((production_http, scenario) for scenario in ("balances", "limits", "markets", "flow-10")),
    ],
)
def test_every_recorded_answer_of_the_engine_comes_again(
    way: Callable[[Path, dict[str, Any]], Any],
    scenario: str,
    tmp_path: Path,
    golden_config: dict[str, Any],
) -> None:
    with way(tmp_path, golden_config) as ask:
        assert_comes_again(scenario, ask, assert_one_line)


@pytest.mark.parametrize(
    ("way", "scenario"),
    [
        (embedded_http, "limits"),
        (production_rpc, "balances"),
        (production_rpc, "flow-10"),
        (production_http, "markets"),
    ],
)
def test_with_debug_every_recorded_answer_comes_in_indented_lines(
    way: Callable[[Path, dict[str, Any]], Any],
    scenario: str,
    tmp_path: Path,
    golden_config: dict[str, Any],
) -> None:
    # The recordings are of an original without it; it changes the layout and nothing else.
    with way(tmp_path, {**golden_config, "debug": True}) as ask:
        assert_comes_again(scenario, ask, assert_indented)


def test_with_debug_every_service_of_one_process_answers_in_indented_lines(
    tmp_path: Path, golden_config: dict[str, Any]
) -> None:
    # Every method with no parameters is answered: with a result, or that they are invalid.
    with embedded_http(tmp_path, {**golden_config, "debug": True}) as ask:
        for method in METHODS:
            call = Call(method.name, method.name, [], 200, {"id": 1})
            assert_indented(ask(call))


def assert_comes_again(scenario: str, ask: Ask, assert_laid_out: Callable[[str], None]) -> None:
    comparison = Comparison(earliest=time.time())
    compared = 0
    for call in engine_calls(scenario):
        text = ask(call)
        assert_laid_out(text)
        if not call.is_refused_by_us:
            comparison.same(call, json.loads(text), time.time())
            compared += 1
    assert compared > 40, f"only {compared} were compared"


def test_every_recorded_status_of_the_door_comes_again(
    tmp_path: Path, golden_config: dict[str, Any]
) -> None:
    server = start_exchange(tmp_path, golden_config)
    compared = 0
    with ExitStack() as stack:
        stack.callback(server.stop)
        for call in calls("markets"):
            if call.status == 200:
                continue
            door = stack.enter_context(http.Connection(server.place("http")))
            request = {"method": call.method, "params": call.params, "id": 1}
            response = door.post(json.dumps(request).encode())
            assert response.status == call.status, call.place
            if call.body is not None:
                assert response.document == {**call.body, "id": 1}, call.place
            compared += 1
    assert compared == 4
