"""The wheel in an empty virtual environment, on a machine that has neither Rust nor Node.js."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import httpx
import pytest

from harness.places import ROOT
from harness.processes import Reserved, Server
from viabtc.service.tokens import open_tokens


@pytest.fixture(scope="module")
def wheel(wheels: Path) -> Path:
    (found,) = wheels.glob("viabtc-*.whl")
    return found


def test_the_wheel_is_for_any_linux_and_any_python_from_3_11_on(wheel: Path) -> None:
    assert re.fullmatch(r"viabtc-[\d.]+-cp311-abi3-manylinux_2_\d+_x86_64\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as files:
        names = files.namelist()
    assert "viabtc/_core.abi3.so" in names
    assert "viabtc/rest/page/vendor/lightweight-charts.js" in names
    assert "viabtc/rest/page/vendor/swagger-ui-bundle.js" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "test" in name.lower() or name.endswith(".rs")]


def test_it_says_what_it_is_made_of(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as files:
        names = [name for name in files.namelist() if ".dist-info/sboms/" in name]
        documents = [json.loads(files.read(name)) for name in names]
    assert len(documents) == 2
    assert {document["bomFormat"] for document in documents} == {"CycloneDX"}
    parts = [part for document in documents for part in document["components"]]
    versions = {part["name"]: part["version"] for part in parts}
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    page = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    for name in ("pyo3", "mio", "serde_json"):
        assert versions[name] in {row["version"] for row in locked if row["name"] == name}
    for library in ("lightweight-charts", "swagger-ui-dist"):
        assert versions[library] == page[f"node_modules/{library}"]["version"]
    # What only tests need is not in it.
    assert not {"proptest", "tempfile"} & versions.keys()
    assert all(part["licenses"] for part in parts)


def test_it_installs_and_the_exchange_runs(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    pip = [str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-index", "--find-links", str(wheel.parent)]
    # Nothing is found by name: no compiler, no Node.js, no package of this machine.
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    subprocess.run([*pip, *offline, str(wheel)], check=True, env=environment)
    rest, output = Reserved(), tmp_path / "out"
    command = [str(home / "bin" / "viabtc"), "run", "--data", str(tmp_path / "data")]
    command += ["--rest", rest.place]
    for port in ("http", "ws", "rpc", "console"):
        command += [f"--{port}", "127.0.0.1:0"]
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=tmp_path,
            stdout=file,
            stderr=file,
            stdin=subprocess.DEVNULL,
        )
    server = Server(process, f"http://{rest.place}/control", output, {"control": rest})
    server.until_ready()
    token = open_tokens(tmp_path / "data" / "tokens").by_name["user-1"]
    base = f"http://{rest.place}"
    order = {"market": "ETHUSDT", "side": "bid", "price": "2000", "amount": "0.5"}
    headers = {"Authorization": f"Bearer {token}"}
    placed = httpx.post(f"{base}/api/v1/orders", json=order, headers=headers)
    assert placed.is_success, placed.text
    assert "lightweight-charts" in httpx.get(base).text
    assert server.stop() == 0, server.said()
    verified = subprocess.run(
        [str(home / "bin" / "viabtc"), "journal", "verify", str(tmp_path / "data")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "sealed by a clean stop" in verified.stdout
