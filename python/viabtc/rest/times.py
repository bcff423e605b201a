"""How long requests of the API take, by route: a histogram of the control app's metrics."""

from typing import Final

from prometheus_client import Histogram
from starlette.types import Scope

_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

_NS: Final = 1_000_000_000

_OTHER: Final = "other"
"""The route of requests that have none: addresses are the client's choice, and no label."""


class Times:
    """Counts requests; routes are told without `prefix`."""

    def __init__(self, prefix: str) -> None:
        self.histogram = Histogram(
            "viabtc_rest_request_seconds",
            "From a request's head to the end of its answer.",
            ("method", "route", "status"),
            buckets=_BOUNDS_S,
            registry=None,
        )
        self._prefix = prefix
        self._children: dict[tuple[str, str, int], Histogram] = {}
        """By method, route and first digit of the status: there are no more than routes have."""

    def observe(self, scope: Scope, status: int, took_ns: int) -> None:
        """Counts a request that was answered."""
        # FastAPI notes the route that it chose.
        path = getattr(scope.get("route"), "path", _OTHER)
        key = (_OTHER if path == _OTHER else scope["method"], path, status // 100)
        child = self._children.get(key)
        if child is None:
            labels = (key[0], path.removeprefix(self._prefix), f"{key[2]}xx")
            child = self._children[key] = self.histogram.labels(*labels)
        child.observe(took_ns / _NS)
