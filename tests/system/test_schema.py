"""Generated requests against the public API: its document is true, and nothing makes it fail.

VIABTC_SCHEMA_CASES says about how many requests each identity makes.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from harness.processes import Server, start_exchange
from viabtc.service.tokens import open_tokens

CASES = int(os.environ.get("VIABTC_SCHEMA_CASES") or 200)

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "unsupported_method",
)

_SUMMARY = re.compile(r"(\d+) generated, (\d+) passed")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    directory = tmp_path_factory.mktemp("schema")
    server = start_exchange(directory)
    yield server, directory
    assert server.stop() == 0, server.said()


@pytest.mark.parametrize("identity", ["user-1", "admin", ""])
def test_generated_requests_get_answers_as_documented(
    running: tuple[Server, Path], identity: str, seed: int
) -> None:
    server, directory = running
    base = server.control.removesuffix("/control")
    document = f"{base}/api/v1/openapi.json"
    operations = httpx.get(document).json()["paths"]
    count = sum(len(methods) for methods in operations.values())
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", document]
    command += ["--max-examples", str(max(1, CASES // count)), "--seed", str(seed)]
    # Whether a route keeps its bounds does not depend on who asks: once is enough.
    phases = "coverage,fuzzing" if identity == "user-1" else "fuzzing"
    command += ["--checks", ",".join(CHECKS), "--phases", phases]
    command += ["--suppress-health-check", "all", "--no-color"]
    if identity:
        token = open_tokens(directory / "data" / "tokens").by_name[identity]
        command += ["-H", f"Authorization: Bearer {token}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    found = _SUMMARY.search(done.stdout)
    assert found, done.stdout[-2000:]
    generated, passed = int(found[1]), int(found[2])
    print(f"{generated} requests as {identity or 'nobody'}")  # noqa: T201
    assert generated >= count
    assert passed == generated
    assert server.is_running()
