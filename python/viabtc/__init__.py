"""An exchange backend: a durable matching engine in Rust, and the services around it."""

from viabtc import _core

__version__ = _core.VERSION

__all__ = ["__version__"]
