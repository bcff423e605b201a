"""Alerts to people: grouped, at most one message in an interval, none thrown away.

Alerts stay in the list until they were sent, so that an end of this process sends one twice rather
than not at all.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiosmtplib
import httpx

from viabtc.alertcenter.keeper import KEY
from viabtc.alertcenter.settings import SenderSettings, SmtpSettings
from viabtc.edges.redis import Unreachable

if TYPE_CHECKING:
    from redis.asyncio import Redis

BATCH_MAX: Final = 100_000
"""Alerts of one message; the others come with the next."""

GROUPS_SHOWN: Final = 50
"""Kinds of alerts that a message shows; all are in the log."""

HEARTBEAT_S: Final = 60.0

_LOOK_S: Final = 1.0
_TIMEOUT_S: Final = 15.0
_NUMBERS: Final = re.compile(r"\d+")

SUBJECT: Final = "viabtc server error"
"""How subjects begin. Source: send_alert.py."""


@dataclass(slots=True)
class Group:
    """Alerts that differ only in their numbers."""

    first: str
    count: int = 0


def grouped(alerts: list[str]) -> list[Group]:
    """Alerts by kind, the most frequent first."""
    groups: dict[str, Group] = {}
    for alert in alerts:
        groups.setdefault(_NUMBERS.sub("#", alert), Group(alert)).count += 1
    return sorted(groups.values(), key=lambda group: -group.count)


def compose(alerts: list[str]) -> tuple[str, str]:
    """Subject and text of a message."""
    groups = grouped(alerts)
    lines = [f"{group.count} x {group.first}" for group in groups[:GROUPS_SHOWN]]
    if len(groups) > GROUPS_SHOWN:
        rest = sum(group.count for group in groups[GROUPS_SHOWN:])
        kinds = len(groups) - GROUPS_SHOWN
        lines.append(f"and {rest} alerts of {kinds} other kinds; all are in the alert centre's log")
    plural = "" if len(alerts) == 1 else "s"
    return f"{SUBJECT}: {len(alerts)} alert{plural}", "\n".join(lines) + "\n"


Way = Callable[[str, str], Awaitable[None]]


@dataclass(slots=True)
class Counters:
    """What was sent."""

    messages: int = 0
    alerts: int = 0
    silenced: int = 0
    failures: int = 0


@dataclass(slots=True)
class Sender:
    """Sends what stands in the list."""

    settings: SenderSettings
    redis: "Redis"
    log: Any
    counters: Counters = field(default_factory=Counters)

    async def run(self) -> None:
        """Sends until it is cancelled."""
        ways = self._ways()
        while True:
            sent = False
            try:
                sent = await self._round(ways)
            except Unreachable as error:
                self.log.warning("redis cannot be reached; alerts wait", reason=str(error))
            await asyncio.sleep(self.settings.interval_s if sent else _LOOK_S)

    async def beat(self) -> None:
        """Asks for the heartbeat's address once a minute until it is cancelled."""
        async with httpx.AsyncClient(timeout=_TIMEOUT_S) as client:
            while True:
                try:
                    await client.get(self.settings.heartbeat)
                except httpx.HTTPError as error:
                    self.log.warning("the heartbeat was not heard", reason=repr(error))
                await asyncio.sleep(HEARTBEAT_S)

    async def _round(self, ways: dict[str, Way]) -> bool:
        """Sends one message of all that waits; whether there was something to send."""
        waiting = [str(alert) for alert in await self.redis.lrange(KEY, 0, BATCH_MAX - 1)]
        if not waiting:
            return False
        now = time.time()
        alerts = [alert for alert in waiting if not self._is_silenced(alert, now)]
        self.counters.silenced += len(waiting) - len(alerts)
        if alerts:
            await self._deliver(ways, *compose(alerts))
            self.counters.messages += 1
            self.counters.alerts += len(alerts)
        await self.redis.ltrim(KEY, len(waiting), -1)
        return bool(alerts)

    async def _deliver(self, ways: dict[str, Way], subject: str, text: str) -> None:
        """Sends by every way; tries again, for as long as it takes, those that failed."""
        undone = dict(ways)
        while undone:
            for name, send in list(undone.items()):
                try:
                    await send(subject, text)
                    del undone[name]
                except (aiosmtplib.SMTPException, httpx.HTTPError, OSError, TimeoutError) as error:
                    self.counters.failures += 1
                    self.log.warning("alerts could not be sent", way=name, reason=repr(error))
            if undone:
                await asyncio.sleep(self.settings.interval_s)

    def _is_silenced(self, alert: str, now: float) -> bool:
        return any(
            silence.text in alert and now < silence.until_s for silence in self.settings.silences
        )

    def _ways(self) -> dict[str, Way]:
        ways: dict[str, Way] = {}
        if self.settings.smtp is not None:
            smtp = self.settings.smtp
            ways["smtp"] = lambda subject, text: _mail(smtp, subject, text)
        if self.settings.webhook:
            ways["webhook"] = lambda subject, text: _post(self.settings.webhook, subject, text)
        if self.settings.command:
            ways["command"] = lambda subject, text: _call(self.settings.command, subject, text)
        return ways


async def _mail(smtp: SmtpSettings, subject: str, text: str) -> None:
    message = EmailMessage()
    message["From"] = smtp.sender
    message["To"] = ", ".join(smtp.recipients)
    message["Subject"] = subject
    message.set_content(text)
    password = None
    if smtp.password_file:
        password = Path(smtp.password_file).read_text(encoding="utf-8").strip()  # noqa: ASYNC240
    host, port = smtp.place
    await aiosmtplib.send(
        message,
        hostname=host,
        port=port,
        start_tls=smtp.starttls,
        username=smtp.user or None,
        password=password,
        timeout=_TIMEOUT_S,
    )


async def _post(address: str, subject: str, text: str) -> None:
    async with httpx.AsyncClient(timeout=_TIMEOUT_S) as client:
        response = await client.post(address, json={"subject": subject, "text": text})
        response.raise_for_status()


async def _call(command: tuple[str, ...], subject: str, text: str) -> None:
    child = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await child.communicate(f"{subject}\n\n{text}".encode())
    except TimeoutError:
        child.kill()
        await child.wait()
        raise
    if child.returncode != 0:
        raise OSError(f"{command[0]} ended with {child.returncode}")
