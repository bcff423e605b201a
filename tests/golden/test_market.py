"""Every recorded call of market data is answered as recorded, while whole scenarios are played."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from golden.transcript import SCENARIOS, Comparison, assert_one_line, calls
from harness.http import Connection
from harness.processes import Server, start_exchange


def until_caught_up(server: Server) -> None:
    """Waits until market data holds what the engine has done.

    How soon that is, which the README of the transcripts bounds, is tested by `system/test_market`.
    """
    sequence = server.status()["sequence"]
    server.until(lambda: server.status()["market"]["sequence"] >= sequence)


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name != "balances"])
def test_every_recorded_answer_of_market_data_comes_again(
    scenario: str, tmp_path: Path, golden_config: dict[str, Any]
) -> None:
    own = {"first_candle_zero": True}
    server = start_exchange(tmp_path, {**golden_config, "viabtc": own})
    comparison = Comparison(earliest=time.time())
    compared = 0
    with Connection(server.place("http")) as door:
        for call in calls(scenario):
            method = call.declared
            if method is None or call.status != 200 or method.owner == "readhistory":
                continue
            request = {"method": call.method, "params": call.params, "id": call.body["id"]}
            if method.owner == "marketprice":
                until_caught_up(server)
            response = door.post(json.dumps(request, ensure_ascii=False).encode())
            if method.owner == "marketprice":
                assert_one_line(response.body.decode())
                comparison.same(call, response.document, time.time())
                compared += 1
    assert server.stop() == 0, server.said()
    assert compared >= 4, f"only {compared} were compared"
