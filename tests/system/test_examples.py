"""The documents of the API: whatever they give as an example can be tried out as it stands."""

from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from harness.processes import start_exchange
from viabtc.rest.errors import MESSAGES, STATUSES
from viabtc.service.tokens import open_tokens

ORDER: Final = (
    *("post /api/v1/admin/assets", "post /api/v1/admin/markets", "post /api/v1/admin/users"),
    "post /api/v1/admin/tokens",
)
"""What others need comes first; all else in the order of the document."""

UNKNOWN: Final = {"delete /api/v1/admin/tokens/{token_id}": "not_found"}
"""Examples that stand for what only an earlier answer can say."""

MAKER_FIRST: Final = "/orders/{order_id}"
"""Order 1 is of the user who makes the first book."""


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """Address and tokens of `viabtc run` as `make run` starts it."""
    folder = tmp_path_factory.mktemp("examples")
    server = start_exchange(folder)
    tokens = open_tokens(folder / "data" / "tokens").by_name
    yield server.control.removesuffix("/control"), tokens
    assert server.stop() == 0, server.said()


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def request_of(document: dict[str, Any], path: str, operation: dict[str, Any]) -> dict[str, Any]:
    """Path, query and body as the documentation fills them in."""
    query = {}
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        if "examples" in schema:
            value = schema["examples"][0]
        else:
            assert not parameter["required"], f"{path}: {parameter['name']} has no example"
            continue
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(value))
        else:
            query[parameter["name"]] = value
    sent: dict[str, Any] = {"url": path, "params": query}
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        (sent["json"],) = resolved(document, content["schema"])["examples"]
    return sent


def test_every_example_can_be_tried_out(exchange: tuple[str, dict[str, str]]) -> None:
    address, tokens = exchange
    document = httpx.get(f"{address}/api/v1/openapi.json").json()
    routes = {
        f"{method} {path}": operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    rest = sorted(set(routes) - set(ORDER), key=lambda route: ("delete" in route, route))
    for route in (*ORDER, *rest):
        method, path = route.split()
        operation = routes[route]
        assert operation["summary"], route
        who = "admin" if "/admin/" in path else "user-1"
        if path.endswith(MAKER_FIRST):
            who = "user-2"
        headers = {"Authorization": f"Bearer {tokens[who]}"}
        sent = request_of(document, path, operation)
        answer = httpx.request(method, f"{address}{sent.pop('url')}", headers=headers, **sent)
        if "{client_order_id}" in path or route in UNKNOWN:
            assert answer.status_code == 404, (route, answer.text)
            continue
        assert answer.is_success, (route, sent, answer.text)


def test_every_refusal_is_shown_as_it_reads(exchange: tuple[str, dict[str, str]]) -> None:
    document = httpx.get(f"{exchange[0]}/api/v1/openapi.json").json()
    shown = set()
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) < 400:
                    continue
                content = response["content"]["application/json"]
                assert content["schema"], operation["summary"]
                for code, example in content["examples"].items():
                    error = example["value"]["error"]
                    assert (error["code"], error["message"]) == (code, MESSAGES[code])
                    assert STATUSES[code] == int(status)
                    shown.add(code)
    assert "HTTPValidationError" not in str(document)
    assert {"balance_not_enough", "unauthenticated", "market_halted", "repeat_update"} <= shown


def test_no_page_is_drawn_by_a_program_from_elsewhere(exchange: tuple[str, dict[str, str]]) -> None:
    address = exchange[0]
    for path in ("/", "/docs"):
        page = httpx.get(f"{address}{path}")
        assert page.is_success
        assert "https://" not in page.text
        assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert httpx.get(f"{address}/control/openapi.json").is_success
    for path in ("/control/docs", "/control/redoc", "/redoc"):
        assert httpx.get(f"{address}{path}").status_code == 404, path
