"""`python -m viabtc` is the command `viabtc`."""

import sys

from viabtc.cli import main

if __name__ == "__main__":
    sys.exit(main())
