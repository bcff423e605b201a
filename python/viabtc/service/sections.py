"""What every service's file has: process limits, log, alerts, and our own control address."""

import resource
from dataclasses import dataclass, field
from pathlib import Path

from viabtc.protocol.addresses import Place, read_place
from viabtc.protocol.logline import read_levels
from viabtc.service.failure import EXIT_CONFIGURATION, StartFailure
from viabtc.service.logfile import Rotation
from viabtc.service.settings import Section


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Where log lines go."""

    path: str | None
    """Base name, `.log` is appended; None for standard error."""
    levels: frozenset[str]
    """Enabled levels, one by one, in the original's words."""
    form: str = "json"
    """How lines are written: `json`, `original`, or `text` on a terminal."""
    has_pid: bool = True
    """Whether a line of the original names its process."""
    rotation: Rotation = field(default_factory=Rotation)


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Where fatal lines are sent."""

    host: str
    """Name of this service in the alert."""
    address: Place


@dataclass(frozen=True, slots=True)
class Common:
    """Settings that all services share."""

    log: LogSettings
    alert: AlertSettings | None
    audit_log: Path
    """What administrators did."""
    control: Place | None
    """Health, metrics and administration; None for no control app."""
    file_limit: int = 0
    """Open files; 0 leaves the limit as it is."""
    core_limit: int = 0


def read_common(
    root: Section,
    control: str,
    *,
    has_alert: bool = True,
    rotation: Rotation | None = None,
    has_pid: bool = True,
) -> Common:
    """Reads `process`, `log`, `alert`, and of `viabtc` what all have.

    Args:
        root: The whole file.
        control: Address of the control app when the file names none.
        has_alert: Whether the service sends alerts; the alert centre does not.
        rotation: When log files end, as far as the file does not say.
        has_pid: Whether a log line names its process when the file does not say.
    """
    usual = rotation or Rotation()
    process = root.section("process", is_required=False)
    limits = (process.integer("file_limit", 0), process.integer("core_limit", 0))
    process.close()
    log = root.section("log")
    path, levels = log.text("path"), frozenset(read_levels(log.text("flag")))
    shift = log.text("shift", usual.shift).lower()
    rotation = Rotation(
        shift if shift in {"size", "min", "hour"} else "day",
        bytes_max=log.integer("max", usual.bytes_max),
        count=log.integer("num", usual.count),
        keep=log.integer("keep", usual.keep),
    )
    has_pid = log.flag("pid", default=has_pid)
    log.idle("files are shifted without a process of their own", "fork")
    log.close()
    alert = None
    if has_alert:
        section = root.section("alert")
        alert = AlertSettings(section.text("host"), section.remote_place("addr"))
        section.close()
    own = root.section("viabtc", is_required=False)
    # Who comes with the original's file has programs that read the original's lines.
    is_originals = "viabtc" not in root.data
    form = own.word("log_format", "original" if is_originals else "json", "json", "original")
    settings = LogSettings(path, levels, form, has_pid, rotation)
    # A log that is sent to a place leaves no folder behind.
    beside = "audit" if read_place(path) else f"{path}.audit"
    audit_log = Path(own.text("audit_log", beside))
    return Common(settings, alert, audit_log, own.place("control", control), *limits)


def raise_limits(common: Common) -> None:
    """Raises the limits of open files and core size to what is configured.

    Raises:
        StartFailure: this user may not.
    """
    wanted = (
        ("file_limit", resource.RLIMIT_NOFILE, common.file_limit),
        ("core_limit", resource.RLIMIT_CORE, common.core_limit),
    )
    for key, limit, value in wanted:
        soft, hard = resource.getrlimit(limit)
        is_enough = soft == resource.RLIM_INFINITY or soft >= value
        if value == 0 or is_enough:
            continue
        try:
            resource.setrlimit(limit, (value, max(hard, value)))
        except (ValueError, OSError) as error:
            raise StartFailure(
                f"process.{key} is {value}, and this user may raise it to {hard} at most",
                "lower it, leave it out, or raise the limit of the user",
                EXIT_CONFIGURATION,
            ) from error
