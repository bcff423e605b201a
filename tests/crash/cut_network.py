"""Services in a network of their own, whose packets are dropped.

`unshare --net python -m crash.cut_network DIRECTORY` starts an engine and an `accesshttp` in front
of it, drops what they send to each other until no side takes the connection for open, and lets
packets through again. It prints how long that took, and ends with an assertion's words when a step
fails.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from harness.configs import small_config
from harness.http import Connection
from harness.processes import start_accesshttp, start_matchengine

ESTABLISHED: Final = "01"
"""Of a connection. Source: include/net/tcp_states.h."""

ANSWER_S_MAX: Final = 20.0
"""For a request that the engine does not get; the service gives up after one second."""


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def drop(port: int) -> None:
    """Lets nothing through to `port`, nor from it."""
    for end in ("dport", "sport"):
        run("nft", "add", "rule", "inet", "cut", "input", "tcp", end, str(port), "drop")


def open_ends(port: int) -> list[str]:
    """Ends of connections with `port` that this network takes for open: "server" or "client"."""
    ends = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, remote, state = line.split()[1:4]
        if state == ESTABLISHED:
            here, there = (int(address.rpartition(":")[2], 16) for address in (local, remote))
            ends += ["server"] * (here == port) + ["client"] * (there == port)
    return sorted(ends)


def main() -> None:
    directory = Path(sys.argv[1])
    run("ip", "link", "set", "lo", "up")
    run("nft", "add", "table", "inet", "cut")
    hook = "{ type filter hook input priority 0; }"
    run("nft", "add", "chain", "inet", "cut", "input", hook)

    config = small_config()
    config["svr"]["heartbeat_check"] = True
    engine = start_matchengine(directory, config)
    place = engine.place("rpc")
    edge = start_accesshttp(directory, {"matchengine": [place]})
    with Connection(edge.place("http")) as door:
        door.result("balance.query", 1, "BTC")
    assert open_ends(place[1]) == ["client", "server"]

    drop(place[1])
    cut_at = time.monotonic()
    with Connection(edge.place("http")) as door:
        assert door.call("balance.query", 1, "BTC")["error"] is not None
    answered_s = time.monotonic() - cut_at
    assert answered_s < ANSWER_S_MAX
    engine.until(lambda: open_ends(place[1]) == [])
    ended_s = time.monotonic() - cut_at
    assert edge.status()["links"] == {
        "matchengine": False,
        "marketprice": False,
        "readhistory": False,
    }

    run("nft", "flush", "chain", "inet", "cut", "input")
    healed_at = time.monotonic()
    edge.until(lambda: edge.status()["links"]["matchengine"])
    with Connection(edge.place("http")) as door:
        door.result("balance.query", 1, "BTC")
    served_s = time.monotonic() - healed_at
    figures = f"refused after {answered_s:.1f} s, closed on both sides after {ended_s:.1f} s"
    print(f"{figures}, served {served_s:.1f} s after packets came through")  # noqa: T201
    assert edge.stop() == 0, edge.said()
    assert engine.stop() == 0, engine.said()


if __name__ == "__main__":
    main()
