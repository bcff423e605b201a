"""Logs for the operator: one JSON object a line in services, readable lines in a terminal."""

import logging
import sys
from typing import IO, Any

import structlog


def set_up(service: str, file: str | None = None) -> structlog.stdlib.BoundLogger:
    """Sends log lines to `file` (base name; `.log` is appended) or to standard error.

    Raises:
        OSError: the file cannot be opened.
    """
    stream: IO[str] = sys.stderr
    if file is not None:
        stream = open(f"{file}.log", "a", encoding="utf-8", buffering=1)  # noqa: PTH123, SIM115
    renderer: Any = structlog.processors.JSONRenderer()
    if file is None and stream.isatty():
        renderer = structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(stream),
    )
    log: structlog.stdlib.BoundLogger = structlog.get_logger().bind(service=service)
    return log
