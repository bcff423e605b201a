"""`python -m viabtc` is the command `viabtc`."""

from viabtc.cli import main

if __name__ == "__main__":
    main()
