"""The alert centre's configuration file: the original's keys, and senders under `viabtc`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from viabtc.edges.redis import RedisSettings
from viabtc.protocol.addresses import Place
from viabtc.service.logfile import Rotation
from viabtc.service.sections import Common, read_common
from viabtc.service.settings import Findings, Section, read_file
from viabtc.service.stores import read_redis

CONTROL: Final = "127.0.0.1:9105"
"""Address of the control app when the file names none."""

ROTATION: Final = Rotation("day", bytes_max=100 << 20, count=10, keep=7)
"""Of the log, as far as the file does not say. Source: ac_main.c, which does not let it say."""


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """A mail server."""

    place: Place
    sender: str
    recipients: tuple[str, ...]
    starttls: bool
    user: str
    password_file: str
    """Path of a file that holds the password; empty without a login."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts that are kept and logged, and not sent."""

    text: str
    """Part of their text."""
    until_s: int
    """Seconds since 1970-01-01 UTC."""


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """How people learn of alerts; with none of the ways, the list is left to another program."""

    smtp: SmtpSettings | None
    webhook: str
    """Address that gets a POST; empty for none."""
    command: tuple[str, ...]
    """Program and arguments that get the message on standard input; empty for none."""
    interval_s: float
    silences: tuple[Silence, ...]
    heartbeat: str
    """Address that is asked for once a minute, so that its watcher notices our end; or empty."""

    @property
    def is_any(self) -> bool:
        """Whether somebody is to be told."""
        return bool(self.smtp or self.webhook or self.command)


@dataclass(frozen=True, slots=True)
class AlertcenterSettings:
    """Everything that the service is made of."""

    common: Common
    bind: tuple[str, ...]
    max_pkg_size: int
    redis: RedisSettings
    spool: Path
    sender: SenderSettings


def read_alertcenter(path: Path) -> tuple[AlertcenterSettings, Findings]:
    """Reads and checks a file.

    Raises:
        SettingsError: with every problem.
    """
    return read_file(path, lambda root: _read(root, path))


def _read(root: Section, path: Path) -> AlertcenterSettings:
    common = read_common(root, CONTROL, has_alert=False, rotation=ROTATION, has_pid=False)
    server = root.section("svr")
    own = root.section("viabtc", is_required=False)
    own.leave("control", "log_format", "audit_log")
    settings = AlertcenterSettings(
        common=common,
        bind=server.addresses("bind", ("tcp", "udp")),
        max_pkg_size=server.integer("max_pkg_size", low=64, high=1 << 20),
        redis=read_redis(root.section("redis")),
        spool=path.parent / own.text("spool", "alerts.spool"),
        sender=_read_sender(own),
    )
    server.idle("alerts are short and never answered", "buf_limit", "read_mem", "write_mem")
    for section in (server, own, root):
        section.close()
    return settings


def _read_sender(own: Section) -> SenderSettings:
    smtp = None
    if "smtp" in own.data:
        section = own.section("smtp")
        smtp = SmtpSettings(
            place=section.remote_place("addr"),
            sender=_mailbox(section, "from", section.text("from")),
            recipients=_recipients(section),
            starttls=section.flag("starttls", default=True),
            user=section.text("user", ""),
            password_file=section.text("password_file", ""),
        )
        section.close()
    own.leave("smtp")
    silences = []
    for section in own.sections("silences"):
        silences.append(Silence(section.text("text"), section.integer("until", high=2**40)))
        section.close()
    return SenderSettings(
        smtp=smtp,
        webhook=own.url("webhook", ""),
        command=own.texts("command", ()),
        interval_s=own.seconds("mail_interval_s", 60, low=1, high=86_400),
        silences=tuple(silences),
        heartbeat=own.url("heartbeat", ""),
    )


def _recipients(section: Section) -> tuple[str, ...]:
    recipients = section.texts("to")
    if "to" in section.data and not recipients:
        section.problem("to", "is []", "a list of at least one mail address")
    return tuple(_mailbox(section, "to", text) for text in recipients)


def _mailbox(section: Section, name: str, text: str) -> str:
    """Notes what no mail can be sent to: it would be found out with the first alert."""
    local, _, domain = text.rpartition("@")
    if text and not (local and domain and text.isascii() and text.isprintable()):
        section.problem(name, f"is {json.dumps(text)[:60]}", "a mail address")
    return text
