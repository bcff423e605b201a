"""Figures of the websocket port: pushes, crowds, what a connection costs."""

import contextlib
import json
import math
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from figures import LOAD, Bench, Figure, Reading, Target, Unavailable, latency_text, rate
from servers import Kind, Server, free_ports, hub_process, output_of
from told import TOLD

CROWD: Final = int(os.environ.get("CROWD", "100000"))
"""Connections of the figure `ws-crowd`."""
PROCESS_CONNECTIONS: Final = 17_000
"""Of each process: it may open 20,000 files, and the system shares connections out by chance."""
CROWD_S: Final = 600.0
"""How long a crowd may take to connect."""
SUBSCRIBERS: Final = 5_000
SOURCES: Final = 4
"""Local addresses of one load process: a search for a free port gets long when few are left."""


def listen(
    bench: Bench, server: Server, connections: int, *options: str, seconds: float | None = None
) -> dict[str, Any]:
    """Runs the listeners; what they found."""
    if server.websocket is None:
        raise Unavailable
    arguments = [str(LOAD), "websocket", "--address", server.websocket, "--json"]
    arguments += ["--connections", str(connections), *options]
    for number in range(SOURCES):
        arguments += ["--source", f"127.0.0.{number + 2}"]
    length = bench.seconds if seconds is None else seconds
    arguments += ["--seconds", str(length), "--warmup", str(bench.warmup)]
    return dict(json.loads(output_of(arguments)))


@contextlib.contextmanager
def trading(bench: Bench, server: Server, rate_per_s: int) -> Iterator[None]:
    """Orders at a rate, 53 of 100 of which take, while the block runs."""
    if server.rpc is None:
        raise Unavailable
    arguments = [str(LOAD), "--address", server.rpc, "--mode", "trading", "--funded"]
    arguments += ["--rate", str(rate_per_s), "--seconds", "3600", "--users", str(bench.users)]
    arguments += ["--market", bench.market, "--assets", bench.assets]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def pushed(
    rate_per_s: int, *asks: str, parts: tuple[str, ...] = ("p50",), is_aside: bool = False
) -> Callable[[Bench, Server], Reading]:
    """From a deal to its push at every subscriber.

    Args:
        rate_per_s: Orders.
        asks: Subscriptions.
        parts: Percentiles that are figures.
        is_aside: Readers keep out of the server's way.
    """

    def measure(bench: Bench, server: Server) -> Reading:
        options = ["--aside"] if is_aside else []
        for ask in asks:
            options += ["--ask", ask % bench.market]
        with trading(bench, server, rate_per_s):
            found = listen(bench, server, SUBSCRIBERS, *options)
        latency = {name: value / 1000 for name, value in found["latency_us"].items()}
        least, most = found["deals_least"], found["deals_most"]
        values = {part: latency[part] for part in parts}
        values["missing"] = most - least
        read = {name: value / 1000 for name, value in found["read_us"].items()}
        remarks = [
            latency_text(found),
            f"read by one thread: p50 {read['p50']:.2f}, max {read['max']:.2f} ms",
            f"{most} deals at each",
            f"{found['messages_per_s']:.0f}/s",
        ]
        return Reading(values, remarks)

    return measure


def flooded(bench: Bench, server: Server) -> Reading:
    """Messages of 500 bytes to a hundred readers."""
    before = server.cpu_s()
    found = listen(bench, server, 100, "--ask", 'deals.subscribe ["X"]')
    after = server.cpu_s()
    remarks = [f"{found['bytes_per_s'] / 1e6:.0f} MB/s"]
    if before is not None and after is not None:
        # The warm-up and the second after the end are in this figure, too.
        count = found["messages_per_s"] * (bench.seconds + bench.warmup + 1)
        remarks.append(f"{(after - before) * 1e6 / count:.2f} us of server CPU each")
    return Reading({"": found["messages_per_s"]}, remarks)


def idle(bench: Bench, server: Server) -> Reading:
    """What an idle connection adds to the memory of a hub that never had any."""
    place = f"127.0.0.1:{free_ports(1)[0]}"
    with hub_process(place) as process:
        fresh = replace(server, websocket=place)
        found = listen(bench, fresh, 16_000, "--server", str(process), seconds=0)
    return Reading({"": found["connection_bytes"]}, [f"{found['opened']:,} connections"])


def connects(bench: Bench, server: Server) -> Reading:
    """Handshakes and subscriptions a second."""
    before = server.cpu_s()
    found = listen(bench, server, 16_000, "--ask", 'deals.subscribe ["X"]', seconds=0)
    after = server.cpu_s()
    remarks = []
    if before is not None and after is not None:
        remarks.append(f"{(after - before) * 1e6 / found['opened']:.0f} us of server CPU each")
    return Reading({"": found["connects_per_s"]}, remarks)


def crowd(_: Bench, server: Server) -> Reading:
    """Many connections to several processes on one port, from as many processes."""
    if server.pid is None:
        raise Unavailable
    count = math.ceil(CROWD / PROCESS_CONNECTIONS)
    with contextlib.ExitStack() as stack:
        place = f"127.0.0.1:{free_ports(1)[0]}"
        hubs = [stack.enter_context(hub_process(place)) for _ in range(count)]
        files = sum(open_files(hub) for hub in hubs)
        memory = sum(resident_bytes(hub) for hub in hubs)
        began = time.monotonic()
        loads = []
        for number in range(count):
            share = CROWD // count + (1 if number < CROWD % count else 0)
            arguments = [str(LOAD), "websocket", "--address", place, "--connections", str(share)]
            for source in range(SOURCES):
                arguments += ["--source", f"127.0.{number + 1}.{source + 1}"]
            arguments += ["--warmup", "3600"]
            loads.append(subprocess.Popen(arguments, stdout=subprocess.DEVNULL))
            stack.callback(end, loads[-1])
        while sum(open_files(hub) for hub in hubs) - files < CROWD:
            if time.monotonic() - began > CROWD_S or any(load.poll() is not None for load in loads):
                message = f"only {sum(open_files(hub) for hub in hubs) - files} connected"
                raise SystemExit(message)
            time.sleep(0.1)
        elapsed = time.monotonic() - began
        each = (sum(resident_bytes(hub) for hub in hubs) - memory) / CROWD
    remarks = [
        f"{CROWD:,} connections to {count} processes on one port",
        f"all open after {elapsed:.0f} s ({CROWD / elapsed:,.0f}/s)",
    ]
    return Reading({"": each}, remarks)


def end(process: subprocess.Popen[bytes]) -> None:
    """Stops a load process."""
    process.terminate()
    process.wait()


def open_files(process: int) -> int:
    """How many files a process has open."""
    return len(os.listdir(f"/proc/{process}/fd"))  # noqa: PTH208 - names are enough


def resident_bytes(process: int) -> int:
    """What a process has in memory."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


WEBSOCKET: Final = "Websocket"
BYTES: Final = Target(2_048, "bytes", is_minimum=False)
DEALS: Final = 'deals.subscribe ["%s"]'
DEPTH: Final = 'depth.subscribe ["%s", 20, "0"]'


NONE: Final = Target(0, "deals", is_minimum=False)
"""Every subscriber is told every deal."""


def latest(p50: float, largest: float) -> dict[str, Target]:
    """Targets in milliseconds."""
    most = Target(largest, "ms", is_minimum=False)
    return {"p50": Target(p50, "ms", is_minimum=False), "max": most, "missing": NONE}


WEBSOCKET_FIGURES: Final = (
    Figure(
        "ws-deals",
        WEBSOCKET,
        Kind.RUN,
        f"deal to `deals.update` at {SUBSCRIBERS:,} subscribers, 20 orders/s",
        latest(5, 50),
        pushed(20, DEALS, parts=("p50", "max")),
    ),
    Figure(
        "ws-deals-aside",
        WEBSOCKET,
        Kind.RUN,
        "the same, readers aside: woken by no write, acknowledging when they read",
        latest(5, 50),
        pushed(20, DEALS, parts=("p50", "max"), is_aside=True),
    ),
    Figure(
        "ws-depth",
        WEBSOCKET,
        Kind.RUN,
        "deal to `deals.update` with `depth.update` beside it, 300 orders/s",
        {"p50": Target(20, "ms", is_minimum=False), "missing": NONE},
        pushed(300, DEALS, DEPTH),
    ),
    TOLD,
    Figure(
        "ws-flood",
        WEBSOCKET,
        Kind.FLOOD,
        "messages of 500 bytes pushed to 100 readers",
        rate(400_000),
        flooded,
    ),
    Figure("ws-idle", WEBSOCKET, Kind.HUB, "memory of an idle connection", {"": BYTES}, idle),
    Figure(
        "ws-connects",
        WEBSOCKET,
        Kind.HUB,
        "connections opened and subscribed",
        rate(10_000),
        connects,
    ),
    Figure(
        "ws-crowd", WEBSOCKET, Kind.HUB, "memory of a connection in a crowd", {"": BYTES}, crowd
    ),
)
