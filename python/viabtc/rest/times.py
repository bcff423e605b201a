"""How long requests of the API take, by route: a histogram of the control app's metrics."""

import time
from typing import Final

from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

_NS: Final = 1_000_000_000

_OTHER: Final = "other"
"""The route of requests that have none: addresses are the client's choice, and no label."""


def new_times() -> Histogram:
    """An empty histogram: method, route, and the first digit of the status."""
    return Histogram(
        "viabtc_rest_request_seconds",
        "From a request's head to the end of its answer.",
        ("method", "route", "status"),
        buckets=_BOUNDS_S,
        registry=None,
    )


class Timed:
    """Measures every request of the app that it stands around; routes are told without `prefix`."""

    def __init__(self, app: ASGIApp, times: Histogram, prefix: str) -> None:
        self._app = app
        self._times = times
        self._prefix = prefix
        self._children: dict[tuple[str, str, int], Histogram] = {}
        """By method, route and first digit of the status: there are no more than routes have."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_ns, status = time.perf_counter_ns(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            took_ns = time.perf_counter_ns() - began_ns
            # FastAPI notes the route that it chose.
            path = getattr(scope.get("route"), "path", _OTHER)
            self._child(scope["method"], path, status // 100).observe(took_ns / _NS)

    def _child(self, method: str, path: str, digit: int) -> Histogram:
        key = (_OTHER if path == _OTHER else method, path, digit)
        if key not in self._children:
            route = path.removeprefix(self._prefix)
            self._children[key] = self._times.labels(key[0], route, f"{digit}xx")
        return self._children[key]
