"""Sample files: configurations load as they are, units are sound and confined."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.places import ROOT
from viabtc.cli import SERVICES, load_service

CONFIGS = sorted((ROOT / "deploy" / "config").glob("*.json"))
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))

EXPOSURE_MAX = 15
"""Of `systemd-analyze security`, in tenths."""


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_sample_configuration_is_used_whole(path: Path) -> None:
    _, findings = load_service(path.stem).read(path)
    assert not findings.unknown
    assert not findings.exposed


def test_every_service_has_a_sample_and_a_unit() -> None:
    assert {path.stem for path in CONFIGS} == set(SERVICES)
    names = {path.stem.removeprefix("viabtc-").removesuffix("@") for path in UNITS}
    assert set(SERVICES) <= names


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_confines_its_service(path: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}"]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_has_no_key_that_is_unknown(path: Path) -> None:
    # The tool succeeds whatever it finds: what it prints counts.
    command = ["systemd-analyze", "verify", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "is not executable" not in line]
    assert said == []


def test_samples_are_plain_json() -> None:
    for path in CONFIGS:
        assert json.loads(path.read_text())


@pytest.mark.parametrize("check", [("rules", "rules.yml"), ("config", "prometheus.yml")])
def test_prometheus_takes_rules_and_targets(check: tuple[str, str]) -> None:
    if shutil.which("promtool") is None:
        pytest.fail("promtool is missing: run tests/install.sh", pytrace=False)
    kind, file = check
    command = ["promtool", "check", kind, str(ROOT / "deploy" / "prometheus" / file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_service_is_scraped_where_the_samples_have_it() -> None:
    text = (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text()
    for path in CONFIGS:
        control = json.loads(path.read_text())["viabtc"]["control"]
        assert f'"{control}"], labels: {{service: {path.stem}}}' in text
