"""Logs for the operator: JSON lines in services, readable lines in a terminal.

A service that was started from an original's file writes the original's lines.
"""

import contextlib
import faulthandler
import logging
import os
import socket
import sys
from collections.abc import Callable, MutableMapping
from datetime import datetime
from typing import Any, Final, TextIO, cast

import structlog

from viabtc.protocol.alert import write_alert
from viabtc.protocol.logline import VIP, format_line, one_less, one_more
from viabtc.service.logfile import LogFile, open_log
from viabtc.service.sections import AlertSettings, LogSettings

TERMINAL: Final = LogSettings(None, frozenset({"fatal", "error", "warn", "info"}), form="text")
"""Readable lines on standard error."""

_CALLSITE: Final = (
    structlog.processors.CallsiteParameter.FILENAME,
    structlog.processors.CallsiteParameter.LINENO,
    structlog.processors.CallsiteParameter.FUNC_NAME,
)
"""Where in the code a line was written."""

_WORDS: Final = {
    "critical": "fatal",
    "exception": "error",
    "error": "error",
    "warning": "warn",
    "info": "info",
    "debug": "debug",
}
"""Our levels in the original's words."""

_URGENT: Final = {"error", "critical"}
"""Levels that a person must act on: they go to the alert centre too."""

_written: Final[set[str]] = set()
"""Levels that are written now: a process has one log."""

Line = MutableMapping[str, Any]


class Logs:
    """The log of a process, and which of its levels are written; `set_up` makes one.

    Attributes:
        log: What is written to.
        levels: The enabled ones, in the original's words.
    """

    def __init__(
        self, log: structlog.stdlib.BoundLogger, levels: set[str], traces: LogFile | None
    ) -> None:
        self.log = log
        self.levels = levels
        self._traces = traces
        self._heeders: list[Callable[[set[str]], None]] = []

    def on_levels(self, heed: Callable[[set[str]], None]) -> None:
        """Calls `heed` with the enabled levels, now and at each change."""
        self._heeders.append(heed)
        heed(self.levels)

    def trace_crashes(self) -> None:
        """Has the stacks of all threads written when a signal such as SIGSEGV or SIGABRT ends us.

        They are no JSON: only a log of the original's lines gets them, else standard error does.
        """
        if self._traces is None:
            faulthandler.enable()
        else:
            self._traces.on_open(faulthandler.enable)

    def set_levels(self, levels: set[str]) -> None:
        """Writes these levels from now on, and says so."""
        self.levels.clear()
        self.levels.update(levels)
        for heed in self._heeders:
            heed(self.levels)
        self.log.info("log levels", levels=sorted(levels), vip=True)

    def more(self) -> None:
        """One level more, as SIGTTIN asks."""
        level = one_more(self.levels)
        self.set_levels(self.levels | ({level} if level else set()))

    def less(self) -> None:
        """One level less, as SIGTTOU asks."""
        self.set_levels(self.levels - {one_less(self.levels)})


class _Filter:
    """Drops what is not enabled; lines marked `vip` are always written."""

    def __init__(self, levels: set[str]) -> None:
        self._levels = levels

    def __call__(self, _: object, method: str, line: Line) -> Line:
        if not line.get("vip") and _WORDS[method] not in self._levels:
            raise structlog.DropEvent
        return line


class _Alerts:
    """Sends urgent lines to the alert centre as they pass; never waits for it."""

    def __init__(self, settings: AlertSettings) -> None:
        self._settings = settings
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)  # noqa: FBT003
        self._is_connected = False

    def _send(self, packet: bytes) -> None:
        if not self._is_connected:
            # One that is not would take datagrams from everywhere.
            self._socket.connect(self._settings.address)
            self._is_connected = True
        try:
            self._socket.send(packet)
        except ConnectionRefusedError:
            # So was the one before; this one has not been sent yet.
            self._socket.send(packet)

    def __call__(self, _: object, method: str, line: Line) -> Line:
        if method in _URGENT:
            packet = write_alert(self._settings.host, f"{_place(line)}: {_words(line)}")
            # Whoever does not listen does not hear; the line stands in the log.
            with contextlib.suppress(OSError):
                self._send(packet)
        return line


class _Original:
    """Writes lines as the original does, one each: texts cannot forge others."""

    def __init__(self, *, has_pid: bool) -> None:
        self._has_pid = has_pid

    def __call__(self, _: object, method: str, line: Line) -> str:
        level = VIP if line.pop("vip", False) else _WORDS[method]
        # The file is that of one service.
        line.pop("service", None)
        text = _words(line).replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n")
        # The process is asked anew: a log may be set up before a fork.
        pid = os.getpid() if self._has_pid else None
        return format_line(datetime.now().astimezone(), pid, level, _place(line), text)


def _place(line: Line) -> str:
    return f"{line.get('filename')}:{line.get('lineno')}({line.get('func_name')})"


def _words(line: Line) -> str:
    left_out = {"event", "text", "level", "filename", "lineno", "func_name", "timestamp", "vip"}
    fields = (f"{key}={value}" for key, value in line.items() if key not in left_out)
    # What a line hands on, such as an alert, stands behind a colon.
    said = f"{line['event']}: {line['text']}" if "text" in line else str(line["event"])
    return " ".join([said, *fields])


def _without_mark(_: object, __: str, line: Line) -> Line:
    line.pop("vip", None)
    return line


def is_written(level: str) -> bool:
    """Whether lines of a level are: for those who would pay for a line that is dropped."""
    return level in _written


def _for_people(_: object, method: str, line: Line) -> Line:
    """What a terminal has room for: the time of day there, and the place of what is amiss."""
    place = _place(line)
    for name in ("service", "filename", "lineno", "func_name"):
        line.pop(name, None)
    if method not in {"debug", "info"}:
        line["at"] = place
    line["timestamp"] = f"{datetime.now().astimezone():%H:%M:%S}"
    return line


def set_up(service: str, settings: LogSettings, alert: AlertSettings | None = None) -> Logs:
    """Sends log lines where the settings say, or to standard error; urgent ones to `alert`.

    Raises:
        StartFailure: the file cannot be opened.
    """
    stream: TextIO = sys.stderr
    traces = None
    if settings.path is not None:
        opened = open_log(settings.path, settings.rotation)
        if settings.form == "original" and isinstance(opened, LogFile):
            traces = opened
        # All that is used of a stream: write, flush.
        stream = cast("TextIO", opened)
    is_terminal = settings.path is None and stream.isatty()
    written: list[Any] = [_without_mark, structlog.processors.JSONRenderer()]
    if settings.form == "original":
        written = [_Original(has_pid=settings.has_pid)]
    elif settings.form == "text" and is_terminal:
        written = [_without_mark, _for_people, structlog.dev.ConsoleRenderer()]
    levels = _written
    levels.clear()
    levels.update(settings.levels)
    structlog.configure(
        processors=[
            _Filter(levels),
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.CallsiteParameterAdder(_CALLSITE),
            *([] if alert is None else [_Alerts(alert)]),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *written,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    log: structlog.stdlib.BoundLogger = structlog.get_logger().bind(service=service)
    return Logs(log, levels, traces)
