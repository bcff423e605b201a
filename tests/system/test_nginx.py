"""The shipped nginx configuration in a real nginx, in front of a running exchange."""

import json
import select
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from harness.places import ROOT
from harness.processes import start_exchange
from harness.redis import free_port, until_listening
from viabtc import _core

SHIPPED = ROOT / "deploy" / "nginx" / "viabtc.conf"

BODY_BYTES_MAX = 64 * 1024


def write_certificate(folder: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def hub() -> Iterator[_core.Hub]:
    """What stands behind the websocket's place; it believes what a proxy says of clients."""
    hub = _core.Hub(["tcp@127.0.0.1:0"], options={"trusts_forwarded": True})
    yield hub
    hub.stop()


@pytest.fixture(scope="module")
def front(
    tmp_path_factory: pytest.TempPathFactory, hub: _core.Hub
) -> Iterator[tuple[str, ssl.SSLContext]]:
    """Address of an nginx with the shipped file, on ports of its own, and who signed for it."""
    folder = tmp_path_factory.mktemp("nginx")
    write_certificate(folder)
    exchange = start_exchange(folder)
    rest = exchange.control.removeprefix("http://").removesuffix("/control")
    websocket = hub.addresses[0].partition("@")[2]
    port = free_port()
    text = SHIPPED.read_text()
    changes = {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "server 127.0.0.1:8000 ": f"server {rest} ",
        "server 127.0.0.1:8090 ": f"server {websocket} ",
        "/etc/viabtc/tls": str(folder),
    }
    for shipped, ours in changes.items():
        assert shipped in text
        text = text.replace(shipped, ours)
    (folder / "viabtc.conf").write_text(text)
    main = folder / "nginx.conf"
    paths = "".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log;"
        f"events {{}} http {{ access_log off; {paths} include {folder}/viabtc.conf; }}"
    )
    checked = subprocess.run(
        ["nginx", "-t", "-c", str(main)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    with (folder / "nginx.out").open("ab") as output:
        process = subprocess.Popen(["nginx", "-c", str(main)], stdout=output, stderr=output)
    try:
        until_listening(port, process)
        trust = ssl.create_default_context(cafile=str(folder / "cert.pem"))
        yield f"127.0.0.1:{port}", trust
    finally:
        process.terminate()
        process.wait(10)
        assert exchange.stop() == 0, exchange.said()


Front = tuple[str, ssl.SSLContext]


def test_the_api_and_the_page_are_served_over_tls(front: Front) -> None:
    address, trust = front
    with httpx.Client(base_url=f"https://{address}", verify=trust) as client:
        markets = client.get("/api/v1/markets")
        assert [market["name"] for market in markets.json()] == ["BTCUSDT", "ETHUSDT", "ETHBTC"]
        assert "max-age" in markets.headers["strict-transport-security"]
        assert "viabtc" in client.get("/").text


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/ws", "server.ping"),
        ("/ws/", "server.ping"),
        ("/ws?of=1", "server.ping"),
        ("/ws/v1/stream", "ping"),
        ("/v1/stream", "ping"),
    ],
)
def test_websockets_pass(front: Front, path: str, method: str) -> None:
    address, trust = front
    with connect(f"wss://{address}{path}", ssl=trust) as socket:
        socket.send(json.dumps({"method": method, "params": [], "id": 1}))
        assert json.loads(socket.recv(10))["result"] == "pong"


def test_a_client_cannot_name_another_as_itself(front: Front, hub: _core.Hub) -> None:
    address, trust = front
    names = ("X-Connecting-IP", "X-Forwarded-For", "X-Proxy-IP", "X-Real-IP")
    lies = {name: f"203.0.113.{place}" for place, name in enumerate(names)}
    with connect(f"wss://{address}/ws", ssl=trust, additional_headers=lies) as socket:
        socket.send(json.dumps({"method": "server.auth", "params": ["token", "web"], "id": 1}))
        deadline = time.monotonic() + 30
        requests: list[tuple[object, ...]] = []
        while not requests:
            assert time.monotonic() < deadline
            select.select([hub], [], [], 1)
            requests = [notice for notice in hub.take() if notice[0] == "request"]
        assert requests[0][2] == "127.0.0.1"
        # It is nobody's: the next test may be asked for again.
        hub.answer(int(str(requests[0][1])), b"no")
        assert socket.recv(10) == "no"


def test_what_is_internal_is_not_there(front: Front) -> None:
    address, trust = front
    with httpx.Client(base_url=f"https://{address}", verify=trust) as client:
        for path in (
            "/control/status",
            "/control/audit",
            "/control",
            "/internal/exchange/user/auth",
        ):
            assert client.get(path).status_code == 404
        body = {"method": "balance.update", "params": [1, "BTC", "x", 1, "1", {}], "id": 1}
        assert client.post("/", json=body).status_code == 405


def test_large_bodies_and_floods_are_refused(front: Front) -> None:
    address, trust = front
    with httpx.Client(base_url=f"https://{address}", verify=trust) as client:
        large = client.post("/api/v1/orders", content=b"x" * (BODY_BYTES_MAX + 1))
        assert large.status_code == 413
        statuses = {client.get("/api/v1/time").status_code for _ in range(400)}
        assert statuses == {200, 429}


def test_plain_http_gets_no_answer_of_the_exchange(front: Front) -> None:
    address, _ = front
    assert httpx.get(f"http://{address}/api/v1/time").status_code == 400
