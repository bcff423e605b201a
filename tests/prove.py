"""`make prove`: the full reliability figures, in parts of at most 20 minutes, until all are done.

    python tests/prove.py [--kills N] [--minutes N]

The exit code is 0 when everything is done, 3 when another part is needed, and 1 when something did
not hold.
"""

import argparse
import sys

from crash.proving import prove_kills

DONE = 0
FAILED = 1
MORE = 3


def main() -> int:
    parser = argparse.ArgumentParser(description="Reliability figures, in resumable parts.")
    parser.add_argument("--kills", type=int, default=10_000)
    parser.add_argument("--minutes", type=int, default=18)
    options = parser.parse_args()
    try:
        return DONE if prove_kills(options.kills, options.minutes) else MORE
    except AssertionError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
