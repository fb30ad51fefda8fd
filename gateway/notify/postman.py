"""The loop that sends what is in the outbox.

At least once: a message leaves the outbox after the server took it, so that a crash between the two sends it again,
under the same Message-ID. It is claimed before (its time is put off), so that two nodes do not both send it.

What tells of a visit that is over ends with the log's checkpoint: whoever keeps the mail can check later that the log
was neither altered nor cut (docs/verifying.md). It is sent once that checkpoint covers the visit.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import aiosmtplib
from sqlalchemy import BigInteger, bindparam, delete, select, update

from audit import checkpoint
from audit.events import Event, Personal
from audit.log import AuditLog
from audit.storage import StorageError
from audit.tables import entries, logs
from gateway.errors import FrameroomError
from gateway.model import DAY, MINUTE, same_address
from gateway.notify.asking_letters import REMINDER, WAITING
from gateway.notify.deliveries import Delivery, not_needed, settle
from gateway.notify.outbox import DAILY_AT, TO_STAFF_OF_CUSTOMER, approvers_of, is_present, zone_of
from gateway.notify.words import when
from gateway.smtp import MailSettings, Way, is_final
from gateway.store.engine import Scope, Store
from gateway.store.tables import outbox

_POLL_S: Final = 0.5
_AT_ONCE: Final = 50
_PAUSE_AT_MOST_S: Final = 0.05
_CLAIM_MS: Final = 2 * MINUTE
_RETRY_MS: Final = 5_000
_RETRY_AT_MOST_MS: Final = 10 * MINUTE
_REFUSED_MS: Final = 10 * MINUTE
_REFUSED_TRIES: Final = 12
"""After a refusal that says "never": 10 min, doubled each time, a day at most; about five days in all."""


_DUE: Final = (  # built once: it is asked twice a second
    select(outbox)
    .where(outbox.c.channel_id.is_(None), outbox.c.due_ms <= bindparam("now", type_=BigInteger))
    .order_by(outbox.c.due_ms, outbox.c.id)
    .limit(_AT_ONCE)
)
WITH_CHECKPOINT: Final = frozenset({"visit closed", "daily", "month"})
_COVERED_WITHIN_MS: Final = 20_000
"""A log is published within a second. When it is not, mail does not wait for it for ever."""


def _nothing(_: str) -> bytes | None:
    return None


class Postman:
    """Sends what is in the outbox; `run` belongs to the caller's TaskGroup. `published` gives a log's checkpoint,
    `portal` the address that approvers open, "" when there is none."""

    def __init__(
        self, store: Store, audit: AuditLog, settings: MailSettings,
        published: Callable[[str], bytes | None] = _nothing, portal: Callable[[], str] = lambda: "",
    ) -> None:  # fmt: skip
        self._store, self._audit, self._settings, self._published = store, audit, settings, published
        self._portal = portal

    async def run(self) -> None:
        """Send what is due, for ever."""
        while True:
            # A database that is away for a moment holds mail up; what is due stays in the outbox.
            with suppress(FrameroomError):
                await self.send_due()
            await asyncio.sleep(_POLL_S)

    async def send_due(self) -> None:
        """Send once what is due; what fails waits longer each time, ten minutes at most, and nothing is lost."""
        now = self._audit.clock.now()
        async with self._store.look_at_everyone() as scope:
            due = (await scope.execute(_DUE, {"now": now})).all()
        async with Way(self._settings) as way:
            for first in _one_each(due):
                began = time.perf_counter()
                await self._attend(first, now, way)
                # Whoever types goes first: however much mail there is, it takes a fifth of this process.
                await asyncio.sleep(min(4 * (time.perf_counter() - began), _PAUSE_AT_MOST_S))

    async def _attend(self, first: Any, now: int, way: Way) -> None:
        note: str | None = ""
        if first.batch or first.what in WITH_CHECKPOINT:
            note = await self._covering(first.customer_id)
            if note is None and now - first.due_ms < _COVERED_WITHIN_MS:
                return
        async with self._store.scope(first.customer_id) as scope:
            letter = await self._claimed(scope, first, now)
            if letter is None:
                return
            zone = await zone_of(scope)
            if letter.what in TO_STAFF_OF_CUSTOMER and not await is_present(scope, letter.address):
                await self._over(scope, letter, "notice.failed", "removed")
                return
            if letter.what in (WAITING, REMINDER) and await not_needed(scope, letter.message_id):
                await self._over(scope, letter, "notice.failed", "answered", state=Delivery.NOT_NEEDED)
                return
            subject, body = letter.text(zone)
            body += await self._portal_for(scope, letter, body)
        size = checkpoint.parse(note).size if note else 0
        if note:
            body += _KEEP.format(size=size, note=note)
        try:
            await way.send(letter.address, subject, body, letter.message_id)
        except (OSError, ValueError, aiosmtplib.SMTPException) as error:
            await self._later(letter, error, now)
        else:
            async with self._store.scope(letter.customer) as scope:
                await self._over(scope, letter, "notice.sent", size=size)

    async def _portal_for(self, scope: Scope, letter: _Letter, body: str) -> str:
        """The portal's address, for a mail to an approver that has no link there already; "" otherwise."""
        url = self._portal()
        if not url or url in body:
            return ""
        if not any(same_address(letter.address, other) for other in await approvers_of(scope)):
            return ""
        return f"\n{'Answer here' if letter.what in (WAITING, REMINDER) else 'Your portal'}: {url}\n"

    async def _covering(self, log: str) -> str | None:
        """The published checkpoint, when it covers all that the log has; "" when nobody publishes, None: not yet."""
        if self._published is _nothing:
            return ""
        try:
            note = await asyncio.to_thread(self._published, log)
        except StorageError:
            return None
        async with self._store.look(log) as scope:
            waiting = select(entries.c.seq).where(entries.c.log_id == log, entries.c.idx.is_(None)).limit(1)
            behind = (await scope.execute(waiting)).first() is not None
            size = (await scope.execute(select(logs.c.size).where(logs.c.log_id == log))).scalar() or 0
        if note is None or behind or checkpoint.parse(note.decode()).size < size:
            return None
        return note.decode()

    @staticmethod
    async def _claimed(scope: Scope, first: Any, now: int) -> _Letter | None:
        """What the row belongs to, put off if it still is due: nobody else sends it meanwhile."""
        mine = (outbox.c.customer_id == first.customer_id) & (outbox.c.due_ms <= now)
        if first.batch:
            mine &= (outbox.c.batch == first.batch) & (outbox.c.address == first.address)
        else:
            mine &= outbox.c.id == first.id
        rows = (await scope.execute(select(outbox).where(mine).order_by(outbox.c.id).with_for_update())).all()
        if not rows:
            return None
        letter = _Letter(list(rows))
        await scope.execute(update(outbox).where(letter.here).values(due_ms=now + _CLAIM_MS))
        return letter

    async def _over(
        self, scope: Scope, letter: _Letter, kind: str, code: str = "", size: int = 0, state: Delivery = Delivery.FAILED
    ) -> None:  # fmt: skip
        await scope.execute(delete(outbox).where(letter.here))
        became = Delivery.SENT if kind == "notice.sent" else state
        await settle(scope, [letter.message_id], became, code, self._audit.clock.now())
        await self._tell(scope, letter, kind, code, size)

    async def _tell(self, scope: Scope, letter: _Letter, kind: str, code: str, size: int = 0) -> None:
        key = self._audit.keys.alias(letter.customer, "address", letter.address)
        personal = (Personal("address", letter.address, key),)
        data: dict[str, Any] = {"what": letter.what} | ({"code": code} if code else {})
        data |= {"size": size} if size else {}
        await self._audit.append(
            scope.connection, Event(kind, letter.customer, "postman", data=data, personal=personal)
        )

    async def _later(self, letter: _Letter, error: Exception, now: int) -> None:
        """The first failure is told, and the last; in between it is tried again."""
        refused = is_final(error)
        async with self._store.scope(letter.customer) as scope:
            if (refused and letter.tries >= _REFUSED_TRIES) or isinstance(error, ValueError):
                await self._over(scope, letter, "notice.failed", "given-up")
                return
            wait = min(_REFUSED_MS * 2**letter.tries, DAY) if refused else _RETRY_MS * 2 ** min(letter.tries, 10)
            values = {"tries": letter.tries + 1, "due_ms": now + (wait if refused else min(wait, _RETRY_AT_MOST_MS))}
            await scope.execute(update(outbox).where(letter.here).values(**values))
            await settle(scope, [letter.message_id], Delivery.WAITING, "no answer" if not refused else "refused", now)
            if letter.tries == 0:
                await self._tell(scope, letter, "notice.failed", type(error).__name__)


_KEEP: Final = """
Keep this mail. Your log has {size} entries now; this is its signed checkpoint, with which you can check later that
nothing was altered or left out (see "Checking what you were told" in Frameroom's documentation):

{note}"""


def _one_each(rows: Any) -> list[Any]:
    """The first row of everything that becomes one mail: all of a day to one address, every other row alone."""
    firsts: dict[tuple[str, ...], Any] = {}
    for row in rows:
        key = (row.customer_id, row.address, row.batch) if row.batch else (row.customer_id, row.id)
        firsts.setdefault(key, row)
    return list(firsts.values())


class _Letter:
    """What becomes one mail: a row of the outbox, or those of a day to one address."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows
        first = rows[0]
        self.customer: str = first.customer_id
        self.address: str = first.address
        self.daily = bool(first.batch)
        self.what: str = "daily" if self.daily else first.what
        self.tries = max(int(row.tries) for row in rows)
        self.here = (outbox.c.customer_id == self.customer) & outbox.c.id.in_([row.id for row in rows])

    @property
    def message_id(self) -> str:
        """The same for the same message, however often it is sent."""
        ids = "\n".join(sorted(row.id for row in self._rows))
        return f"day_{hashlib.sha256(ids.encode()).hexdigest()[:24]}" if self.daily else str(self._rows[0].id)

    def text(self, zone: ZoneInfo) -> tuple[str, str]:
        """Subject and body."""
        if not self.daily:
            return self._rows[0].subject, self._rows[0].body
        parts = [f"{row.subject}\n{'-' * min(len(row.subject), 70)}\n{row.body}" for row in self._rows]
        until = datetime.combine(date.fromisoformat(self._rows[0].batch), DAILY_AT, zone)
        head = f"What happened at your phone systems in the day until {when(int(until.timestamp() * 1000), zone)}.\n\n"
        return f"Your phone systems: {until:%A} {until.day} {until:%B}", head + "\n\n".join(parts)
