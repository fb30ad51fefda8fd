"""The log, streamed to receivers outside (`streams.receivers`): nothing is lost, something may come twice.

What a receiver is known to have read stands in the database (`stream_cursors`), a little behind (`overlap_s`), for a
receiver may have read and not kept. It moves on only when a connection was ended in order and the receiver closed it
in its turn (syslog_link.py), which is done every `confirm_s` seconds. After any other end everything since is sent
again. Each entry has its id, so that a receiver can tell what it has already.
"""

from __future__ import annotations

import asyncio
import fnmatch
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from sqlalchemy import func, insert, select, update

from audit.events import KINDS, OPERATOR_LOG
from audit.log import parse_entry
from audit.syslog import frame, message
from audit.tables import entries, logs
from config.settings import Receiver, Settings
from gateway.errors import InvalidError
from gateway.store.engine import Scope
from gateway.store.stream_tables import stream_cursors
from gateway.store.tables import customers
from gateway.wiring.alone import alone
from gateway.wiring.parts import Parts
from gateway.wiring.syslog_link import Ended, Link, connect, context_of

log = structlog.get_logger()

_PAGE: Final = 500
_IDLE_S: Final = 0.5
_SNAPSHOT_S: Final = 1.0
_SLOWEST_S: Final = 60.0
_STEADY_S: Final = 10.0


def contexts(settings: Settings) -> dict[str, ssl.SSLContext]:
    """The TLS of each receiver. InvalidError when its files or its kinds of event are none."""
    made = {}
    for receiver in settings.streams.receivers:
        for pattern in receiver.kinds:
            if not fnmatch.filter(KINDS, pattern):
                raise InvalidError(
                    f"receiver {receiver.name}: no kind of event is like {pattern!r}",
                    next_step="They are listed in docs/streams.md; for example session.*",
                )
        try:
            made[receiver.name] = context_of(receiver)
        except (OSError, ValueError) as error:
            raise InvalidError(
                f"receiver {receiver.name}: its certificate authority, certificate or key is no PEM file, or the two "
                f"do not belong together ({type(error).__name__})",
                next_step="Look at streams.receivers in the configuration.",
            ) from error
    return made


@dataclass(frozen=True, slots=True)
class Behind:
    """How a receiver stands, by the database. `since_ms`: the time of the oldest entry that it is not known to have
    read, None when it has all."""

    receiver: str
    entries: int
    since_ms: int | None


class Stream:
    """What is sent to one receiver: the work of one process in the deployment (alone.py)."""

    def __init__(self, opened: Parts, receiver: Receiver, context: ssl.SSLContext) -> None:
        self._parts, self._to, self._context = opened, receiver, context
        self._settings = opened.settings.streams
        self._link: Link | None = None
        self._next: dict[str, int] = {}
        """Where each log goes on, in this process."""
        self._kept: dict[str, int] = {}
        """The same as it stands in the database."""
        self._were: deque[tuple[float, dict[str, int]]] = deque()
        """`_next` as it was on this connection, oldest first."""
        self._opened_at = self._again_at = 0.0
        self._failures = 0

    @property
    def name(self) -> str:
        """The receiver's."""
        return self._to.name

    @property
    def is_up(self) -> bool:
        """True while this process has a connection that works."""
        return self._link is not None and not self._link.is_broken

    async def run(self) -> None:
        """Until cancelled."""
        try:
            await alone(self._parts.store, f"stream {self._to.name}", self)
        finally:
            self._drop()

    def begin(self) -> None:
        """Go on from what stands in the database."""
        self._drop()

    def _drop(self) -> None:
        if self._link is not None:
            self._link.abort()
        self._link = None
        self._next.clear()
        self._were.clear()

    async def step(self) -> float:
        """Connect if need be, send what there is, have it confirmed from time to time."""
        now = asyncio.get_running_loop().time()
        if now < self._again_at:
            return min(_IDLE_S, self._again_at - now)
        try:
            if self._link is None:
                await self._open()
            return await self._send()
        except (OSError, ValueError) as error:  # ValueError: a name that is none
            self._drop()
            self._failures += 1
            pause = min(_SLOWEST_S, 2.0 ** (self._failures - 1))
            self._again_at = now + pause
            if self._failures == 1:
                log.warning("a receiver of the log cannot be reached", receiver=self.name, why=_why(error))
            return _IDLE_S

    async def _open(self) -> None:
        if not self._next:
            await self._load()
            async with self._parts.store.look_at_everyone() as scope:
                await self._wanted(scope, first=True)
        self._link = await connect(self._to, self._context)
        self._opened_at = asyncio.get_running_loop().time()
        if not self._were:
            self._were.append((self._opened_at, dict(self._next)))

    async def _load(self) -> None:
        """Where it goes on; a receiver that is new here begins with what comes, or with everything."""
        async with self._parts.store.everyone() as scope:
            mine = stream_cursors.c.receiver == self.name
            found = await scope.execute(select(stream_cursors.c.log_id, stream_cursors.c.next_idx).where(mine))
            kept = {row.log_id: row.next_idx for row in found}
            if OPERATOR_LOG not in kept:
                sizes = await _sizes(scope)
                kept = {name: 0 if self._to.history else size for name, size in ({OPERATOR_LOG: 0} | sizes).items()}
                for name, at in kept.items():
                    await scope.execute(insert(stream_cursors).values(self._row(name, at)))
        self._kept, self._next = kept, dict(kept)

    def _row(self, name: str, at: int) -> dict[str, Any]:
        now = self._parts.audit.clock.now()
        return {"log_id": name, "receiver": self.name, "next_idx": at, "moved_ms": now}

    async def _send(self) -> float:
        """A page of each log that has grown, then perhaps a confirmation; the seconds until the next step."""
        if self._link is None or self._link.is_broken:
            raise ConnectionResetError("the receiver hung up")
        async with self._parts.store.look_at_everyone() as scope:
            sizes, names = await _sizes(scope), await self._wanted(scope)
        grown = {name: size for name, size in sizes.items() if size > self._next.get(name, 0)}
        more = False
        for name in sorted(grown):
            if name not in names:
                self._next[name] = grown[name]
                continue
            frames, following = await self._frames(name)
            if frames:
                await self._link.send(frames)
            self._next[name] = following
            more |= following < grown[name]
        now = asyncio.get_running_loop().time()
        if self._failures and now - self._opened_at >= _STEADY_S:
            # Not before: one that takes a connection and resets it is asked less and less often too.
            log.info("a receiver of the log is back", receiver=self.name)
            self._failures = 0
        if grown and now - self._were[-1][0] >= _SNAPSHOT_S:
            self._were.append((now, dict(self._next)))
        if now - self._opened_at >= self._settings.confirm_s:
            await self._confirm(now)
            return 0.0
        return 0.0 if more else _IDLE_S

    async def _wanted(self, scope: Scope, *, first: bool = False) -> frozenset[str]:
        """The logs that go to this receiver. `first`: say which names are nobody's."""
        found = (await scope.execute(select(customers.c.id, customers.c.name))).all()
        wanted = set(self._to.customers)
        for name in sorted(wanted - {row.id for row in found} - {row.name for row in found}) if first else ():
            log.warning("streams.receivers names a customer that is not there", receiver=self.name, customer=name)
        ids = {row.id for row in found if not wanted or row.id in wanted or row.name in wanted}
        return frozenset(ids | ({OPERATOR_LOG} if self._to.operator else set()))

    async def _frames(self, name: str) -> tuple[bytes, int]:
        """The next page of a log as frames, and the index after it."""
        at = self._next.get(name, 0)
        query = select(entries).where(entries.c.log_id == name, entries.c.idx >= at).order_by(entries.c.idx)
        async with self._parts.store.look(name) as scope:
            rows = (await scope.execute(query.limit(_PAGE))).all()
        frames = [frame(self._message(row)) for row in rows if self._is_wanted(row.kind)]
        return b"".join(frames), rows[-1].idx + 1 if rows else at

    def _is_wanted(self, kind: str) -> bool:
        return not self._to.kinds or any(fnmatch.fnmatchcase(kind, pattern) for pattern in self._to.kinds)

    def _message(self, row: Any) -> bytes:
        return message(
            parse_entry(row.entry), kind=row.kind, time_ms=row.time_ms, index=row.idx, leaf=row.leaf_hash,
            entry=row.entry, host=self._parts.settings.deployment.name, form=self._to.form,
            facility=self._to.facility, enterprise=self._settings.enterprise_number,
        )  # fmt: skip

    async def _confirm(self, now: float) -> None:
        """End the connection in order; what the receiver has read by then, less the overlap, is kept as read."""
        link, self._link = self._link, None
        ended = await link.finish() if link is not None else Ended.BROKEN
        if ended is Ended.TAKEN and self._to.closes:
            log.warning(
                "a receiver of the log took everything and did not close: it hangs, or never closes "
                "(then write closes = false)", receiver=self.name,
            )  # fmt: skip
        if ended is Ended.BROKEN or (ended is Ended.TAKEN and self._to.closes):
            raise ConnectionResetError("the receiver did not end the connection in order")
        self._were.append((now, dict(self._next)))
        # All of these were read; the newest that is old enough counts, and is where the next confirmation begins.
        while len(self._were) > 1 and self._were[1][0] <= now - self._settings.overlap_s:
            self._were.popleft()
        at, sure = self._were[0]
        if at > now - self._settings.overlap_s:
            return
        await self._keep({name: at for name, at in sure.items() if at > self._kept.get(name, -1)})

    async def _keep(self, moved: Mapping[str, int]) -> None:
        if not moved:
            return
        async with self._parts.store.everyone() as scope:
            for name, at in moved.items():
                mine = (stream_cursors.c.receiver == self.name) & (stream_cursors.c.log_id == name)
                row = self._row(name, at)
                # Never back: whoever worked before us may still be about to write.
                ahead = stream_cursors.c.next_idx < at
                changed = await scope.execute(update(stream_cursors).where(mine, ahead).values(row))
                if not changed.rowcount and (await scope.execute(select(stream_cursors).where(mine))).first() is None:
                    await scope.execute(insert(stream_cursors).values(row))
        self._kept |= moved


def _why(error: Exception) -> str:
    """What went wrong, by its type; a certificate's trouble in its own words, which are OpenSSL's."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate: {getattr(error, 'verify_message', '') or error}"
    return getattr(error, "strerror", None) or type(error).__name__


async def _sizes(scope: Scope) -> dict[str, int]:
    return {row.log_id: row.size for row in await scope.execute(select(logs.c.log_id, logs.c.size))}


async def behind(scope: Scope, settings: Settings) -> list[Behind]:
    """How each receiver stands, for metrics: the same in every process of the deployment."""
    told = []
    for receiver in settings.streams.receivers:
        kept = select(stream_cursors).where(stream_cursors.c.receiver == receiver.name).subquery()
        if (await scope.execute(select(kept.c.log_id).limit(1))).first() is None:
            told.append(Behind(receiver.name, 0, None))  # it begins with what comes, or was never tried
            continue
        # A customer's who came later has no cursor until something of it was read.
        at = func.coalesce(kept.c.next_idx, 0)
        joined = logs.outerjoin(kept, kept.c.log_id == logs.c.log_id)
        every = select(logs.c.log_id, logs.c.size, at.label("at")).select_from(joined).subquery()
        left = await scope.execute(select(func.sum(every.c.size - every.c.at)))
        first = (entries.c.log_id == every.c.log_id) & (entries.c.idx == every.c.at)
        oldest = (await scope.execute(select(func.min(entries.c.time_ms)).where(first))).scalar()
        told.append(Behind(receiver.name, int(left.scalar() or 0), oldest))
    return told
