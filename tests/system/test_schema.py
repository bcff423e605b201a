"""Generated requests against the public API: its document is true, and nothing makes it fail.

VIABTC_SCHEMA_CASES says how many of them are drawn at random.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from harness.configs import three_markets
from harness.processes import Server, start_exchange
from viabtc.service.tokens import open_tokens

CASES: Final = int(os.environ.get("VIABTC_SCHEMA_CASES") or 20_000)

CHECKS: Final = (
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
)

IDENTITIES: Final = ("user-1", "admin", "")

ADMINS: Final = "/api/v1/admin/"

OFTEN: Final = 8
"""How much more often the one asks who may: the others are stopped before anything is read."""


MARKETS: Final = ("BTCUSDT", "ETHUSDT", "ETHBTC", None)
"""Put in the place of a market that was drawn: behind a name that nobody knows there is little."""


@dataclass(frozen=True, slots=True)
class Running:
    """An exchange that holds nobody to a pace of orders: each is to be looked at."""

    server: Server
    base: str
    tokens: dict[str, str]

    @property
    def document(self) -> str:
        return f"{self.base}/api/v1/openapi.json"

    def headers(self, identity: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[identity]}"} if identity else {}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("schema")
    config = three_markets()
    config["viabtc"] = {**config.get("viabtc", {}), "orders_per_s": 0}
    server = start_exchange(directory, config)
    tokens = open_tokens(directory / "data" / "tokens").by_name
    exchange = Running(server, server.control.removesuffix("/control"), tokens)
    for number, asset in enumerate(config["assets"]):
        deposit = {"user": 1, "asset": asset["name"], "reason": "test", "reason_id": number}
        httpx.post(
            f"{exchange.base}/api/v1/admin/balance-updates",
            json={**deposit, "change": "1000000"},
            headers=exchange.headers("admin"),
        ).raise_for_status()
    yield exchange
    assert server.stop() == 0, server.said()


def test_every_bound_of_every_parameter_is_kept(running: Running, seed: int) -> None:
    """Each value at, above and below its bounds, and each method that a path does not know."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", running.document]
    names = [check.__name__ for check in (*CHECKS, checks.unsupported_method)]
    command += ["--phases", "coverage", "--checks", ",".join(names), "--seed", str(seed)]
    command += ["--suppress-health-check", "all", "--no-color"]
    for name, value in running.headers("user-1").items():
        command += ["-H", f"{name}: {value}"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=running.server.output.parent
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]


def test_generated_requests_get_answers_as_documented(running: Running, seed: int) -> None:
    schema = schemathesis.openapi.from_dict(httpx.get(running.document).json())
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    variable = [one for one in operations if has_parameters(one)]
    sessions = {}
    for identity in IDENTITIES:
        sessions[identity] = requests.Session()
        sessions[identity].headers.update(running.headers(identity))
    answers: dict[int, int] = {}

    def ask(case: Any, identity: str) -> None:
        response = case.call(base_url=running.base, session=sessions[identity])
        answers[response.status_code] = answers.get(response.status_code, 0) + 1
        case.validate_response(response, checks=list(CHECKS))

    for operation in variable:
        draw(operation, -(-CASES // len(variable)), seed, ask)
    for session in sessions.values():
        session.close()
    total = sum(answers.values())
    print(f"{total} requests to {len(variable)} operations, by status: {answers}")  # noqa: T201
    assert total >= CASES
    # Requests of all kinds were among them: done, without a token, not allowed, malformed.
    assert {200, 201, 400, 401, 403, 404} <= answers.keys()
    assert running.server.is_running()


def has_parameters(operation: Any) -> bool:
    """Whether there is something to draw."""
    given_by = (operation.path_parameters, operation.query, operation.body)
    return any(len(list(parameters)) for parameters in given_by)


def draw(operation: Any, count: int, seed: int, ask: Callable[[Any, str], None]) -> None:
    """Asks `count` requests of an operation, as documented and not."""
    owner = "admin" if operation.path.startswith(ADMINS) else "user-1"
    valid, invalid = (
        operation.as_strategy(generation_mode=mode)
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    )

    @seeded(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=valid | invalid,
        identity=st.sampled_from((*IDENTITIES, *OFTEN * (owner,))),
        market=st.sampled_from(MARKETS),
    )
    def each(case: Any, identity: str, market: str | None) -> None:
        if market is not None:
            for parameters in (case.path_parameters, case.query, case.body):
                if isinstance(parameters, dict) and "market" in parameters:
                    parameters["market"] = market
        ask(case, identity)

    each()
