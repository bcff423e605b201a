"""What is measured, how, and what must be reached."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from servers import ROOT, Kind, Server, output_of

from viabtc.service.tokens import open_tokens

LOAD: Final = ROOT / "target" / "release" / "viabtc-load"
WRK_SCRIPT: Final = ROOT / "bench" / "wrk" / "post.lua"


REST: Final = "rest"
"""The mode of wrk that asks the REST API."""


class Unavailable(Exception):  # noqa: N818 - it says that nothing is wrong
    """The server has no such port."""


@dataclass(frozen=True)
class Target:
    """What a figure must reach."""

    value: float
    unit: str
    is_minimum: bool = True

    def is_met(self, measured: float) -> bool:
        """Whether it is reached."""
        return measured >= self.value if self.is_minimum else measured <= self.value

    def text(self) -> str:
        """For the table."""
        return f"{'>=' if self.is_minimum else '<='} {number(self.value)} {self.unit}"


@dataclass
class Reading:
    """What one turn found: values by the figure's parts, and remarks."""

    values: dict[str, float]
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Figure:
    """One row or more of the table."""

    name: str
    table: str
    kind: Kind
    """Which server of ours."""
    what: str
    targets: dict[str, Target]
    measure: Callable[["Bench", Server], Reading | None]
    """None when the server does not offer it."""


@dataclass
class Bench:
    """Options of this run."""

    seconds: float
    warmup: float
    users: int
    market: str
    assets: str
    log: list[str] = field(default_factory=list)

    def load(self, server: Server, protocol: str, mode: str, *options: str) -> dict[str, Any]:
        """Runs the load generator; its JSON."""
        address = server.rpc if protocol == "rpc" else server.http
        if address is None:
            raise Unavailable
        arguments = [str(LOAD), "--address", address, "--protocol", protocol, "--mode", mode]
        arguments += ["--market", self.market, "--assets", self.assets, "--json"]
        arguments += ["--users", str(self.users), *options]
        return dict(json.loads(output_of(arguments)))

    def timed(self) -> list[str]:
        """Options for length and warm-up."""
        return ["--seconds", str(self.seconds), "--warmup", str(self.warmup)]

    def wrk(self, server: Server, mode: str, connections: int) -> Reading | None:
        """Runs wrk, after a short run that looks at every answer."""
        place = server.rest if mode == REST else server.http
        if place is None:
            return None
        base = self.assets.partition(",")[0]
        given = {"MODE": mode, "MARKET": self.market, "BASE": base, "USERS": str(self.users)}
        environment = {**os.environ, **given}
        if mode == REST and server.tokens is not None:
            environment["TOKEN"] = open_tokens(server.tokens).by_name["user-1"]
        address = f"http://{place}/"
        arguments = ["wrk", "-t1", f"-c{connections}", "--latency", "-s", str(WRK_SCRIPT)]
        checked = output_of([*arguments, "-d1s", address], {**environment, "CHECK": "1"})
        counts = re.search(r"checked accepted=(\d+) refused=(\d+)", checked)
        if counts is None:
            message = f"wrk said no counts:\n{checked}"
            raise SystemExit(message)
        accepted, refused = int(counts[1]), int(counts[2])
        if accepted == 0:
            return None
        before = server.cpu_s()
        text = output_of([*arguments, f"-d{self.seconds:.0f}s", address], environment)
        after = server.cpu_s()
        rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
        p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
        if rate is None or p99 is None:
            message = f"wrk said no rate:\n{text}"
            raise SystemExit(message)
        share = accepted / (accepted + refused)
        value = float(rate[1]) * share
        scale = {"us": 1e-3, "ms": 1.0, "s": 1e3}[p99[2]]
        remarks = [f"p99 {float(p99[1]) * scale:.1f} ms"]
        if refused:
            remarks.append(f"{100 * (1 - share):.1f} % refused")
        if before is not None and after is not None:
            spent = (after - before) * 1e6 / (float(rate[1]) * self.seconds)
            remarks.append(f"{spent:.1f} us of server CPU each")
        return Reading({"": value}, remarks)


def closed(mode: str, connections: int = 8, window: int = 32) -> Callable[[Bench, Server], Reading]:
    """As many answers a second as there can be over RPC."""

    def measure(bench: Bench, server: Server) -> Reading:
        before = server.cpu_s()
        options = ["--connections", str(connections), "--window", str(window)]
        run = bench.load(server, "rpc", mode, *options, *bench.timed())
        after = server.cpu_s()
        remarks = latency_remarks(run)
        if before is not None and after is not None and run["answers_per_s"]:
            # The warm-up and the deposits before it are in this figure, too.
            spent = (after - before) * 1e6 / (run["answers_per_s"] * (bench.seconds + bench.warmup))
            remarks.append(f"{spent:.1f} us of server CPU each")
        return Reading({"": run["accepted_per_s"]}, remarks)

    return measure


def paced(
    protocol: str, mode: str, rate: int, connections: int = 8
) -> Callable[[Bench, Server], Reading]:
    """Latency at a rate, from the intended send times."""

    def measure(bench: Bench, server: Server) -> Reading:
        options = ["--connections", str(connections), "--rate", str(rate)]
        run = bench.load(server, protocol, mode, *options, *bench.timed())
        latency = {name: value / 1000 for name, value in run["latency_us"].items()}
        return Reading({"p50": latency["p50"], "p99": latency["p99"]}, latency_remarks(run))

    return measure


def round_trip(bench: Bench, server: Server) -> Reading:
    """One client that waits for each answer."""
    options = ["--connections", "1", "--window", "1"]
    run = bench.load(server, "http", "resting", *options, *bench.timed())
    latency = {name: value / 1000 for name, value in run["latency_us"].items()}
    return Reading({"p50": latency["p50"], "p99": latency["p99"]}, latency_remarks(run))


def by_wrk(mode: str, connections: int = 64) -> Callable[[Bench, Server], Reading | None]:
    """As many answers a second as there can be through the front door."""
    return lambda bench, server: bench.wrk(server, mode, connections)


def latency_remarks(run: dict[str, Any]) -> list[str]:
    """What the load generator says beside the rate."""
    remarks = [latency_text(run)]
    if run["taking_share"] is not None:
        remarks.append(f"{100 * run['taking_share']:.0f} % take")
    if run["refused"]:
        remarks.append(f"refused {run['refused']}")
    if run["unanswered"]:
        remarks.append(f"{run['unanswered']} unanswered")
    return remarks


def latency_text(run: dict[str, Any]) -> str:
    """Its percentiles in milliseconds."""
    latency = run["latency_us"]
    names = ("p50", "p99", "p99.9", "max")
    return "/".join(names) + " " + "/".join(f"{latency[n] / 1000:.2f}" for n in names) + " ms"


def rate(value: float) -> dict[str, Target]:
    """A target for a figure of one part."""
    return {"": Target(value, "/s")}


def percentiles(p50: float, p99: float) -> dict[str, Target]:
    """Targets for latencies in milliseconds."""
    return {"p50": Target(p50, "ms", is_minimum=False), "p99": Target(p99, "ms", is_minimum=False)}


ENGINE: Final = "Engine (binary RPC, durable)"
DOOR: Final = "Front door (HTTP, one client process)"
WINDOW_TEXT: Final = "8 connections, 32 in flight each"

FIGURES: Final = (
    Figure(
        "resting",
        ENGINE,
        Kind.ENGINE,
        f"resting orders, {WINDOW_TEXT}",
        rate(240_000),
        closed("resting"),
    ),
    Figure(
        "deposit",
        ENGINE,
        Kind.ENGINE,
        f"`balance.update`, {WINDOW_TEXT}",
        rate(250_000),
        closed("deposit"),
    ),
    Figure(
        "trading",
        ENGINE,
        Kind.ENGINE,
        f"trading orders, {WINDOW_TEXT}",
        rate(100_000),
        closed("trading"),
    ),
    Figure(
        "cancel",
        ENGINE,
        Kind.ENGINE,
        f"orders and their cancels, {WINDOW_TEXT}",
        {},
        closed("cancel"),
    ),
    Figure(
        "latency",
        ENGINE,
        Kind.ENGINE,
        "resting orders at 1,000/s, open loop",
        percentiles(0.35, 1.5),
        paced("rpc", "resting", 1_000),
    ),
    Figure(
        "trading-all",
        ENGINE,
        Kind.RUN,
        f"trading orders with history and candles in the same process, {WINDOW_TEXT}",
        {},
        closed("trading"),
    ),
    Figure(
        "last", DOOR, Kind.RUN, "`market.last`, wrk, 64 connections", rate(100_000), by_wrk("last")
    ),
    Figure(
        "depth", DOOR, Kind.RUN, "`order.depth`, wrk, 64 connections", rate(70_000), by_wrk("depth")
    ),
    Figure(
        "balance",
        DOOR,
        Kind.RUN,
        "`balance.query`, wrk, 64 connections",
        rate(70_000),
        by_wrk("balance"),
    ),
    Figure(
        "http-resting",
        DOOR,
        Kind.RUN,
        "`order.put_limit` that rests, wrk, 64 connections",
        rate(60_000),
        by_wrk("resting"),
    ),
    Figure(
        "http-crossing",
        DOOR,
        Kind.RUN,
        "`order.put_limit` that crosses, wrk, 64 connections",
        rate(50_000),
        by_wrk("crossing"),
    ),
    Figure(
        "round-trip",
        DOOR,
        Kind.RUN,
        "`order.put_limit` of one client that waits for each answer",
        percentiles(0.5, 1.0),
        round_trip,
    ),
    Figure(
        "rest-order",
        DOOR,
        Kind.REST,
        "`POST /api/v1/orders` that rests, through FastAPI, one worker, wrk, 32 connections",
        rate(6_000),
        by_wrk(REST, 32),
    ),
)


def number(value: float) -> str:
    """With thousands apart, and decimals only where they say something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"  # noqa: PLR2004 - three digits
