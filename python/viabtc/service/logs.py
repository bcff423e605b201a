"""Logs for the operator: one JSON object a line in services, readable lines in a terminal."""

import logging
import sys
from typing import Any, Final, TextIO

import structlog

from viabtc.service.common import LogSettings
from viabtc.service.failure import StartFailure

TERMINAL: Final = LogSettings(None, frozenset({"fatal", "error", "warn", "info"}))
"""Readable lines on standard error."""

_LEVELS: Final = {
    "fatal": logging.CRITICAL,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "notice": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
}
"""The original's levels in ours."""


def set_up(service: str, settings: LogSettings) -> structlog.stdlib.BoundLogger:
    """Sends log lines to the file `path` + `.log`, or to standard error.

    Raises:
        StartFailure: the file cannot be opened.
    """
    stream: TextIO = sys.stderr
    if settings.path is not None:
        try:
            stream = open(f"{settings.path}.log", "a", encoding="utf-8", buffering=1)  # noqa: PTH123, SIM115
        except OSError as error:
            raise StartFailure(
                f"cannot write the log {settings.path}.log: {error.strerror}",
                "make its directory, or change log.path",
            ) from error
    renderer: Any = structlog.processors.JSONRenderer()
    if settings.path is None and stream.isatty():
        renderer = structlog.dev.ConsoleRenderer()
    level = min(
        (_LEVELS[word] for word in settings.levels if word in _LEVELS), default=logging.CRITICAL
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
    )
    log: structlog.stdlib.BoundLogger = structlog.get_logger().bind(service=service)
    return log
