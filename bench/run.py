"""Measures every figure that bench/README.md names and says which targets are met.

`make bench` runs all of it; `bench/run.py --only resting --seconds 5` a part. Every server that is
measured gets the same load from the same programs, in turn, several times; the best of the turns
counts, because noise only ever takes away.
"""

import argparse
import contextlib
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from alone import alone_table
from figures import FIGURES, Bench, Figure, Reading, Unavailable
from report import Row, best, machine, report
from servers import ROOT, Kind, Server, our_server, output_of
from websocket import WEBSOCKET_FIGURES

ALL_FIGURES: Final = (*FIGURES, *WEBSOCKET_FIGURES)
RESULTS: Final = ROOT / "bench" / "results"
CORE: Final = "core"
"""Name of the crates' own benchmarks, among the figures' names."""
FUND_S: Final = 0.1
"""Length of the run whose purpose is that users get their funds."""


def main() -> int:
    """Measures, prints, writes the results file."""
    given = options()
    wanted = [name for name in given.only.split(",") if name]
    unknown = set(wanted) - {figure.name for figure in ALL_FIGURES} - {CORE}
    if unknown:
        print(f"no such figure: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    needs_wrk = not wanted or any(not name.startswith(("ws-", CORE)) for name in wanted)
    if needs_wrk and shutil.which("wrk") is None:
        print("wrk is missing: apt-get install wrk", file=sys.stderr)
        return 2
    figures = [figure for figure in ALL_FIGURES if not wanted or figure.name in wanted]
    release = ["cargo", "build", "--release", "-q"]
    output_of([*release, "-p", "viabtc-load"])
    if any(figure.kind in (Kind.HUB, Kind.FLOOD) for figure in figures):
        output_of([*release, "-p", "viabtc-gateway", "--example", "websocket_hub"])
    bench = Bench(given.seconds, given.warmup, given.users, given.market, given.assets)
    facts = machine()
    others = []
    if given.against or given.against_http or given.against_ws:
        others.append(Server("other", given.against, given.against_http, given.against_ws))
    rows = []
    for figure in figures:
        # Each figure begins with an empty server of ours: none finds what another left.
        with our_server(figure.kind, given.config) as ours:
            rows.append(measure(bench, [ours, *others], figure, given.turns))
        print(rows[-1].line(), flush=True)
    is_core = CORE in wanted or not (given.no_core or wanted)
    core = core_alone() if is_core else []
    text = report(bench, facts, rows, core, given.turns)
    file = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-{given.what}.md"
    RESULTS.mkdir(exist_ok=True)
    file.write_text(text)
    print(f"\n{text}\nwritten to {file.relative_to(ROOT)}")
    return 0


def measure(bench: Bench, servers: list[Server], figure: Figure, turns: int) -> Row:
    """One figure of all servers, in turn; their users are funded first."""
    readings: dict[str, list[Reading]] = {server.name: [] for server in servers}
    for server in servers:
        if server.rpc is None and server.http is None:
            continue
        protocol = "rpc" if server.rpc else "http"
        bench.load(server, protocol, "balance", "--seconds", str(FUND_S), "--warmup", "0")
    for turn in range(turns):
        for server in servers if turn % 2 == 0 else reversed(servers):
            with contextlib.suppress(Unavailable):
                reading = figure.measure(bench, server)
                if reading is not None:
                    readings[server.name].append(reading)
    return Row(figure, {name: best(figure, each) for name, each in readings.items()})


def core_alone() -> list[str]:
    """A table of what the benchmark programs of the crates say, and all that they print."""
    lines = []
    programs = []
    for benches in sorted(ROOT.glob("rust/*/benches")):
        crate = benches.parent.name
        programs.append(["cargo", "bench", "-q", "-p", f"viabtc-{crate}"])
    memory = ["cargo", "test", "-q", "--release", "-p", "viabtc-engine", "--test", "memory"]
    programs.append([*memory, "--", "--nocapture"])
    for arguments in programs:
        print(f"{' '.join(arguments)} ...", flush=True)
        lines += [f"`{' '.join(arguments)}`", "", "```text"]
        lines += [*output_of(arguments).strip().splitlines(), "```", ""]
    return [*alone_table(lines), "", *lines]


def options() -> argparse.Namespace:
    """The command line; `AGAINST`, `AGAINST_HTTP` and `AGAINST_WS` stand for options, too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="names of figures, with commas between")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--warmup", type=float, default=2.0)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--market", default="BTCUSDT")
    parser.add_argument("--assets", default="BTC,USDT", help="what is traded, what it is priced in")
    parser.add_argument("--config", type=Path, help="matchengine file for our server")
    parser.add_argument(
        "--against", default=os.environ.get("AGAINST"), help="RPC port of another server"
    )
    parser.add_argument(
        "--against-http", default=os.environ.get("AGAINST_HTTP"), help="HTTP port of the other one"
    )
    parser.add_argument(
        "--against-ws", default=os.environ.get("AGAINST_WS"), help="websocket port of the other one"
    )
    parser.add_argument("--no-core", action="store_true", help="leave the crates' benchmarks out")
    parser.add_argument("--what", default="bench", help="last part of the results file's name")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
