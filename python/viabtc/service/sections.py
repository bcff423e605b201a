"""What every service's file has: process limits, log, alerts, and our own control address."""

import resource
from dataclasses import dataclass

from viabtc.protocol.addresses import Place
from viabtc.service.failure import EXIT_CONFIGURATION, StartFailure
from viabtc.service.settings import Section


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Where log lines go."""

    path: str | None
    """Base name, `.log` is appended; None for standard error."""
    levels: frozenset[str]
    """Enabled levels, one by one, in the original's words."""


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
    control: Place | None
    """Health, metrics and administration; None for no control app."""
    file_limit: int = 0
    """Open files; 0 leaves the limit as it is."""
    core_limit: int = 0


def read_common(root: Section, control: str, *, has_alert: bool = True) -> Common:
    """Reads `process`, `log`, `alert` and `viabtc.control`.

    Args:
        root: The whole file.
        control: Address of the control app when the file names none.
        has_alert: Whether the service sends alerts; the alert centre does not.
    """
    process = root.section("process", is_required=False)
    limits = (process.integer("file_limit", 0), process.integer("core_limit", 0))
    process.close()
    log = root.section("log")
    path, flags = log.text("path"), log.text("flag")
    log.idle("log files are rotated by logrotate", "shift", "max", "num", "keep")
    log.idle("every line names its process", "pid", "fork")
    log.close()
    alert = None
    if has_alert:
        section = root.section("alert")
        alert = AlertSettings(section.text("host"), section.remote_place("addr"))
        section.close()
    own = root.section("viabtc", is_required=False)
    levels = frozenset(flags.replace(",", " ").lower().split())
    return Common(LogSettings(path, levels), alert, own.place("control", control), *limits)


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
