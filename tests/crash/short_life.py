"""The life of an engine in one short process, for tests that let its calls to the system fail.

`python -m crash.short_life DIRECTORY` starts, appends over several segments, closes one, makes a
snapshot, appends, and stops; then it does all of it again over what is there. Beside the snapshot
stands one that was not finished and has to go. It prints a line for each acknowledged deposit of 1.
A failure that ends it is told on standard error.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from harness.configs import small_config
from harness.model import UPDATE_BALANCE
from viabtc import _core

LIVES: Final = 2
DEPOSITS: Final = 6
"""At each of two times in a life."""
TEXT_BYTES: Final = 1_000
"""Of a deposit's detail: a segment is full after a few."""
SEGMENT_BYTES: Final = 16_384
REFUSED: Final = 3
"""A code that says that nothing was done."""
UNFINISHED: Final = f"snapshot-{9:020}.snap.unfinished"
"""What is no segment and no whole snapshot becomes nothing else: it is removed."""


def deposit(engine: _core.Engine, number: int) -> None:
    params: list[Any] = [1, "BTC", "test", number, "1", {"text": "x" * TEXT_BYTES}]
    error = json.loads(engine.call(UPDATE_BALANCE, json.dumps(params).encode()))["error"]
    if error is None:
        print(number, flush=True)  # noqa: T201 - read by the test
    else:
        assert error["code"] == REFUSED, error


def main() -> int:
    data = Path(sys.argv[1])
    number = 0
    try:
        for _ in range(LIVES):
            engine = _core.Engine(
                json.dumps(small_config()), str(data), segment_bytes=SEGMENT_BYTES
            )
            for step in range(2 * DEPOSITS):
                if step == DEPOSITS:
                    engine.rotate()
                    (data / UNFINISHED).touch()
                    _core.write_snapshot(str(data))
                number += 1
                deposit(engine, number)
            engine.stop()
    except (_core.StartError, _core.UnavailableError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - read by the test
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
