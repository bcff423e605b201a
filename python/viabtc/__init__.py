"""An exchange backend: a durable matching engine in Rust, and the services around it."""

from viabtc._core import VERSION as __version__

__all__ = ["__version__"]
