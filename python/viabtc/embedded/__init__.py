"""One process on embedded parts: `viabtc run`."""
