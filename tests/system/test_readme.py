"""The first page: its first trade, as it stands, on an exchange as `make run` starts it."""

import json
import re
import subprocess
from pathlib import Path
from typing import Final

from harness.places import ROOT
from harness.processes import VIABTC, start_exchange

README: Final = (ROOT / "README.md").read_text()


def test_the_first_trade_ends_as_the_page_says(tmp_path: Path) -> None:
    (commands,) = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    (wanted,) = re.findall(r"^```json\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    server = start_exchange(tmp_path)
    try:
        host, port = server.place("http")
        done = subprocess.run(
            [
                "bash",
                "-euo",
                "pipefail",
                "-c",
                commands.replace("127.0.0.1:8080", f"{host}:{port}"),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert [answer["error"] for answer in answers] == [None] * 5
        assert answers[-1] == json.loads(wanted)
        # What comes next on the page plays in this market, in which nobody's orders may be left.
        (tmp_path / "few.csv").write_text(
            "event,order_id,side,price,amount\nadd,1,bid,100,1\ndelete,1,bid,100,1\n"
        )
        replay = [*VIABTC, "replay", str(tmp_path / "few.csv"), "--http", f"{host}:{port}"]
        played = subprocess.run(replay, capture_output=True, text=True, timeout=60, check=False)
        assert played.returncode == 0, played.stdout + played.stderr
        assert "OK" in played.stdout
    finally:
        assert server.stop() == 0, server.said()
