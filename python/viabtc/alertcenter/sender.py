"""Alerts to people: grouped, at most one message in an interval, none thrown away.

Alerts stay in the list until every way has sent them, so that an end of this process sends one
twice rather than not at all. A way that fails keeps no other waiting.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiosmtplib
import httpx
from redis.exceptions import RedisError

from viabtc.alertcenter.keeper import KEY
from viabtc.alertcenter.settings import SenderSettings, SmtpSettings
from viabtc.edges.redis import reason

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


_Failures: Final = (aiosmtplib.SMTPException, httpx.HTTPError, OSError, TimeoutError)
"""What sending may end in; trying again later may succeed."""


@dataclass(slots=True)
class Counters:
    """What was sent, by all ways together."""

    messages: int = 0
    alerts: int = 0
    silenced: int = 0
    failures: int = 0


class Sender:
    """Sends what stands in the list.

    Args:
        settings: By which ways.
        redis: A client that repeats no command by itself: a list that is cut twice loses alerts.
        log: Of the service.
    """

    def __init__(self, settings: SenderSettings, redis: "Redis", log: Any) -> None:
        self._settings = settings
        self._redis = redis
        self._log = log
        self._sent: dict[str, int] = {}
        """Alerts at the head of the list that a way has sent, and another has not."""
        self._list = asyncio.Lock()
        """Held while the list and `_sent` are looked at or changed together."""
        self.counters = Counters()

    async def run(self) -> None:
        """Sends until it is cancelled."""
        ways = self._ways()
        self._sent = dict.fromkeys(ways, 0)
        async with asyncio.TaskGroup() as tasks:
            for name, send in ways.items():
                tasks.create_task(self._serve(name, send))

    async def beat(self) -> None:
        """Asks for the heartbeat's address once a minute until it is cancelled."""
        async with httpx.AsyncClient(timeout=_TIMEOUT_S) as client:
            while True:
                try:
                    await client.get(self._settings.heartbeat)
                except httpx.HTTPError as error:
                    self._log.warning("the heartbeat was not heard", reason=repr(error))
                await asyncio.sleep(HEARTBEAT_S)

    async def _serve(self, name: str, send: Way) -> None:
        """Sends by one way, and tries again for as long as it takes."""
        while True:
            is_done = False
            try:
                is_done = await self._round(name, send)
            except RedisError as error:
                self._log.warning("redis cannot be reached; alerts wait", reason=reason(error))
            except _Failures as error:
                is_done = True
                self.counters.failures += 1
                self._log.warning("alerts could not be sent", way=name, reason=repr(error))
            await asyncio.sleep(self._settings.interval_s if is_done else _LOOK_S)

    async def _round(self, name: str, send: Way) -> bool:
        """Sends one message of all that waits for a way; whether there was something to send."""
        async with self._list:
            start = self._sent[name]
            found = await self._redis.lrange(KEY, start, start + BATCH_MAX - 1)
        waiting = [_text(alert) for alert in found]
        now = time.time()
        alerts = [alert for alert in waiting if not self._is_silenced(alert, now)]
        if alerts:
            await send(*compose(alerts))
            self.counters.messages += 1
            self.counters.alerts += len(alerts)
        self.counters.silenced += len(waiting) - len(alerts)
        if waiting:
            await self._forget(name, len(waiting))
        return bool(alerts)

    async def _forget(self, name: str, count: int) -> None:
        """Notes that a way has sent so many more, and removes what all have sent."""
        async with self._list:
            self._sent[name] += count
            done = min(self._sent.values())
            if done:
                # Before the answer is known: if it is lost and nothing was removed, those that are
                # at the head now are sent again.
                self._sent = {way: sent - done for way, sent in self._sent.items()}
                await self._redis.ltrim(KEY, done, -1)

    def _is_silenced(self, alert: str, now: float) -> bool:
        return any(
            silence.text in alert and now < silence.until_s for silence in self._settings.silences
        )

    def _ways(self) -> dict[str, Way]:
        ways: dict[str, Way] = {}
        if self._settings.smtp is not None:
            smtp = self._settings.smtp
            ways["smtp"] = lambda subject, text: _mail(smtp, subject, text)
        if self._settings.webhook:
            ways["webhook"] = lambda subject, text: _post(self._settings.webhook, subject, text)
        if self._settings.command:
            ways["command"] = lambda subject, text: _call(self._settings.command, subject, text)
        return ways


def _text(alert: bytes | str) -> str:
    return alert.decode(errors="replace") if isinstance(alert, bytes) else alert


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
