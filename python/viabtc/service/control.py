"""The control app of a service: health, metrics, status. It owns the event loop of the process."""

import re
import resource
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import Body, FastAPI, HTTPException, Response
from fastapi.responses import JSONResponse
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    PlatformCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from viabtc import __version__
from viabtc.protocol.logline import LEVELS
from viabtc.service.auditlog import ASKED, DONE, AuditLog, AuditLogError
from viabtc.service.logs import Logs
from viabtc.service.run import Figures, Part

_PAGES: Final = Path("/proc/self/statm")
"""Of this process: the second number is what it holds in memory."""

_BUCKET: Final = re.compile(r"(?P<name>.+)_us_bucket_(?P<us>\d+|inf)")
"""A figure that counts what took at most so many microseconds."""


def build_control(service: str, part: Part, written: Logs, audit: AuditLog) -> FastAPI:
    """Builds the app of the service called `service` over what it is made of, and its logs."""
    # The framework's own pages for the document would load their programs from elsewhere.
    app = FastAPI(
        title=f"viabtc {service} control",
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    started_s = time.time()

    def figures() -> Mapping[str, Figures]:
        # The confined process does not see all that the library's own figures are made of.
        own = {
            "ready": part.is_ready(),
            "started_seconds": started_s,
            "cpu_seconds_total": time.process_time(),
            "memory_bytes": int(_PAGES.read_text().split()[1]) * resource.getpagesize(),
        }
        return {"service": own, **part.figures()}

    registry = _registry(_Figures(figures), *part.collectors())

    @app.get("/health/live")
    def live() -> dict[str, str]:
        """The process runs its event loop."""
        return {"status": "live"}

    @app.get("/health")
    @app.get("/health/ready")
    def ready() -> JSONResponse:
        """Whether traffic may come: 200 or 503."""
        if part.is_ready():
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready"}, status_code=503)

    @app.get("/status")
    def show_status() -> dict[str, Any]:
        """Positions, recovery, ports."""
        return {"service": service, "version": __version__, **part.status()}

    @app.get("/metrics")
    def metrics() -> Response:
        """Figures in Prometheus' text format."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    _add_levels(app, service, written, audit)
    part.extend(app)
    return app


def _add_levels(app: FastAPI, service: str, written: Logs, audit: AuditLog) -> None:
    """Levels of the log, looked at and changed while the service runs."""

    @app.get("/log/levels")
    def show_levels() -> dict[str, list[str]]:
        """Levels whose lines are written."""
        return {"levels": [level for level in LEVELS if level in written.levels]}

    @app.put("/log/levels")
    async def set_levels(levels: Annotated[list[str], Body(embed=True)]) -> dict[str, list[str]]:
        """Writes these levels, and no others, from now on; the next start reads the file again."""
        unknown = set(levels) - set(LEVELS)
        if unknown:
            right = f"some of {', '.join(LEVELS)}"
            raise HTTPException(
                422, f"no level: {', '.join(sorted(unknown))}; right would be {right}"
            )
        try:
            await audit.write(service, "log levels", levels, ASKED)
            written.set_levels(set(levels))
            await audit.write(service, "log levels", None, DONE)
        except AuditLogError as error:
            raise HTTPException(503, "the audit log cannot be written") from error
        return show_levels()


def _registry(*collectors: Collector) -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    for collector in collectors:
        registry.register(collector)
    return registry


class _Figures(Collector):
    """Turns numbers by name into metric families at each scrape.

    Names that end in `_us_bucket_BOUND` are one histogram in seconds, with the sum in `_us_total`.
    """

    def __init__(self, figures: Callable[[], Mapping[str, Figures]]) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        for part, values in self._figures().items():
            buckets: dict[str, list[tuple[str, float]]] = {}
            for name, value in values.items():
                if found := _BUCKET.fullmatch(name):
                    bound = "+Inf" if found["us"] == "inf" else str(int(found["us"]) / 1e6)
                    buckets.setdefault(found["name"], []).append((bound, value))
            for name, counted in buckets.items():
                sum_s = values.get(f"{name}_us_total", 0) / 1e6
                full = f"viabtc_{part}_{name}_seconds"
                yield HistogramMetricFamily(full, name, buckets=counted, sum_value=sum_s)
            for name, value in values.items():
                full = f"viabtc_{part}_{name}"
                if _BUCKET.fullmatch(name) or name.removesuffix("_us_total") in buckets:
                    continue
                if name.endswith("_total"):
                    counter = CounterMetricFamily(full.removesuffix("_total"), name)
                    counter.add_metric([], value)
                    yield counter
                else:
                    gauge = GaugeMetricFamily(full, name)
                    gauge.add_metric([], value)
                    yield gauge
