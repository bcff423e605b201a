"""An engine in a process that is given little memory beyond its start, until it has no more.

`python -m crash.confined_life DIRECTORY BYTES` makes deposits for ever new users, and prints a line
for each that was acknowledged. Syncs are left out, which makes it quick; what is written survives
the end of a process either way.
"""

import json
import re
import resource
import sys
from pathlib import Path
from typing import Final

from harness.configs import small_config
from harness.model import UPDATE_BALANCE
from viabtc import _core

USERS_MAX: Final = 400_000


def main() -> None:
    data, spare_bytes = sys.argv[1], int(sys.argv[2])
    engine = _core.Engine(
        json.dumps(small_config()), data, durability="async", segment_bytes=1 << 20
    )
    status = Path("/proc/self/status").read_text()
    used = re.search(r"VmSize:\s+(\d+) kB", status)
    assert used is not None
    limit = int(used[1]) * 1024 + spare_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for user in range(1, USERS_MAX):
        reply = engine.call(UPDATE_BALANCE, b'[%d, "BTC", "test", %d, "1", {}]' % (user, user))
        assert b'"error": null' in reply, reply
        sys.stdout.write(f"{user}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
