"""Logs for the operator: one JSON object a line in services, readable lines in a terminal."""

import contextlib
import logging
import socket
import sys
from collections.abc import MutableMapping
from typing import Any, Final, TextIO

import structlog

from viabtc.protocol.alert import write_alert
from viabtc.service.failure import StartFailure
from viabtc.service.sections import AlertSettings, LogSettings

TERMINAL: Final = LogSettings(None, frozenset({"fatal", "error", "warn", "info"}))
"""Readable lines on standard error."""

_CALLSITE: Final = (
    structlog.processors.CallsiteParameter.FILENAME,
    structlog.processors.CallsiteParameter.LINENO,
    structlog.processors.CallsiteParameter.FUNC_NAME,
)
"""Where in the code a line was written."""

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


_URGENT: Final = {"error", "critical"}
"""Levels that a person must act on: they go to the alert centre too."""


class _Alerts:
    """Sends urgent lines to the alert centre as they pass; never waits for it."""

    def __init__(self, settings: AlertSettings) -> None:
        self._settings = settings
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)  # noqa: FBT003

    def __call__(self, _: object, level: str, event: MutableMapping[str, Any]) -> Any:
        if level in _URGENT:
            place = f"{event.get('filename')}:{event.get('lineno')}({event.get('func_name')})"
            left_out = {"event", "level", "filename", "lineno", "func_name"}
            fields = {key: value for key, value in event.items() if key not in left_out}
            words = " ".join([str(event["event"]), *(f"{k}={v}" for k, v in fields.items())])
            packet = write_alert(self._settings.host, f"{place}: {words}")
            # Whoever does not listen does not hear; the line stands in the log.
            with contextlib.suppress(OSError):
                self._socket.sendto(packet, self._settings.address)
        return event


def set_up(
    service: str, settings: LogSettings, alert: AlertSettings | None = None
) -> structlog.stdlib.BoundLogger:
    """Sends log lines to the file `path` + `.log`, or to standard error; urgent ones to `alert`.

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
            structlog.processors.CallsiteParameterAdder(_CALLSITE),
            *([] if alert is None else [_Alerts(alert)]),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
    )
    log: structlog.stdlib.BoundLogger = structlog.get_logger().bind(service=service)
    return log
