"""The containers' files against what they name: no container can be run here."""

import importlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from harness.places import ROOT
from viabtc.cli import SERVICES, app

FOLDER: Final = ROOT / "deploy" / "compose"

# The library has no types.
_yaml: Any = importlib.import_module("yaml")

COMPOSE: Final[dict[str, Any]] = _yaml.safe_load((FOLDER / "compose.yaml").read_text())

KEYS: Final = {
    *("build", "cap_drop", "command", "depends_on", "environment", "healthcheck", "image"),
    *("network_mode", "pids_limit", "read_only", "restart", "secrets", "security_opt"),
    *("stop_grace_period", "tmpfs", "ulimits", "volumes"),
}
"""Of a service in the Compose specification, as far as they are used here."""

CONDITIONS: Final = {
    "service_healthy": "healthcheck",
    "service_completed_successfully": "command",
}
"""What a container must have so that others can wait for it."""

INSTRUCTIONS: Final = {"FROM", "COPY", "RUN", "ENV", "USER", "STOPSIGNAL", "ENTRYPOINT", "CMD"}

OURS: Final = sorted(SERVICES)


def container(name: str) -> dict[str, Any]:
    found: dict[str, Any] = COMPOSE["services"][name]
    return found


def sample(service: str) -> dict[str, Any]:
    text = (ROOT / "deploy" / "config" / f"{service}.json").read_text()
    document: dict[str, Any] = json.loads(text)
    return document


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile, with lines that go on joined."""
    text = re.sub(r"\\\n\s*", "", (FOLDER / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def test_the_document_has_no_key_that_compose_does_not_know() -> None:
    known = {"name", "services", "volumes", "secrets"}
    assert {key for key in COMPOSE if not key.startswith("x-")} == known
    for name, settings in COMPOSE["services"].items():
        assert set(settings) <= KEYS, name
        assert "image" in settings, name


@pytest.mark.parametrize("service", OURS)
def test_every_service_has_a_confined_container(service: str) -> None:
    settings = container(service)
    assert settings["command"] == [service, f"/etc/viabtc/{service}.json"]
    assert settings["cap_drop"] == ["ALL"]
    assert settings["read_only"] is True
    assert settings["restart"] == "always"
    assert settings["network_mode"] == "host"
    assert settings["build"]["dockerfile"] == "deploy/compose/Dockerfile"


@pytest.mark.parametrize("service", OURS)
def test_a_health_check_asks_where_the_sample_answers(service: str) -> None:
    asked = container(service)["healthcheck"]["test"][-1]
    assert f"http://{sample(service)['viabtc']['control']}/health/" in asked


@pytest.mark.parametrize("service", OURS)
def test_what_a_service_writes_is_on_a_volume_that_the_image_prepares(service: str) -> None:
    prepared = " ".join(rest for name, rest in instructions() if name == "RUN")
    mounted = [volume.split(":")[1] for volume in container(service)["volumes"]]
    own = {**sample(service), **sample(service)["viabtc"]}
    data = [own[key] for key in ("data", "spool", "users") if key in own]
    for path in (sample(service)["log"]["path"], *data):
        assert any(path.startswith(f"{place}/") for place in mounted), path
        assert path.split("/")[4] in prepared.replace(";", " ").split(), path


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_what_a_container_names_is_there(name: str) -> None:
    settings = container(name)
    for other, how in settings.get("depends_on", {}).items():
        assert CONDITIONS[how["condition"]] in container(other)
    for volume in settings.get("volumes", ()):
        source = volume.split(":")[0]
        if not source.startswith("."):
            assert source in COMPOSE["volumes"]
        elif source != "./conf":
            assert (FOLDER / source).exists(), source
    assert set(settings.get("secrets", ())) <= set(COMPOSE["secrets"])
    if "healthcheck" in settings:
        assert {"test", "interval", "timeout", "retries"} <= set(settings["healthcheck"])


def test_the_tables_are_made_by_a_command_that_exists() -> None:
    command = container("schema")["command"][0]
    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


def test_the_image_is_built_of_the_wheel_and_runs_as_nobody_of_importance() -> None:
    found = instructions()
    assert {name for name, _ in found} <= INSTRUCTIONS
    by_name = dict(found)
    assert by_name["USER"].isdigit()
    assert int(by_name["USER"]) > 0
    assert json.loads(by_name["ENTRYPOINT"]) == ["viabtc"]
    for name, rest in found:
        if name == "FROM":
            # A tag that moves would make another image of the same file.
            assert re.search(r":\d", rest), rest
        if name == "COPY" and not rest.startswith("--from"):
            assert rest.split()[0] == "dist/viabtc-*.whl"


@pytest.mark.parametrize("service", OURS)
def test_a_container_may_open_as_many_files_as_the_unit(service: str) -> None:
    (unit,) = (ROOT / "deploy" / "systemd").glob(f"viabtc-{service}*.service")
    limit = re.search(r"^LimitNOFILE=(\d+)$", unit.read_text(), re.MULTILINE)
    assert limit is not None
    assert container(service)["ulimits"] == {"nofile": int(limit[1])}


def test_a_database_user_is_never_made_without_its_password(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    script = tmp_path / "databases.sh"
    text = (FOLDER / "databases.sh").read_text()
    assert "/run/secrets/password" in text
    script.write_text(text.replace("/run/secrets/password", str(secret)))
    # As the image's entry point takes it into its own shell, with a function for the server.
    shell = f"set -eo pipefail; docker_process_sql() {{ cat; }}; . {script}"

    def run() -> tuple[bool, str]:
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
        return done.returncode == 0, done.stdout

    assert run() == (False, "")
    secret.touch()
    assert run() == (False, "")
    secret.write_text("0123abcd\n")
    is_well, said = run()
    assert (is_well, said.count("IDENTIFIED BY '0123abcd'")) == (True, 2)


def steps() -> list[str]:
    page = (FOLDER / "README.md").read_text()
    return [line.strip() for line in page.splitlines() if line.startswith("    ")]


def test_the_steps_of_the_page_end_in_files_that_services_take(tmp_path: Path) -> None:
    first, *others, last = steps()
    # What the steps need of the folder comes from these; the others run here.
    assert first == "make build wheel"
    assert last.startswith("docker compose up")
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    subprocess.run(["bash", "-euc", "\n".join(others)], cwd=tmp_path, check=True)
    conf = tmp_path / "deploy" / "compose" / "conf"
    password = (conf / "password").read_text().strip()
    for service in OURS:
        path = conf / f"{service}.json"
        options = ["--strict", "--service", service]
        done = CliRunner().invoke(app, ["check-config", *options, str(path)])
        assert done.exit_code == 0, done.output
        assert "change me" not in path.read_text()
    assert json.loads((conf / "matchengine.json").read_text())["db_log"]["pass"] == password
    assert (conf / "tokens").stat().st_mode & 0o077 == 0
    user = dict(instructions())["USER"]
    assert {path.stat().st_uid for path in (conf, *conf.iterdir())} == {int(user)}
    # MariaDB's own user reads it, in a folder that is closed to everybody else.
    assert (conf / "password").stat().st_mode & 0o777 == 0o644
    assert conf.stat().st_mode & 0o007 == 0
