"""`frameroom audit tail` and `audit streams`: the end of a log, what comes after it, and who gets it outside."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from sqlalchemy import select

from audit.events import OPERATOR_LOG
from audit.log import Row as Entry
from audit.ocsf import to_ocsf
from audit.tables import entries
from gateway.errors import UsageError
from gateway.wiring.admin.base import Row, Stream, when
from gateway.wiring.admin.log import LogCommands
from gateway.wiring.admin.searching import entry_of
from gateway.wiring.streams import behind

_POLL_S: Final = 0.3
_PAGE: Final = 1000


class TailCommands(LogCommands):
    """The end of the log."""

    async def do_audit_tail(
        self, actor: str, customer: str | None, count: int, why: str, follow: bool = False, after: int | None = None,
        form: str = "told", *, stream: Stream,
    ) -> None:  # fmt: skip
        """The last entries of one log, or all after an index; and with `follow` every one that comes.

        `form`: "told" with personal fields in clear, "ocsf" without any, as streams have it.
        """
        if follow and self._app is None and self._parts.store.is_sqlite:
            raise UsageError(
                "there is nothing to follow: no Frameroom serves here", next_step="Start `frameroom serve`."
            )
        log = OPERATOR_LOG if customer is None else await self._customer(customer)
        async with self._parts.store.scope(log) as scope:
            await self._look(scope, "looked.audit", actor, why)
        if follow or after is not None:
            await self._parts.sequence()
        here = entries.c.log_id == log
        if after is None:
            numbered = here & entries.c.idx.is_not(None) if follow else here
            query = select(entries).where(numbered).order_by(entries.c.seq.desc()).limit(count)
            last = await self._show(log, query, form, stream, newest_first=True)
            if not follow:
                return  # those without a number yet were shown: they come no second time when they have one
            after = -1 if last is None else last
        while True:
            query = select(entries).where(here, entries.c.idx > after).order_by(entries.c.idx).limit(_PAGE)
            last = await self._show(log, query, form, stream)
            after = after if last is None else last
            if last is None:
                if not follow:
                    return
                await asyncio.sleep(_POLL_S)

    async def _show(self, log: str, query: Any, form: str, stream: Stream, *, newest_first: bool = False) -> int | None:
        """The entries of a query, in order; the last index among them, None when there was none."""
        async with self._parts.store.look(log) as scope:
            rows = [entry_of(r) for r in (await scope.execute(query)).all()]
            rows = rows[::-1] if newest_first else rows
            told = [_ocsf(row) for row in rows] if form == "ocsf" else await self._told(scope, rows)
        if told:
            await stream.rows(told)
        return max((row.index for row in rows if row.index is not None), default=None)

    async def do_audit_streams(self, actor: str) -> list[Row]:
        """The receivers of the log, and how far each is known to have read."""
        settings = self._parts.settings
        async with self._parts.store.look_at_everyone() as scope:
            told = {one.receiver: one for one in await behind(scope, settings)}
        here = {stream.name: stream.is_up for stream in self._app.streams} if self._app is not None else {}
        return [
            {
                "receiver": to.name, "host": to.host, "port": to.port, "form": to.form,
                "connected": here.get(to.name, False), "not confirmed": told[to.name].entries,
                "since": when(told[to.name].since_ms),
            }
            for to in settings.streams.receivers
        ]  # fmt: skip


def _ocsf(row: Entry) -> Row:
    return to_ocsf(row.body, index=row.index, leaf=row.leaf, entry=row.entry)
