"""The loop that sends what goes by another channel than mail: who waits, and to open the portal; nothing more.

As postman.py: at least once, claimed before, tried again, later each time. A service that says no says no more than
that, so a message is given up after an hour; what nobody needs any more, since the request was answered, is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import bindparam, delete, select, update

from audit.events import Event
from audit.log import AuditLog
from audit.sealing import SealingError
from gateway.errors import FrameroomError
from gateway.model import MINUTE
from gateway.notify.carrier import FINAL, Carried, Carrier
from gateway.notify.deliveries import Delivery, not_needed, settle
from gateway.store.engine import Scope, Store
from gateway.store.tables import outbox
from gateway.store.telling_tables import channels
from gateway.vault import Vault

_POLL_S: Final = 0.5
_AT_ONCE: Final = 20
_BESIDE: Final = 2
"""Processes that send at a time."""
_CLAIM_MS: Final = 2 * MINUTE
_RETRY_MS: Final = 10_000
_TRIES: Final = 9
"""10 s after the first, doubled each time, ten minutes at most: about an hour in all."""

_DUE: Final = (
    select(outbox)
    .where(outbox.c.channel_id.is_not(None), outbox.c.due_ms <= bindparam("now"))
    .order_by(outbox.c.due_ms, outbox.c.id)
    .limit(_AT_ONCE)
)


def context_of(customer_id: str, channel_id: str) -> str:
    """What a channel's address is sealed for."""
    return f"channel:{customer_id}:{channel_id}"


class Courier:
    """Sends by channels; `run` belongs to the caller's TaskGroup. `portal`: the portal's address, "" when there is
    none that people can reach."""

    def __init__(
        self, store: Store, audit: AuditLog, vault: Vault, carrier: Carrier, portal: Callable[[], str]
    ) -> None:  # fmt: skip
        self._store, self._audit, self._vault, self._carrier, self._portal = store, audit, vault, carrier, portal

    async def run(self) -> None:
        """Send what is due, for ever."""
        while True:
            with suppress(FrameroomError):
                await self.send_due()
            await asyncio.sleep(_POLL_S)

    async def send_due(self) -> None:
        """Send once what is due, a few at a time."""
        now = self._audit.clock.now()
        async with self._store.look_at_everyone() as scope:
            due = (await scope.execute(_DUE, {"now": now})).all()
        beside = asyncio.Semaphore(_BESIDE)

        async def one(row: Any) -> None:
            async with beside:
                with suppress(FrameroomError):
                    await self._attend(row, now)

        async with asyncio.TaskGroup() as group:
            for row in due:
                group.create_task(one(row))

    async def _attend(self, row: Any, now: int) -> None:
        here = (outbox.c.customer_id == row.customer_id) & (outbox.c.id == row.id)
        async with self._store.scope(row.customer_id) as scope:
            claimed = await scope.execute(
                update(outbox).where(here, outbox.c.due_ms <= now).values(due_ms=now + _CLAIM_MS)
            )
            if not claimed.rowcount:
                return
            if await not_needed(scope, row.id):
                await self._over(scope, row, Delivery.NOT_NEEDED, "answered")
                return
            its = (channels.c.customer_id == row.customer_id) & (channels.c.id == row.channel_id)
            channel = (await scope.execute(select(channels).where(its))).one()
        try:
            url = self._vault.open(context_of(row.customer_id, row.channel_id), channel.sealed).decode()
        except SealingError:
            done = Carried("unreadable", "")
        else:
            done = await self._carrier.send(url, f"{row.body} {self._end(channel)}")
        async with self._store.scope(row.customer_id) as scope:
            if not done.code:
                await self._over(scope, row, Delivery.SENT)
            elif done.code in FINAL or row.tries + 1 >= _TRIES:
                await self._over(scope, row, Delivery.FAILED, done.code)
            else:
                await self._later(scope, row, done.code)

    def _end(self, channel: Any) -> str:
        url = self._portal()
        if channel.approver_id is None:
            return "Look into your mail."
        return f"Open the portal: {url}" if url else "Look into your mail."

    async def _over(self, scope: Scope, row: Any, state: Delivery, code: str = "") -> None:
        here = (outbox.c.customer_id == row.customer_id) & (outbox.c.id == row.id)
        if not (await scope.execute(delete(outbox).where(here))).rowcount:
            return  # whoever took the channel or the person away took this with it
        await settle(scope, [row.id], state, code, self._audit.clock.now())
        await self._tell(scope, row, "notice.sent" if state is Delivery.SENT else "notice.failed", code)

    async def _tell(self, scope: Scope, row: Any, kind: str, code: str) -> None:
        data = {"what": row.what, "channel": row.channel_id} | ({"code": code} if code else {})
        await self._audit.append(scope.connection, Event(kind, row.customer_id, "courier", data=data))

    async def _later(self, scope: Scope, row: Any, code: str) -> None:
        """The first failure is told, and the last; in between it is tried again."""
        now = self._audit.clock.now()
        here = (outbox.c.customer_id == row.customer_id) & (outbox.c.id == row.id)
        wait = min(_RETRY_MS * 2**row.tries, 10 * MINUTE)
        await scope.execute(update(outbox).where(here).values(tries=row.tries + 1, due_ms=now + wait))
        await settle(scope, [row.id], Delivery.WAITING, code, now)
        if row.tries == 0:
            await self._tell(scope, row, "notice.failed", code)
